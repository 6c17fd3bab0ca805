"""The competition's score: the mean of a binary F1 (target or not) and a macro F1 (which target).

In: class indices with the targets first. Out: ``Score``.
Source: the metric of "CMI - Detect Behavior with Sensor Data".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """The competition's score and its two parts, each in 0..1."""

    binary_f1: float
    macro_f1: float

    @property
    def score(self) -> float:
        """Return the mean of the two parts."""
        return 0.5 * self.binary_f1 + 0.5 * self.macro_f1


def competition_score(
    true_idx: NDArray[np.int64], predicted_idx: NDArray[np.int64], num_targets: int
) -> Score:
    """Score predicted gestures.

    Binary F1 with "is a target" as the positive class; macro F1 over the targets and one class for
    all non-targets, averaged over the classes that occur in the truth or the prediction. An F1
    without any case is 0.

    Args:
        true_idx: (N,) class indices; below num_targets is a target.
        predicted_idx: (N,) class indices.
        num_targets: How many of the first classes are targets.

    Raises:
        ValueError: The two arrays differ in shape or are empty.
    """
    if true_idx.shape != predicted_idx.shape or true_idx.size == 0:
        raise ValueError(
            f"score: expected two index arrays of one length, at least 1; got shapes "
            f"{true_idx.shape} and {predicted_idx.shape}"
        )
    true_N = np.minimum(true_idx, num_targets)
    predicted_N = np.minimum(predicted_idx, num_targets)
    binary = _f1(true_N < num_targets, predicted_N < num_targets)
    present = np.union1d(true_N, predicted_N)
    macro = float(np.mean([_f1(true_N == k, predicted_N == k) for k in present]))
    return Score(binary_f1=binary, macro_f1=macro)


def _f1(true_mask: NDArray[np.bool_], predicted_mask: NDArray[np.bool_]) -> float:
    """Return 2 TP / (2 TP + FP + FN); 0 without any case."""
    hits = int(np.sum(true_mask & predicted_mask))
    cases = int(np.sum(true_mask)) + int(np.sum(predicted_mask))
    return 2.0 * hits / cases if cases else 0.0
