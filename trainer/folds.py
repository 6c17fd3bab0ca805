"""Folds: every subject in exactly one, gestures balanced as far as subjects allow.

In: labels and subjects. Out: a fold number per sequence. A run assigns them once and stores them:
seeded shuffles differ between scikit-learn versions.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.sequences import LabelTable

# Sequences of the largest fold for each of the smallest. The score of a run is the mean over its
# folds: with more, a sequence of the smallest fold counts more than ten of the largest.
MAX_RATIO = 10


class FoldError(ValueError):
    """A fold that cannot be trained; the message contains the reason and what to do."""


@dataclass(frozen=True)
class FoldAssignment:
    """Which sequence is validated in which fold, in the order of the recordings.

    Attributes:
        sequence_ids: (N,) unicode.
        subjects: (N,) unicode.
        label_idx: (N,) int64 class indices.
        fold_N: (N,) int64.
        labels: The label table.
    """

    sequence_ids: NDArray[np.str_]
    subjects: NDArray[np.str_]
    label_idx: NDArray[np.int64]
    fold_N: NDArray[np.int64]
    labels: LabelTable

    @property
    def num_folds(self) -> int:
        """Return the number of folds."""
        return int(self.fold_N.max()) + 1

    def split(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (train_idx, valid_idx) of one fold."""
        return split(self.fold_N, fold)

    def to_frame(self) -> pl.DataFrame:
        """Return the columns of ``folds.parquet``."""
        return pl.DataFrame(
            {
                "sequence_id": self.sequence_ids,
                "subject": self.subjects,
                "gesture": np.array(self.labels.gestures)[self.label_idx],
                "fold": self.fold_N,
            }
        )


def assign_folds(
    label_idx: NDArray[np.int64], subjects: NDArray[np.str_], num_folds: int, seed: int
) -> NDArray[np.int64]:
    """Assign each sequence to the fold that validates it.

    Args:
        label_idx: (N,) class indices.
        subjects: (N,) subject names; a subject is never in two folds.
        num_folds: Between 2 and the number of subjects.
        seed: Of the shuffle.

    Returns:
        (N,) int64 fold numbers in 0..num_folds-1.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    fold_N = np.full(len(label_idx), -1, dtype=np.int64)
    with warnings.catch_warnings():
        # a gesture with fewer sequences than folds is missing in some; blend.vote accounts for that
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, valid_idx) in enumerate(splitter.split(label_idx, label_idx, subjects)):
            fold_N[valid_idx] = fold
    return fold_N


def check_sizes(fold_N: NDArray[np.int64], num_folds: int, advice: str) -> None:
    """Refuse folds of which one is empty, or much smaller than another.

    The shuffled ``StratifiedGroupKFold`` balances gestures rather than sizes, and can leave a fold
    empty (scikit-learn#32540, #34828).

    Args:
        fold_N: (N,) fold numbers in 0..num_folds-1.
        num_folds: Number of folds.
        advice: What to do, as a sentence.

    Raises:
        FoldError: The folds are not even enough to be scored.
    """
    sizes = np.bincount(fold_N, minlength=num_folds)
    small, large = int(sizes.argmin()), int(sizes.argmax())
    if sizes[small] * MAX_RATIO >= sizes[large] > 0:
        return
    problem = f"fold {small} has {sizes[small]:,} sequences, fold {large} has {sizes[large]:,}"
    if sizes[small] == 0:
        problem = f"fold {small} is empty"
    raise FoldError(
        f"{num_folds} folds: {problem}. Expected at least one sequence for every {MAX_RATIO} of "
        f"the largest fold: the score is the mean over the folds, which all count the same. "
        f"{advice}"
    )


def split(fold_N: NDArray[np.int64], fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (train_idx, valid_idx) of one fold."""
    return np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
