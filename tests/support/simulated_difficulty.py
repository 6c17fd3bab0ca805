"""How hard the simulated recordings are: LightGBM on plain statistics, by subject.

In: how many subjects and folds. Out: the competition's score with motion alone, with all sensors,
and with shuffled labels.

Shapes: N sequences, T time steps, C channels, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Sequences
from trainer.folds import assign_folds, split
from trainer.metric import Score, competition_score
from trainer.simulation.simulate import simulate

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
MOTION_ROUNDS, ALL_ROUNDS = 80, 100


@dataclass(frozen=True)
class Difficulty:
    """Out-of-fold scores: motion alone, all sensors, motion with shuffled labels."""

    motion: Score
    all_sensors: Score
    shuffled: Score


def measure_difficulty(num_subjects: int, num_folds: int, threads: int = 1) -> Difficulty:
    """Simulate and score."""
    sequences = simulate(num_subjects)
    motion_NF = _statistics(sequences, (sequences.acc_T3, sequences.rot_T4))
    all_NF = np.hstack([motion_NF, _statistics(sequences, (sequences.thm_T5, sequences.tof_T320))])
    shuffled_N = np.random.default_rng(0).permutation(sequences.label_idx)
    return Difficulty(
        _score(motion_NF, sequences.label_idx, sequences, num_folds, MOTION_ROUNDS, threads),
        _score(all_NF, sequences.label_idx, sequences, num_folds, ALL_ROUNDS, threads),
        _score(motion_NF, shuffled_N, sequences, num_folds, 20, threads),
    )


def _statistics(sequences: Sequences, arrays) -> NDArray[np.float32]:
    """Return mean, standard deviation and quantiles of every channel, (N, F)."""
    x_TC = np.hstack(arrays)
    rows = []
    for first, last in zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True):
        part = np.sort(x_TC[first:last], axis=0)
        picks = np.rint(np.array(QUANTILES) * (last - first - 1)).astype(int)
        rows.append(np.concatenate([part.mean(axis=0), part.std(axis=0), *part[picks]]))
    return np.array(rows, dtype=np.float32)


def _score(x_NF, label_idx, sequences: Sequences, num_folds: int, rounds: int, threads: int):
    """Return the score of a few rounds of LightGBM, out of fold."""
    import lightgbm

    settings = {
        "objective": "multiclass",
        "num_class": 18,
        "learning_rate": 0.1,
        "num_leaves": 15,
        "feature_fraction": 0.5 if x_NF.shape[1] < 1000 else 0.05,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63 if x_NF.shape[1] < 1000 else 31,
        "seed": 1,
        "num_threads": threads,
        "verbose": -1,
    }
    fold_N = assign_folds(label_idx, sequences.subjects, num_folds, seed=42)
    predicted_N = np.zeros_like(label_idx)
    for fold in range(num_folds):
        train_idx, valid_idx = split(fold_N, fold)
        data = lightgbm.Dataset(x_NF[train_idx], label_idx[train_idx])
        model = lightgbm.train(settings, data, rounds)
        predicted_N[valid_idx] = model.predict(x_NF[valid_idx]).argmax(axis=1)
    return competition_score(label_idx, predicted_N, sequences.labels.num_targets)
