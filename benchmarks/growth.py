"""How cost grows with two and four times the subjects, the length and the gestures.

In: simulated recordings. Longer ones repeat every row two or four times; more gestures are the same
ones under two or four names. Out: processor seconds and peak memory of the features, of 25 rounds
of LightGBM and of one epoch of the network with its validation, divided by those of the smallest
size and by the growth of the rows (of the gestures). 1 is linear growth; below is better.

    python -m benchmarks growth
    python -m benchmarks.growth --subjects 2      another size, not written to the report
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.features import write_sources
from benchmarks.processes import run_code
from benchmarks.report import Row, at_most, print_rows

PURPOSE = (
    "Cost at two and four times the work, divided by the growth of the work (1 is linear). "
    "Processor seconds of one fresh process a size."
)
SUBJECTS = 10  # 70,000 rows; four times that is half of the competition's size
SLACK = 1.1  # difference between two runs of the same work on a busy machine
STAGES = ("features", "LightGBM", "network")
ONE = r"""
import json, sys, time
from trainer.run.machine import pin
pin("machine")  # as a run does, before the libraries are loaded
import torch, lightgbm
from benchmarks.recordings import make_task, read_recordings
from trainer.config import make_config
from trainer.data.preprocess import preprocess
from trainer.models import registry
from trainer.models.monitor import SilentMonitor
marks = []
def mark():
    marks.append((time.process_time(), peak_gb()))
settings = ["boosting.rounds=25", "network.epochs=1"]
config = make_config("full", {"data.source": sys.argv[1]}, settings, {})
models = [registry.get(name) for name in ("lgbm", "torch")]
mark()
sequences = read_recordings(sys.argv[1])
signals = preprocess(sequences)
table = models[0].prepare(signals)
mark()
for model in models:
    inputs = table if model.inputs == "features" else model.prepare(signals)
    model.fit(make_task(sequences, inputs), config, 42, 0, SilentMonitor())
    mark()
print(json.dumps({"rows": int(sequences.offsets[-1]), "gestures": sequences.labels.num_classes,
                  "seconds": [b[0] - a[0] for a, b in zip(marks, marks[1:])],
                  "peaks": [peak for _, peak in marks[1:]]}))
"""


def measure(num_subjects: int = SUBJECTS) -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        folder = Path(name)
        by_times = {times: write_sources(folder, times * num_subjects)[1] for times in (1, 2, 4)}
        small = run_code(ONE, str(by_times[1]))
        costs = zip(STAGES, small["seconds"], small["peaks"], strict=True)
        rows = [
            Row(
                f"the smallest: {num_subjects} subjects, {small['rows']:,} rows, "
                f"{small['gestures']} gestures",
                ", ".join(f"{stage} {s:.2f} s {peak:.2f} GB" for stage, s, peak in costs),
            )
        ]
        for times in (2, 4):
            large = run_code(ONE, str(by_times[times]))
            rows += compare(f"subjects x{times}", small, large, "rows")
        for what, change, unit in (
            ("length", repeat_rows, "rows"),
            ("gestures", split_gestures, "gestures"),
        ):
            for times in (2, 4):
                source = write_changed(by_times[1], what, times, change)
                large = run_code(ONE, str(source))
                rows += compare(f"{what} x{times}", small, large, unit)
    return rows


def compare(what: str, small: dict[str, Any], large: dict[str, Any], unit: str) -> list[Row]:
    """Return time and memory of each stage of the larger run, each divided by the growth."""
    growth = large[unit] / small[unit]
    rows = []
    for place, stage in enumerate(STAGES):
        seconds, peak = large["seconds"][place], large["peaks"][place]
        slower = seconds / small["seconds"][place] / growth
        larger = peak / small["peaks"][place] / growth
        rows.append(at_most(f"{what}, {stage}, time ({seconds:.2f} s)", slower, SLACK))
        rows.append(at_most(f"{what}, {stage}, peak memory ({peak:.2f} GB)", larger, SLACK))
    return rows


def write_changed(
    source: Path, what: str, times: int, change: Callable[[pl.DataFrame, int], pl.DataFrame]
) -> Path:
    """Write changed recordings; return their folder."""
    target = source.with_name(f"{source.name}-{what}{times}")
    shutil.copytree(source, target)
    table = pl.read_parquet(source / "train.parquet")
    change(table, times).write_parquet(target / "train.parquet")
    return target


def repeat_rows(table: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the recordings with every row ``times`` times."""
    longer = table.select(pl.all().repeat_by(times).explode())
    return longer.with_columns(
        sequence_counter=pl.int_range(pl.len()).over("sequence_id"),
        row_id=pl.col("sequence_id") + "_" + pl.int_range(pl.len()).over("sequence_id").cast(str),
    )


def split_gestures(table: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the recordings with ``times`` names for each gesture, by sequence."""
    number = pl.col("sequence_id").rank("dense") % times
    return table.with_columns(gesture=pl.col("gesture") + " " + number.cast(str))


def main() -> None:
    """Measure another size, without writing the report."""
    parser = argparse.ArgumentParser(description="How cost grows with the recordings.")
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    print_rows(measure(parser.parse_args().subjects))


if __name__ == "__main__":
    main()
