"""A LightGBM fold as a run boosts it, against one plain ``LGBMClassifier``.

The plain one has the notebook family's settings: 1,024 trees a gesture, 20 leaves, depth 8,
learning rate 0.025, 255 bins, half of the columns a tree; same rows, columns and threads.

In: simulated recordings. Out: the ratio of their seconds and both scores of the fold.

    python -m benchmarks boosting
    python -m benchmarks.boosting --subjects 20      another size, not written to the report
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from benchmarks.report import Row, at_least, at_most
from trainer.config import BoostingConfig
from trainer.data.preprocess import preprocess
from trainer.data.simulate import NUM_SUBJECTS, simulate
from trainer.features.table import build_table
from trainer.folds import assign_folds, split
from trainer.metric import competition_score
from trainer.models.boosting import fit_fold
from trainer.models.boosting_data import BoostingTask
from trainer.models.monitor import SilentMonitor
from trainer.run.machine import pin

PURPOSE = "One LightGBM fold against one plain LGBMClassifier with the notebook family's settings."
ROUNDS = 1024
SUBJECTS = 8  # the whole size took the plain one 2 s a round on two busy cores
FIRST_ROUNDS = 50  # of the whole size
FAMILY = {
    "num_leaves": 20,
    "max_depth": 8,
    "learning_rate": 0.025,
    "max_bin": 255,
    "colsample_bytree": 0.5,
    "reg_alpha": 0.1,
    "reg_lambda": 0.1,
}


def measure() -> list[Row]:
    """Return the rows of the table: whole folds of few subjects, and the first rounds of all."""
    return [*compare(SUBJECTS, ROUNDS), *compare(NUM_SUBJECTS, FIRST_ROUNDS)]


def compare(num_subjects: int, rounds: int) -> list[Row]:
    """Return the rows of one size; fewer rounds than ROUNDS are the first of a fold."""
    pin("machine")  # before LightGBM is loaded, as a run does
    task = make_task(num_subjects)
    config = BoostingConfig()
    if rounds < ROUNDS:
        config = config.model_copy(update={"rounds": rounds, "patience_rounds": rounds})
    ours_s, our_score, num_rounds = _boost(task, config)
    plain_s, plain_score = _boost_plainly(task, rounds, config.num_threads)
    size = f"{len(task.train_idx):,} x {len(task.names):,}, {config.num_threads} threads"
    ratio, gap = ours_s / plain_s, our_score - plain_score
    rows = [
        Row(f"ours ({size})", f"{ours_s:.1f} s, {num_rounds} rounds, score {our_score:.4f}"),
        Row("plain", f"{plain_s:.1f} s, {rounds} rounds, score {plain_score:.4f}"),
        at_most("seconds a round, ours / plain", ratio * rounds / num_rounds, 0.333, digits=3),
    ]
    if rounds < ROUNDS:  # unfinished models: their scores say nothing
        return rows
    return [
        *rows,
        at_most("seconds, ours / plain", ratio, 0.333, digits=3),
        at_least("score, ours - plain", gap, 0.0, digits=4),
    ]


def make_task(num_subjects: int) -> BoostingTask:
    """Return fold 0 of five of simulated recordings."""
    sequences = simulate(num_subjects)
    table = build_table(preprocess(sequences))
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, 5, 42)
    train_idx, valid_idx = split(fold_N, 0)
    return BoostingTask(
        values_NF=table.values_NF,
        names=table.names,
        label_idx=sequences.label_idx,
        num_classes=sequences.labels.num_classes,
        num_targets=sequences.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
    )


def _boost(task: BoostingTask, config: BoostingConfig) -> tuple[float, float, int]:
    """Boost as a run does; return seconds, score and rounds."""
    began = time.perf_counter()
    fold = fit_fold(task, config, 42, 0, SilentMonitor())
    return time.perf_counter() - began, fold.score.score, fold.num_rounds


def _boost_plainly(task: BoostingTask, rounds: int, num_threads: int) -> tuple[float, float]:
    """Fit and predict as the notebook family does; return seconds and score."""
    from lightgbm import LGBMClassifier

    train_NF, valid_NF = task.values_NF[task.train_idx], task.values_NF[task.valid_idx]
    model = LGBMClassifier(
        n_estimators=rounds, n_jobs=num_threads, random_state=42, verbosity=-1, **FAMILY
    )
    began = time.perf_counter()
    model.fit(train_NF, task.label_idx[task.train_idx])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that a bare array does not have
        predicted_idx = np.asarray(model.predict(valid_NF))
    seconds = time.perf_counter() - began
    true_idx = task.label_idx[task.valid_idx]
    return seconds, competition_score(true_idx, predicted_idx, task.num_targets).score


def main() -> None:
    """Measure another size, without writing the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    for row in compare(options.subjects, options.rounds):
        print(f"{row.what}: {row.value} {row.aim}", flush=True)


if __name__ == "__main__":
    main()
