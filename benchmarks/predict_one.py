"""What one answer costs: warm, with contributions, in a batch, and the first of a process.

In: a finished run with all sensors; or a folder, where a run of 18 gestures is trained first (some
minutes), so slowly that every fold keeps its 300 rounds.
Out: milliseconds, beside the aims of issue 5, and the load of the machine.

    python -m benchmarks.predict_one --run state/my-run
    python -m benchmarks.predict_one --make /tmp/bench          makes /tmp/bench/run, then measures
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from tests.builders import make_table
from trainer.config import make_config
from trainer.data.sources import sequences_from_table
from trainer.run.order import execute
from trainer.run.session import Limits

NUM_CLASSES, NUM_TARGETS = 18, 8  # as the competition
LENGTH = 47  # steps; up to half as many more, 59 in the middle, as the competition
NUM_BATCH = 1000
SETTINGS = (
    *("boosting.rounds=300", "boosting.patience_rounds=300", "boosting.learning_rate=0.003"),
    *("boosting.segment_rounds=100", "boosting.num_threads=1", "network.epochs=2"),
)
FIRST = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from benchmarks.predict_one import make_sequences
from trainer.predict import Predictor
sequence = make_sequences(1)
Predictor.load(Path(sys.argv[1])).predict(sequence)
print(time.perf_counter() - began)
"""


def make_run(folder: Path) -> Path:
    """Train a run of 18 gestures with all sensors; half of the labels are drawn by lot.

    Labels that cannot be learnt keep every tree busy until the last round.
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
    config = make_config(
        "full", {"data.source": str(folder / "recordings.parquet")}, SETTINGS, environment={}
    )
    execute(folder / "run", config, Limits(), print)
    return folder / "run"


def make_sequences(count: int):
    """Return unlabelled sequences with all sensors, about 59 steps each."""
    table = make_table(
        num_subjects=1, sequences_per_subject=count, length=LENGTH, seed=3, labelled=False
    )
    return sequences_from_table(table)


def clock(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Return median and 95th percentile of the wall clock, and the processor's median, in ms."""
    work()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(1e3 * (time.perf_counter() - wall))
        processors.append(1e3 * (time.process_time() - processor))
    late = float(np.percentile(walls, 95))
    return statistics.median(walls), late, statistics.median(processors)


def measure(root: Path, repeats: int) -> None:
    """Print every number of issue 5 that is about time."""
    from trainer.explain.contributions import contributions_of
    from trainer.predict import Predictor

    predictor = Predictor.load(root)
    boosted = predictor.halves["lgbm"].folds
    rounds = [each.booster.num_trees() // len(each.class_idx) for each in boosted]
    print(f"{root}: {len(boosted[0].names):,} features, rounds a fold {rounds}")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    one = make_sequences(1)
    median, late, processor = clock(lambda: predictor.predict(one), repeats)
    print(
        f"one sequence, warm: median {median:.0f} ms (aim 80), 95th percentile {late:.0f} ms "
        f"(aim 150), processor {processor:.0f} ms"
    )
    why, _, busy = clock(lambda: contributions_of(predictor, one, 0, 1), repeats)
    print(f"contributions: {why:.0f} ms more (aim 300), processor {busy:.0f} ms")
    many = make_sequences(NUM_BATCH)
    batch, _, busy = clock(lambda: predictor.predict(many), 2)
    print(
        f"{NUM_BATCH:,} sequences: {batch / NUM_BATCH:.2f} ms each, "
        f"{NUM_BATCH * median / batch:.1f} times faster (aim 10); processor "
        f"{busy / NUM_BATCH:.2f} ms, {NUM_BATCH * processor / busy:.1f} times"
    )
    seconds = subprocess.run(
        [sys.executable, "-c", FIRST, str(root)], capture_output=True, text=True, check=True
    ).stdout
    print(f"first answer of a process: {float(seconds):.1f} s (aim 5)")


def main():
    """Measure one run, made first where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path)
    source.add_argument("--make", type=Path, metavar="DIR")
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    measure(options.run or make_run(options.make), options.repeats)


if __name__ == "__main__":
    main()
