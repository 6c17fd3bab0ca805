"""The competition's score: the mean of a binary F1 (target or not) and a macro F1 (which target).

In: class indices with the targets first. Out: ``Score``; or counts that add up over sequences, and
the score and accuracy that follow from them.
Source: the metric of "CMI - Detect Behavior with Sensor Data".

Shapes: N sequences, G groups of them, T targets. The last two axes of counts, 2 and T + 3: twice
the hits and the cases of the binary F1, of the F1 of each target and of the non-targets, and of the
accuracy. Each of these is the hits, counted twice, divided by the cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURES = ("score", "accuracy")  # the last axis of ``measures``


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
    one_group = np.zeros(len(true_idx), dtype=np.int64)
    hits, cases = count_cases(true_idx, predicted_idx, num_targets, one_group)[0]
    share = hits / np.maximum(cases, 1)
    macro_f1 = float(np.mean(share[1:-1][cases[1:-1] > 0]))
    return Score(binary_f1=float(share[0]), macro_f1=macro_f1)


def count_cases(
    true_idx: NDArray[np.int64],
    predicted_idx: NDArray[np.int64],
    num_targets: int,
    group_idx: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Count hits and cases in each group of sequences.

    Args:
        true_idx: (N,) class indices; below num_targets is a target.
        predicted_idx: (N,) class indices.
        num_targets: How many of the first classes are targets.
        group_idx: (N,) group of each sequence, 0..G-1, such as its subject.

    Returns:
        (G, 2, T + 3) counts.
    """
    num_groups, num_classes = int(group_idx.max()) + 1, num_targets + 1
    true_N = np.minimum(true_idx, num_targets)
    predicted_N = np.minimum(predicted_idx, num_targets)
    cell_N = (group_idx * num_classes + true_N) * num_classes + predicted_N
    cells = np.bincount(cell_N, minlength=num_groups * num_classes**2)
    cells_GKK = cells.reshape(num_groups, num_classes, num_classes)
    targets_GKK = cells_GKK[:, :num_targets, :num_targets]
    true_GK, predicted_GK = cells_GKK.sum(axis=2), cells_GKK.sum(axis=1)
    correct_G = np.bincount(group_idx[true_idx == predicted_idx], minlength=num_groups)
    counts = np.empty((num_groups, 2, num_targets + 3), dtype=np.int64)
    counts[:, 0, 0] = 2 * targets_GKK.sum(axis=(1, 2))
    counts[:, 1, 0] = (true_GK + predicted_GK)[:, :num_targets].sum(axis=1)
    counts[:, 0, 1:-1] = 2 * np.diagonal(cells_GKK, axis1=1, axis2=2)
    counts[:, 1, 1:-1] = true_GK + predicted_GK
    counts[:, 0, -1] = 2 * correct_G
    counts[:, 1, -1] = 2 * true_GK.sum(axis=1)
    return counts


def measures(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return score and accuracy of counts.

    Args:
        counts: (..., 2, T + 3) of ``count_cases``, or sums of them.

    Returns:
        (..., 2) in 0..1, in the order of MEASURES.
    """
    hits, cases = counts[..., 0, :], counts[..., 1, :]
    share = hits / np.maximum(cases, 1)
    num_present = np.maximum((cases[..., 1:-1] > 0).sum(axis=-1), 1)
    macro_f1 = share[..., 1:-1].sum(axis=-1) / num_present  # absent classes have a share of 0
    return np.stack([0.5 * share[..., 0] + 0.5 * macro_f1, share[..., -1]], axis=-1)
