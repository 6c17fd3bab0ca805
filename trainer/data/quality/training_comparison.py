"""Comparison of recordings with the training data of the run that predicts them.

In: ``Sequences``, ``TrainingSummary``. Out: ``Finding``s about length and device orientation.

Shapes: N sequences, M sequences of the training data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.device_orientation import HALF_TURNS
from trainer.data.preprocess import mirror
from trainer.data.quality import bounds
from trainer.data.quality.findings import Finding, first_of, share_text
from trainer.data.sequences import Sequences

Vectors = NDArray[np.float64]

NUM_NEIGHBOURS = 3
NUM_SAMPLED = 400  # training sequences from which the usual distance is estimated
_ROTATION = HALF_TURNS["z"]  # as the devices of two subjects of the competition
_BLOCK_ROWS = 256  # distances computed at once


@dataclass(frozen=True)
class TrainingSummary:
    """What recordings are compared with.

    Attributes:
        lengths_M: (M,) time steps of each training sequence.
        mean_acc_M3: (M, 3) its mean acceleration as the models are given it, m/s2.
    """

    lengths_M: NDArray[np.float64]
    mean_acc_M3: Vectors


def compare(
    sequences: Sequences, training: TrainingSummary, mirror_left_handers: bool
) -> Iterator[Finding]:
    """Yield how recordings differ from the training data.

    Args:
        sequences: The recordings.
        training: What the run was trained on.
        mirror_left_handers: Whether left-handers were mirrored there.
    """
    yield from _length_findings(sequences, training.lengths_M)
    yield from _orientation_findings(sequences, training.mean_acc_M3, mirror_left_handers)


def _length_findings(sequences: Sequences, known_M: NDArray[np.float64]) -> Iterator[Finding]:
    shortest, median, longest = np.percentile(known_M, [0, 50, 100])
    lengths_N = sequences.lengths_N
    expected = f"{shortest:.0f} to {longest:.0f} rows, {median:.0f} in the median"
    for mask_N, what in ((lengths_N < shortest, "shorter"), (lengths_N > longest, "longer")):
        if mask_N.any():
            yield Finding(
                "warning",
                f"{what} than any training sequence ({share_text(mask_N)})",
                expected=expected,
                got=f"{lengths_N[mask_N].min()} to {lengths_N[mask_N].max()}",
                sequence_id=first_of(mask_N, sequences.sequence_ids),
            )
    if ((shortest <= lengths_N) & (lengths_N <= longest)).all():
        got = f"{lengths_N.min()} to {lengths_N.max()}"
        yield Finding("note", "as long as training sequences", expected=expected, got=got)


def _orientation_findings(
    sequences: Sequences, known_M3: Vectors, mirror_left_handers: bool
) -> Iterator[Finding]:
    """Yield whether the device seems to be reversed.

    The rule: the mean acceleration, mostly gravity and so the pose of the wrist, is farther from
    the nearest training sequences than 95 of 100 of those are from each other, and a rotation by
    180 degrees about z at least halves the distance.
    """
    known_M3 = known_M3[~np.isnan(known_M3).any(axis=1)]
    if len(known_M3) <= NUM_NEIGHBOURS:
        return
    pose_N3 = _mean_acceleration(sequences, mirror_left_handers)
    step = -(-len(known_M3) // NUM_SAMPLED)
    among_M = _distances(known_M3[::step], known_M3, skip_nearest=1)
    usual = float(np.percentile(among_M, bounds.USUAL_PERCENTILE))
    distance_N = _distances(pose_N3, known_M3)
    rotated_N = _distances(pose_N3 * _ROTATION, known_M3)
    reversed_N = (distance_N > usual) & (rotated_N <= bounds.NEARER * distance_N)
    if reversed_N.any():
        yield Finding(
            "warning",
            f"the device orientation may be reversed in {share_text(reversed_N)}: rotated by 180 "
            "degrees about z, the mean acceleration would be like the training data's",
            expected=f"within {usual:.2g} m/s2 of training sequences",
            got=f"{float(np.median(distance_N[reversed_N])):.2g} as recorded, "
            f"{float(np.median(rotated_N[reversed_N])):.2g} rotated",
            sequence_id=first_of(reversed_N, sequences.sequence_ids),
            channel="acc",
        )
    elif (distance_N <= usual).all():
        yield Finding("note", "device orientation as in the training data, by mean acceleration")


def _mean_acceleration(sequences: Sequences, mirror_left_handers: bool) -> Vectors:
    """Return the mean acceleration of each sequence as the models are given it, (N, 3).

    Each axis is averaged over its own known values, as in the feature table.
    """
    left_N = (sequences.right_handed_N == 0) & mirror_left_handers
    left_T = np.repeat(left_N, sequences.lengths_N)
    acc_T3 = np.where(left_T[:, None], mirror(sequences).acc_T3, sequences.acc_T3)
    starts = sequences.offsets[:-1]
    total_N3 = np.add.reduceat(np.nan_to_num(acc_T3), starts, dtype=np.float64)
    count_N3 = np.add.reduceat(~np.isnan(acc_T3), starts, dtype=np.int64)
    return np.asarray(total_N3 / np.maximum(count_N3, 1))


def _distances(from_N3: Vectors, to_M3: Vectors, skip_nearest: int = 0) -> Vectors:
    """Return the mean distance to the nearest few, (N,)."""
    parts = []
    for start in range(0, len(from_N3), _BLOCK_ROWS):
        difference = from_N3[start : start + _BLOCK_ROWS, None] - to_M3[None]
        nearest = np.sort(np.linalg.norm(difference, axis=2), axis=1)
        parts.append(nearest[:, skip_nearest : skip_nearest + NUM_NEIGHBOURS].mean(axis=1))
    return np.concatenate(parts)
