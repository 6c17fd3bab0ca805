"""Time of one prediction: warm, with contributions, in a batch, and the first of a process.

In: a finished run with all sensors; without one, a run of 18 gestures is trained first (a minute or
two).

    python -m benchmarks predict_one                            trains, measures, writes the report
    python -m benchmarks.predict_one state/my-run               measures and prints
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from benchmarks.processes import open_browser
from benchmarks.report import Row, at_least, at_most, print_rows
from tests.browser.dashboard import CHROMIUM, Dashboard
from tests.support.builders import make_table
from trainer.data.sources import sequences_from_table

NUM_CLASSES, NUM_TARGETS = 18, 8  # as the competition
LENGTH = 47  # steps at least; median 59, as in the competition
PURPOSE = "Predictions of a finished run of 18 gestures, all sensors: 5 folds of each model."
NUM_BATCH = 1000
NUM_PAIRS = 5  # of single sequences and a batch, in turns
NUM_VISITS = 3
SETTINGS = (
    *("boosting.rounds=300", "boosting.learning_rate=0.003"),
    *("boosting.segment_rounds=100", "boosting.num_threads=1", "network.epochs=2"),
)
FIRST = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from benchmarks.predict_one import make_sequences
from trainer.predict.predictor import Predictor
sequence = make_sequences(1)
Predictor.load(Path(sys.argv[1])).predict(sequence)
print(time.perf_counter() - began)
"""


def make_run(folder: Path) -> Path:
    """Train a run of 18 gestures with all sensors; half of the labels are random.

    Random labels keep every tree splitting until the last round.
    """
    gestures = tuple(
        (f"Gesture {number:02d}", "Target" if number < NUM_TARGETS else "Non-Target")
        for number in range(NUM_CLASSES)
    )
    table = make_table(num_subjects=10, sequences_per_subject=54, gestures=gestures, length=LENGTH)
    random = np.random.default_rng(0)
    drawn = {
        name: gestures[random.integers(NUM_CLASSES) if random.random() < 0.5 else n % NUM_CLASSES]
        for n, name in enumerate(table["sequence_id"].unique(maintain_order=True))
    }
    ids = pl.col("sequence_id")
    table = table.with_columns(
        gesture=ids.replace_strict({name: gesture for name, (gesture, _) in drawn.items()}),
        sequence_type=ids.replace_strict({name: kind for name, (_, kind) in drawn.items()}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "recordings.parquet")
    source = str(folder / "recordings.parquet")
    command = [sys.executable, "-m", "trainer", "train", "--run", "run", "--state", str(folder)]
    command += ["--data", source, *(word for one in SETTINGS for word in ("--set", one))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def make_sequences(count: int):
    """Return unlabelled sequences with all sensors, about 59 steps each."""
    table = make_table(
        num_subjects=1, sequences_per_subject=count, length=LENGTH, seed=3, labelled=False
    )
    return sequences_from_table(table)


def measure(root: Path | None = None, repeats: int = 50) -> list[Row]:
    """Return the rows of the table; trains a run first where none is given."""
    if root is not None:
        return [*measure_warm(root, repeats), *measure_first(root)]
    with tempfile.TemporaryDirectory() as name:
        return measure(make_run(Path(name)), repeats)


def measure_warm(root: Path, repeats: int) -> list[Row]:
    """Measure a warm predictor: one sequence, its contributions, a batch beside single ones."""
    from trainer.explain.contributions import contributions_of
    from trainer.predict.predictor import Predictor

    predictor = Predictor.load(root)
    one, many = make_sequences(1), make_sequences(NUM_BATCH)
    median, late, busy = clock(lambda: predictor.predict(one), repeats)
    why, _, busy_why = clock(lambda: contributions_of(predictor, one, 0, 1), repeats)
    num_folds = sum(len(fitted.folds) for fitted in predictor.models.values())
    pairs = [
        (clock(lambda: predictor.predict(one), 10), clock(lambda: predictor.predict(many), 1))
        for _ in range(NUM_PAIRS)
    ]
    wall = statistics.median(NUM_BATCH * single[0] / batch[0] for single, batch in pairs)
    processor = statistics.median(NUM_BATCH * single[2] / batch[2] for single, batch in pairs)
    each_ms = statistics.median(batch[0] for _, batch in pairs) / NUM_BATCH
    busy_each_ms = statistics.median(batch[2] for _, batch in pairs) / NUM_BATCH
    return [
        at_most(f"one sequence, warm, {num_folds} fold models", median, 80, " ms", 0),
        at_most("the same, 95th percentile", late, 150, " ms", 0),
        Row("the same, processor", f"{busy:.0f} ms"),
        at_most("its contributions, more", why, 300, " ms", 0),
        Row("the same, processor", f"{busy_why:.0f} ms"),
        Row(f"one of {NUM_BATCH:,} in a batch", f"{each_ms:.2f} ms"),
        Row("the same, processor", f"{busy_each_ms:.2f} ms"),
        at_least("one alone / one of a batch, median of pairs", wall, 10, "", 1),
        Row("the same, processor", f"{processor:.1f}"),
    ]


def measure_first(root: Path) -> list[Row]:
    """Measure the first prediction of a process, and on the page from the dashboard's start."""
    seconds = subprocess.run(
        [sys.executable, "-c", FIRST, str(root)], capture_output=True, text=True, check=True
    ).stdout
    rows = [at_most("first prediction of a process", float(seconds), 5, " s", 1)]
    if CHROMIUM is not None:
        visits = [visit(root) for _ in range(NUM_VISITS)]
        wall, busy = (statistics.median(part) for part in zip(*visits, strict=True))
        what = "first prediction on the page, from the dashboard's start"
        rows += [at_most(what, wall, 5, " s", 1), Row("the server's processor", f"{busy:.1f} s")]
    return rows


def visit(root: Path) -> tuple[float, float]:
    """Start a dashboard, open Predict, wait for the prediction.

    Returns:
        Seconds until it is shown, and seconds of the server's processor.
    """
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        state = Path(name) / "state"
        state.mkdir()
        (state / "run").symlink_to(root.resolve())
        page, dashboard = browser.new_page(), Dashboard(state)
        began = time.perf_counter()
        try:
            dashboard.start()
            page.goto(dashboard.url("predict?run=run"))
            page.get_by_test_id("stMetric").first.wait_for(timeout=120_000)
            seconds = time.perf_counter() - began
            used = psutil.Process(dashboard.process.pid).cpu_times()
        finally:
            dashboard.close()
    return seconds, used.user + used.system


def clock(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Return median and 95th percentile of the wall clock, and the processor's median, in ms."""
    if repeats > 1:
        work()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(1e3 * (time.perf_counter() - wall))
        processors.append(1e3 * (time.process_time() - processor))
    late = float(np.percentile(walls, 95))
    return statistics.median(walls), late, statistics.median(processors)


def main() -> None:
    """Measure a finished run, without writing the report."""
    parser = argparse.ArgumentParser(description="Time of one prediction of a finished run.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    print_rows(measure(options.run, options.repeats))


if __name__ == "__main__":
    main()
