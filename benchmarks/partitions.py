"""Cost of recordings larger than memory: a folder of one Parquet file per subject.

In: simulated recordings, TIMES times the competition's 81 subjects, each time of another seed,
written first. Out: seconds and peak memory of a fresh process from the parts to the feature table
and to the network's mapped frames, and the size of the sensor values if they were all in memory.
With ``--workers``, the same on a Dask cluster of this machine, one task per part, and the ratios.

    python -m benchmarks.partitions --times 1 10 --folder /tmp/parts --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.processes import run_code
from trainer.simulation.simulate import NUM_SUBJECTS, _cast, record, recordings_table

VALUES_PER_ROW, BYTES = 332, 4  # sensor columns, float32
ONE = r"""
import hashlib, json, resource, sys, tempfile, time
from trainer.config import make_config
from trainer.run.parts import MadeHere
from trainer.run.recordings import load_dataset
from trainer.run.workers.dask_parts import MadeOnDask
from trainer.store.checksums import CheckedFolder
from trainer.store.names import RunPaths
config = make_config("full", {"data.source": sys.argv[1]}, environment={})
num_workers = int(sys.argv[2])
with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
    folder = CheckedFolder(Path(name))
    maker = MadeHere() if num_workers == 0 else MadeOnDask(
        RunPaths(Path(name)), 1, "dask", None, num_workers, print, print)
    if num_workers:
        maker._connect()  # the start of a cluster takes seconds, whatever the parts
    marks = [time.perf_counter()]
    dataset = load_dataset(config, maker)
    marks.append(time.perf_counter())
    dataset.open_features(folder, lambda: None)
    marks.append(time.perf_counter())
    table_peak = peak_gb()
    dataset.open_frames(folder, lambda: None)
    marks.append(time.perf_counter())
    maker.close()
    digest = hashlib.sha256(dataset.features.values_NF)
    digest.update(next(Path(name).glob("units/frames_*.npy")).read_bytes())
    size = dataset.size
    print(json.dumps({
        "sequences": size.num_sequences, "rows": size.num_rows, "features": size.num_features,
        "survey": marks[1] - marks[0], "table": marks[2] - marks[1], "frames": marks[3] - marks[2],
        "peak": table_peak, "peak_with_frames": peak_gb(), "digest": digest.hexdigest(),
        "worker_peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6}))
"""


def write_parts(folder: Path, times: int, num_subjects: int) -> Path:
    """Write one file per subject, unless the folder exists."""
    target = folder / f"parts{times}x{num_subjects}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for seed in range(times):
            for number in range(num_subjects):
                person, trials = _cast(seed, number)
                table = recordings_table(person, trials, record(seed, person, trials))
                renamed = table.with_columns(
                    pl.format("S{}_{}", pl.lit(seed), column).alias(column)
                    for column in ("subject", "sequence_id")
                )
                part = Path(name) / "done" / f"subject={renamed['subject'][0]}"
                part.mkdir(parents=True)
                renamed.write_parquet(part / "part.parquet")
        (Path(name) / "done").rename(target)
    return target


def print_one(times: int, one: dict[str, Any]) -> None:
    """Print the cost of one process."""
    in_memory_gb = one["rows"] * VALUES_PER_ROW * BYTES / 1e9
    print(
        f"{times} x: {one['sequences']:,} sequences, {one['rows']:,} rows, "
        f"{one['features']:,} features; survey {one['survey']:.1f} s, table "
        f"{one['table']:.1f} s, frames {one['frames']:.1f} s; peak {one['peak']:.2f} GB, "
        f"with frames {one['peak_with_frames']:.2f} GB (sensor values alone: {in_memory_gb:.1f})",
        flush=True,
    )


def print_ratios(one: dict[str, Any], several: dict[str, Any], num_workers: int) -> None:
    """Print the speed of several workers against one process, and whether the bytes are equal."""
    stages = ("survey", "table", "frames")
    ratios = ", ".join(f"{stage} {one[stage] / several[stage]:.2f}" for stage in stages)
    total = sum(one[stage] for stage in stages) / sum(several[stage] for stage in stages)
    is_equal = one["digest"] == several["digest"]
    print(
        f"  {num_workers} workers, times as fast: {ratios}, all {total:.2f}; peak of a worker "
        f"{several['worker_peak']:.2f} GB, of the coordinator {several['peak_with_frames']:.2f} "
        f"GB; bytes {'equal' if is_equal else 'NOT EQUAL'}",
        flush=True,
    )


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--subjects", type=int, default=NUM_SUBJECTS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=0, help="of a Dask cluster; 0: none")
    parser.add_argument("--pairs", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for times in options.times:
        source = str(write_parts(options.folder, times, options.subjects))
        for _ in range(options.pairs):
            one = run_code(ONE, source, "0")
            print_one(times, one)
            if options.workers:
                several = run_code(ONE, source, str(options.workers))
                print_ratios(one, several, options.workers)


if __name__ == "__main__":
    main()
