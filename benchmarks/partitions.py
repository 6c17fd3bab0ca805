"""What recordings larger than memory cost: a folder of one Parquet file per subject.

In: simulated recordings, TIMES times the competition's 81 subjects, each time of another seed,
written first. Out: seconds and peak memory from the parts to the feature table and to the network's
mapped frames, in a fresh process, and the size of the sensor values if they were all in memory.
With ``--workers`` the same once more on a Dask cluster of this machine, a task per part, and how
many times as fast that was.

    python -m benchmarks.partitions --times 1 10 --folder /tmp/parts --workers 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from trainer.simulation.simulate import NUM_SUBJECTS, _cast, record, recordings_table

ONE = r"""
import hashlib, json, re, resource, sys, tempfile, time
from pathlib import Path
from trainer.config import make_config
from trainer.run.workers.dask_parts import MadeOnDask
from trainer.run.inputs.parts import MadeHere
from trainer.run.inputs.recordings import load_dataset
from trainer.store.checksums import CheckedFolder
from trainer.store.names import RunPaths
config = make_config("full", {"data.source": sys.argv[1]}, environment={})
num_workers = int(sys.argv[2])
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
    folder = CheckedFolder(Path(name))
    maker = MadeHere() if num_workers == 0 else MadeOnDask(
        RunPaths(Path(name)), 1, "dask", None, num_workers, print, print)
    if num_workers:
        maker._connect()  # a cluster takes seconds to start, whatever the parts
    marks = [time.perf_counter()]
    material = load_dataset(config, maker)
    marks.append(time.perf_counter())
    material.open_features(folder, lambda: None)
    marks.append(time.perf_counter())
    table_peak = peak()
    material.open_frames(folder, lambda: None)
    marks.append(time.perf_counter())
    maker.close()
    digest = hashlib.sha256(material.features.values_NF)
    digest.update(next(Path(name).glob("units/frames_*.npy")).read_bytes())
    size = material.size
    print(json.dumps({
        "sequences": size.num_sequences, "rows": size.num_rows, "features": size.num_features,
        "survey": marks[1] - marks[0], "table": marks[2] - marks[1], "frames": marks[3] - marks[2],
        "peak": table_peak, "peak_with_frames": peak(), "digest": digest.hexdigest(),
        "worker_peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6}))
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


def work_out(source: Path, num_workers: int) -> dict[str, Any]:
    """Make table and frames in a fresh process, alone or with a cluster's workers; return both."""
    command = (sys.executable, "-c", ONE, str(source), str(num_workers))
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return told


def show(times: int, told: dict[str, Any]) -> None:
    """Print what one process took."""
    in_memory = told["rows"] * 332 * 4 / 1e9
    print(
        f"{times} x: {told['sequences']:,} sequences, {told['rows']:,} rows, "
        f"{told['features']:,} features; survey {told['survey']:.1f} s, table "
        f"{told['table']:.1f} s, frames {told['frames']:.1f} s; peak {told['peak']:.2f} GB, "
        f"with frames {told['peak_with_frames']:.2f} GB (sensor values alone: {in_memory:.1f})",
        flush=True,
    )


def compare(one: dict[str, Any], several: dict[str, Any], num_workers: int) -> None:
    """Print how many times as fast several workers were, and whether the bytes are the same."""
    ratios = ", ".join(
        f"{name} {one[name] / several[name]:.2f} times as fast ({several[name]:.1f} s)"
        for name in ("table", "frames")
    )
    whole = [sum(told[name] for name in ("survey", "table", "frames")) for told in (one, several)]
    is_equal = one["digest"] == several["digest"]
    print(
        f"  {num_workers} workers: {ratios}, with the survey {whole[0] / whole[1]:.2f}; "
        f"a worker's peak {several['worker_peak']:.2f} GB, the coordinator's "
        f"{several['peak_with_frames']:.2f} GB; bytes {'equal' if is_equal else 'NOT EQUAL'}",
        flush=True,
    )


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=0, help="of a Dask cluster; 0: none")
    parser.add_argument("--pairs", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for times in options.times:
        source = write_parts(options.folder, times)
        for _ in range(options.pairs):
            one = work_out(source, 0)
            show(times, one)
            if options.workers:
                compare(one, work_out(source, options.workers), options.workers)


if __name__ == "__main__":
    main()
