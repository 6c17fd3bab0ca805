"""The doctor's comparison with the training data of the run that is to be asked.

In: ``Sequences``, ``Training``. Out: ``Finding``s: length, and whether the device seems reversed.

Shapes: N sequences, M sequences of the training data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.data.measures import TURNS
from trainer.data.preprocess import mirror
from trainer.data.sequences import Sequences
from trainer.explain.findings import Finding, first_of, share_text
from trainer.explain.training import Training

Vectors = NDArray[np.float64]

POSE_FEATURES = ("acc.acc_x.mean", "acc.acc_y.mean", "acc.acc_z.mean")
TURNED = TURNS["z"]  # worn the other way round, as two people of the competition did
NUM_NEIGHBOURS = 3
USUAL_PERCENTILE = 95  # of training data among itself; so rarely is an unusual pose called so
NUM_SAMPLED = 400  # training sequences that this is estimated from
NEARER = 0.5  # turned, it must be at most half as far
_BLOCK_ROWS = 256  # distances worked out at once


def compare(
    sequences: Sequences, training: Training, mirror_left_handers: bool
) -> Iterator[Finding]:
    """Yield how recordings differ from the training data.

    Args:
        sequences: The recordings.
        training: What the run was trained on.
        mirror_left_handers: Whether left-handers were mirrored there.
    """
    yield from _lengths(sequences, training)
    yield from _reversed(sequences, training, mirror_left_handers)


def _lengths(sequences: Sequences, training: Training) -> Iterator[Finding]:
    shortest, middle, longest = np.percentile(training.column("acc.length.steps"), [0, 50, 100])
    lengths_N = sequences.lengths_N
    expected = f"{shortest:.0f} to {longest:.0f} rows, {middle:.0f} in the middle"
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


def _reversed(
    sequences: Sequences, training: Training, mirror_left_handers: bool
) -> Iterator[Finding]:
    """Tell whether the device seems to be worn the other way round.

    The rule: the mean acceleration, mostly gravity and so the pose of the wrist, is farther from
    the nearest training sequences than those are from each other (95 of 100), and half a turn
    about z brings it at least twice as near.
    """
    known_M3 = np.stack([training.column(name) for name in POSE_FEATURES], axis=1)
    known_M3 = known_M3[~np.isnan(known_M3).any(axis=1)]
    if len(known_M3) <= NUM_NEIGHBOURS:
        return
    pose_N3 = _mean_acceleration(sequences, mirror_left_handers)
    step = -(-len(known_M3) // NUM_SAMPLED)
    among_M = _distances(known_M3[::step], known_M3, skip_nearest=1)
    usual = float(np.percentile(among_M, USUAL_PERCENTILE))
    distance_N = _distances(pose_N3, known_M3)
    turned_N = _distances(pose_N3 * TURNED, known_M3)
    reversed_N = (distance_N > usual) & (turned_N <= NEARER * distance_N)
    if reversed_N.any():
        yield Finding(
            "warning",
            f"the device may be worn the other way round in {share_text(reversed_N)}: turned half "
            "about z, the mean acceleration would look like the training data",
            expected=f"within {usual:.2g} m/s2 of training sequences",
            got=f"{float(np.median(distance_N[reversed_N])):.2g} as it is, "
            f"{float(np.median(turned_N[reversed_N])):.2g} turned",
            sequence_id=first_of(reversed_N, sequences.sequence_ids),
            channel="acc",
        )
    elif (distance_N <= usual).all():
        yield Finding("note", "worn as in the training data, by its mean acceleration")


def _mean_acceleration(sequences: Sequences, mirror_left_handers: bool) -> Vectors:
    """Return the mean acceleration of each sequence as the models see it, (N, 3)."""
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
