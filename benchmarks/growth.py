"""How cost grows: twice and four times the subjects, the length and the gestures, ratio to linear.

In: simulated recordings; longer ones have every row twice or four times, more gestures are the same
ones under two or four names. Out: for features, 25 rounds of LightGBM and an epoch of the network
with its validation, processor seconds and peak memory beside the smallest size, divided by how
much the rows grew, or for gestures by how many more there are. 1 is linear; below is better.

    python -m benchmarks growth
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.features import make_sources
from benchmarks.report import Row, at_most

PURPOSE = (
    "Cost at two and four times the work, divided by the growth of the work (1 is linear). "
    "Processor seconds of one fresh process a size."
)
SUBJECTS = 10  # 70,000 rows; four times that is half of the competition's size
SLACK = 1.1  # what two runs of the same work differ by on a busy machine
REPEATS = 1  # of each size; of several, the least processor time counts
STAGES = ("features", "LightGBM", "network")
ONE = r"""
import json, re, sys, time
from pathlib import Path
from trainer.run.machine import pin
pin("machine")  # as a run does, before they are loaded
import torch, lightgbm
from trainer.config import make_config
from trainer.features.frames import frame_length
from trainer.features.feature_table import build_table
from trainer.folds import split
from trainer.models.boosting.fold import BoostingTask, fit_fold as fit_boosting
from trainer.models.network.fold import NetworkTask, fit_fold as fit_network
from trainer.models.monitor import SilentMonitor
from trainer.run.inputs.recordings import load_dataset
marks = []
def mark():
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    marks.append((time.process_time(), peak / 1e6))
settings = ["boosting.rounds=25", "boosting.patience_rounds=25", "network.epochs=1"]
config = make_config("full", {"data.source": sys.argv[1]}, settings, {})
mark()
material = load_dataset(config)
table = build_table(material.signals)
mark()
folds = material.assign_folds()
train_idx, valid_idx = split(folds.fold_N, 0)
labels = folds.labels
common = dict(label_idx=folds.label_idx, num_classes=labels.num_classes,
              num_targets=labels.num_targets, train_idx=train_idx, valid_idx=valid_idx)
boosting = BoostingTask(values_NF=table.values_NF, names=table.names, **common)
fit_boosting(boosting, config.boosting, 42, 0, SilentMonitor())
mark()
length = frame_length(material.lengths_N, train_idx, None)
network = NetworkTask(
    frames=material.frames, length=length, annotations=material.annotations, **common)
fit_network(network, config.network, 42, 0, SilentMonitor())
mark()
print(json.dumps({"rows": material.catalogue.num_rows, "gestures": labels.num_classes,
                  "seconds": [b[0] - a[0] for a, b in zip(marks, marks[1:])],
                  "peaks": [peak for _, peak in marks[1:]]}))
"""


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        folder = Path(name)
        subjects = {times: make_sources(folder, times * SUBJECTS)[1] for times in (1, 2, 4)}
        small = run_often(subjects[1])
        rows = [
            Row(
                f"the smallest: {SUBJECTS} subjects, {small['rows']:,} rows, "
                f"{small['gestures']} gestures",
                ", ".join(
                    f"{stage} {seconds:.2f} s {peak:.2f} GB"
                    for stage, seconds, peak in zip(
                        STAGES, small["seconds"], small["peaks"], strict=True
                    )
                ),
            )
        ]
        for times in (2, 4):
            rows += compare(f"subjects x{times}", small, run_often(subjects[times]), "rows")
        for what, change, unit in (
            ("length", stretch, "rows"),
            ("gestures", rename, "gestures"),
        ):
            for times in (2, 4):
                source = changed(subjects[1], what, times, change)
                rows += compare(f"{what} x{times}", small, run_often(source), unit)
    return rows


def run_often(source: Path) -> dict:
    """Return the least seconds of each stage, and the largest peaks, of fresh processes."""
    command = (sys.executable, "-c", ONE, str(source))
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(REPEATS)
    ]
    seconds = [min(values) for values in zip(*(run["seconds"] for run in runs), strict=True)]
    peaks = [max(values) for values in zip(*(run["peaks"] for run in runs), strict=True)]
    return {**runs[0], "seconds": seconds, "peaks": peaks}


def compare(what: str, small: dict, large: dict, unit: str) -> list[Row]:
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


def changed(
    source: Path, what: str, times: int, change: Callable[[pl.DataFrame, int], pl.DataFrame]
) -> Path:
    """Write the recordings with a change; return the folder."""
    target = source.with_name(f"{source.name}-{what}{times}")
    shutil.copytree(source, target)
    table = pl.read_parquet(source / "train.parquet")
    change(table, times).write_parquet(target / "train.parquet")
    return target


def stretch(table: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the recordings with every row standing ``times`` times."""
    longer = table.select(pl.all().repeat_by(times).explode())
    return longer.with_columns(
        sequence_counter=pl.int_range(pl.len()).over("sequence_id"),
        row_id=pl.col("sequence_id") + "_" + pl.int_range(pl.len()).over("sequence_id").cast(str),
    )


def rename(table: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the recordings with ``times`` names for each gesture, dealt out by sequence."""
    number = pl.col("sequence_id").rank("dense") % times
    return table.with_columns(gesture=pl.col("gesture") + " " + number.cast(str))
