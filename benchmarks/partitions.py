"""What recordings larger than memory cost: a folder of one Parquet file per subject.

In: simulated recordings, TIMES times the competition's 81 subjects, each time of another seed,
written first. Out: seconds and peak memory from the parts to the feature table and to the network's
mapped frames, in a fresh process, and the size of the sensor values if they were all in memory.

    python -m benchmarks.partitions --times 1 10 --folder /tmp/parts
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from trainer.data.simulate import NUM_SUBJECTS, _cast, record, recordings_table

ONE = r"""
import json, re, sys, tempfile, time
from pathlib import Path
from trainer.config import make_config
from trainer.run.recordings import load_material
from trainer.store.checksums import CheckedFolder
config = make_config("full", {"data.source": sys.argv[1]}, environment={})
marks = [time.perf_counter()]
material = load_material(config)
marks.append(time.perf_counter())
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
    folder = CheckedFolder(Path(name))
    material.open_features(folder, lambda: None)
    marks.append(time.perf_counter())
    table_peak = peak()
    material.open_frames(folder, lambda: None)
    marks.append(time.perf_counter())
    size = material.size
    print(json.dumps({
        "sequences": size.num_sequences, "rows": size.num_rows, "features": size.num_features,
        "survey": marks[1] - marks[0], "table": marks[2] - marks[1], "frames": marks[3] - marks[2],
        "peak": table_peak, "peak_with_frames": peak()}))
"""


def write_parts(folder: Path, times: int) -> Path:
    """Write one file per subject; nothing is written where the folder is there."""
    target = folder / f"parts{times}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for seed in range(times):
            for number in range(NUM_SUBJECTS):
                person, trials = _cast(seed, number)
                table = recordings_table(person, trials, record(seed, person, trials))
                renamed = table.with_columns(
                    pl.format("S{}_{}", pl.lit(seed), column).alias(column)
                    for column in ("subject", "sequence_id")
                )
                place = Path(name) / "done" / f"subject={renamed['subject'][0]}"
                place.mkdir(parents=True)
                renamed.write_parquet(place / "part.parquet")
            print(f"  written: {(seed + 1) * NUM_SUBJECTS} subjects", flush=True)
        (Path(name) / "done").rename(target)
    return target


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for times in options.times:
        source = write_parts(options.folder, times)
        command = (sys.executable, "-c", ONE, str(source))
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        in_memory = told["rows"] * 332 * 4 / 1e9
        print(
            f"{times} x: {told['sequences']:,} sequences, {told['rows']:,} rows, "
            f"{told['features']:,} features; survey {told['survey']:.1f} s, table "
            f"{told['table']:.1f} s, frames {told['frames']:.1f} s; peak {told['peak']:.2f} GB, "
            f"with frames {told['peak_with_frames']:.2f} GB (sensor values alone: {in_memory:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
