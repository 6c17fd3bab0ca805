"""How cost grows: twice and four times the subjects, the length and the classes, ratio to linear.

In: simulated recordings; LightGBM's part is about classes, on random numbers. Out: seconds and peak
memory beside the smallest size, divided by how much the work grew. 1 is linear; below is better.

    python -m benchmarks growth
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.features import make_sources, run_often
from benchmarks.report import Row, at_most
from trainer.config import BoostingConfig
from trainer.models.boosting import fit_fold
from trainer.models.boosting_data import BoostingTask
from trainer.models.monitor import SilentMonitor

PURPOSE = "Cost at two and four times the work, divided by the growth of the work (1 is linear)."
SUBJECTS = 20  # 140,000 rows; four times that is the competition's size
SLACK = 1.1  # what two runs of the same work differ by on a quiet machine
CLASSES = 10


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        folder = Path(name)
        sources = {times: make_sources(folder, times * SUBJECTS)[1] for times in (1, 2, 4)}
        rows = _compare("subjects", {times: run_often(path) for times, path in sources.items()})
        lengths = {times: _stretch(sources[1], times) for times in (1, 2, 4)}
        rows += _compare("length", {times: run_often(path) for times, path in lengths.items()})
    return rows + _classes()


def _stretch(source: Path, times: int) -> Path:
    """Write the recordings with every row standing ``times`` times; return the folder."""
    if times == 1:
        return source
    target = source.with_name(f"{source.name}-long{times}")
    target.mkdir()
    table = pl.read_parquet(source / "train.parquet")
    longer = table.select(pl.all().repeat_by(times).explode())
    rows = pl.int_range(pl.len()).over("sequence_id")
    longer.with_columns(sequence_counter=rows).write_parquet(target / "train.parquet")
    return target


def _compare(what: str, runs: dict[int, dict]) -> list[Row]:
    """Return time and memory of the larger runs, each divided by its growth."""
    small = runs[1]
    rows = []
    for times in (2, 4):
        run, growth = runs[times], runs[times]["rows"] / small["rows"]
        slower = run["total"] / small["total"] / growth
        larger = run["peak"] / small["peak"] / growth
        detail = f"{run['rows']:,} rows, {run['total']:.2f} s, {run['peak']:.2f} GB"
        rows.append(at_most(f"{what} x{times}, time ({detail})", slower, SLACK))
        rows.append(at_most(f"{what} x{times}, memory", larger, SLACK))
    return rows


def _classes() -> list[Row]:
    """Return the time of 25 rounds with more classes: one tree a class and round."""
    seconds = {times: _boost(times * CLASSES) for times in (1, 2, 4)}
    return [
        at_most(
            f"gestures x{times}, LightGBM rounds ({seconds[times]:.2f} s)",
            seconds[times] / seconds[1] / times,
            SLACK,
        )
        for times in (2, 4)
    ]


def _boost(num_classes: int) -> float:
    """Boost 25 rounds on random numbers; return the best of two times."""
    random = np.random.default_rng(0)
    values_NF = random.standard_normal((4000, 300)).astype(np.float32)
    number = np.arange(len(values_NF))
    task = BoostingTask(
        values_NF=values_NF,
        names=tuple(f"acc.signal{column}.mean" for column in range(values_NF.shape[1])),
        label_idx=number % num_classes,
        num_classes=num_classes,
        num_targets=num_classes // 2,
        train_idx=number[: 4000 * 4 // 5],
        valid_idx=number[4000 * 4 // 5 :],
    )
    config = BoostingConfig(rounds=25, patience_rounds=25)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        fit_fold(task, config, 42, 0, SilentMonitor())
        times.append(time.perf_counter() - began)
    return min(times)
