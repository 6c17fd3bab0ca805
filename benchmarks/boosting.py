"""A LightGBM fold of a run against one plain ``LGBMClassifier``.

The plain classifier has the notebook family's settings: 1,024 trees a gesture, 20 leaves, depth 8,
learning rate 0.025, 255 bins, half of the columns a tree. Rows, columns and threads are the same;
in 30 % of its training rows thermopiles and time of flight are missing, as in the family.

Processor seconds: with one thread they are the seconds of a quiet machine.

In: simulated recordings. Out: the ratio of the seconds, and both scores of the fold.

    python -m benchmarks boosting
    python -m benchmarks.boosting --subjects 20      another size, not written to the report
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np

from benchmarks.recordings import SEED, make_task
from benchmarks.report import Row, at_least, at_most, print_rows
from trainer.config import BoostingConfig
from trainer.data.preprocess import preprocess
from trainer.features.feature_table import build_table
from trainer.metric import competition_score
from trainer.models.base import FoldTask
from trainer.models.boosting.booster import hideable_mask
from trainer.models.boosting.fold import fit_fold
from trainer.models.boosting.fold_data import FoldData
from trainer.models.monitor import SilentMonitor
from trainer.run.machine import pin
from trainer.simulation.simulate import NUM_SUBJECTS, simulate

PURPOSE = "One LightGBM fold against one plain LGBMClassifier with the notebook family's settings."
ROUNDS = 1024
SUBJECTS = 8  # all subjects take the plain classifier half an hour
FIRST_ROUNDS = 30  # with all subjects; a later round takes as long
FOLD = 0
FAMILY_DROPOUT = 0.3  # competition.md 8.1
FAMILY = {
    "num_leaves": 20,
    "max_depth": 8,
    "learning_rate": 0.025,
    "max_bin": 255,
    "colsample_bytree": 0.5,
    "reg_alpha": 0.1,
    "reg_lambda": 0.1,
}


@dataclass(frozen=True)
class Fitted:
    """Time and scores of a fold: with all sensors, and with the IMU alone."""

    seconds: float
    rounds: int
    score: float
    imu_score: float

    def text(self) -> str:
        """Return seconds, rounds and scores as one line."""
        scores = f"score {self.score:.4f}, IMU only {self.imu_score:.4f}"
        return f"{self.seconds:.1f} s, {self.rounds} rounds, {scores}"


def measure() -> list[Row]:
    """Return the rows of the table: a fold of few subjects, and the time of a fold of all."""
    return [*compare(SUBJECTS, ROUNDS), *compare(NUM_SUBJECTS, FIRST_ROUNDS)]


def compare(num_subjects: int, rounds: int) -> list[Row]:
    """Return the rows of one size; with fewer than ROUNDS the plain time is extrapolated."""
    pin("machine")  # before LightGBM is loaded, as a run does
    task, config = make_boosting_task(num_subjects), BoostingConfig()
    ours, plain = boost(task, config), boost_plainly(task, config, rounds)
    size = f"{len(task.train_idx):,} x {len(task.inputs.names):,}, {config.num_threads} thread"
    plain_s = plain.seconds * ROUNDS / rounds
    rows = [Row(f"ours ({size})", ours.text())]
    if rounds < ROUNDS:  # an unfinished model has no scores to compare
        what = f"plain, {rounds} rounds in {plain.seconds:.1f} s, so {ROUNDS:,}"
        return [*rows, Row(what, f"{plain_s:.0f} s"), _ratio(ours.seconds / plain_s)]
    return [
        *rows,
        Row("plain", plain.text()),
        _ratio(ours.seconds / plain_s),
        at_least("score, ours - plain", ours.score - plain.score, 0.0, digits=4),
        at_least(
            "score of the IMU alone, ours - plain", ours.imu_score - plain.imu_score, 0.0, digits=4
        ),
    ]


def _ratio(ratio: float) -> Row:
    return at_most("seconds, ours / plain", ratio, 0.333, digits=3)


def make_boosting_task(num_subjects: int) -> FoldTask:
    """Return one fold of five of simulated recordings."""
    sequences = simulate(num_subjects)
    return make_task(sequences, build_table(preprocess(sequences)), FOLD)


def boost(task: FoldTask, config: BoostingConfig) -> Fitted:
    """Fit a fold as a run does, including its predictions of the validation part."""
    began = time.process_time()
    fold = fit_fold(task, config, SEED, FOLD, SilentMonitor())
    seconds = time.process_time() - began
    assert fold.valid_proba_imu_NK is not None
    predicted = (fold.valid_proba_NK.argmax(axis=1), fold.valid_proba_imu_NK.argmax(axis=1))
    return Fitted(seconds, fold.num_rounds, *(_score(task, one) for one in predicted))


def boost_plainly(task: FoldTask, config: BoostingConfig, rounds: int) -> Fitted:
    """Fit and predict as the notebook family does, optional sensors hidden in some rows."""
    from lightgbm import LGBMClassifier

    hiding = config.model_copy(update={"masked_copies": 0.0, "modality_dropout": FAMILY_DROPOUT})
    train_NF = FoldData.build(task, hiding, SEED, FOLD).train_NF
    valid_NF = task.inputs.values_NF[task.valid_idx]
    imu_NF = np.where(hideable_mask(task.inputs.names), np.float32(np.nan), valid_NF)
    model = LGBMClassifier(
        n_estimators=rounds, n_jobs=config.num_threads, random_state=42, verbosity=-1, **FAMILY
    )
    began = time.process_time()
    model.fit(train_NF, task.label_idx[task.train_idx])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a bare array has no feature names
        predicted = [np.asarray(model.predict(one)) for one in (valid_NF, imu_NF)]
    seconds = time.process_time() - began
    return Fitted(seconds, rounds, *(_score(task, one) for one in predicted))


def _score(task: FoldTask, predicted_idx: np.ndarray) -> float:
    true_idx = task.label_idx[task.valid_idx]
    return competition_score(true_idx, predicted_idx, task.num_targets).score


def main() -> None:
    """Measure another size, without writing the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print_rows(compare(options.subjects, options.rounds))


if __name__ == "__main__":
    main()
