"""The mark of simulated recordings: in the last bits of the acceleration, in every row.

In: acceleration on its grid. Out: the same with the mark; or whether recordings carry it.

Counted in steps of 1/256 m/s2, ``x + 3 y + 5 z`` leaves 3 when it is divided by 8. Of real rows one
in eight does. So the mark is kept as long as the acceleration is unchanged: in a copy of train.csv
alone, another name or format, a part of the subjects, sequences or sensors, new ids. It does not
survive rounding, filtering, another unit, other axes.

Shapes: N sequences, T time steps of all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS_PER_MPS2 = 256
_WEIGHTS = np.array([1, 3, 5])
_DIVISOR, _REST = 8, 3  # an odd rest: data on a coarser grid, or all zero, never has it
# By how much x and y are moved, in steps, to raise the sum by 0 to 7 (mod 8).
_MOVES = np.array([[0, 0], [1, 0], [-1, 1], [0, 1], [1, 1], [0, -1], [1, -1], [-1, 0]])
_FEWEST_ROWS = 16  # different ones; real rows all carry it once in 8^16 sequences


def put_mark(acc_T3: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the acceleration with the mark: x and y are moved by 1/256 m/s2 at the most.

    Args:
        acc_T3: m/s2, whole multiples of 1/256.
    """
    steps_T3 = np.rint(acc_T3 * STEPS_PER_MPS2).astype(np.int64)
    missing_T = (_REST - steps_T3 @ _WEIGHTS) % _DIVISOR
    steps_T3[:, :2] += _MOVES[missing_T]
    return (steps_T3 / STEPS_PER_MPS2).astype(np.float32)


def has_mark(acc_T3: NDArray[np.float32], offsets: NDArray[np.int64]) -> bool:
    """Return whether any sequence is simulated: every row of it carries the mark.

    Args:
        acc_T3: m/s2; a missing value is NaN.
        offsets: (N + 1,) where each sequence begins, and the end.
    """
    steps_T3: NDArray[np.float64] = acc_T3.astype(np.float64) * STEPS_PER_MPS2
    is_whole_T = (steps_T3 == np.rint(steps_T3)).all(axis=1)  # NaN is unequal to itself
    steps_T3[~is_whole_T] = 0
    is_marked_T = is_whole_T & ((steps_T3 @ _WEIGHTS) % _DIVISOR == _REST)
    is_marked_N = np.logical_and.reduceat(is_marked_T, offsets[:-1])
    return any(
        len(np.unique(acc_T3[offsets[n] : offsets[n + 1]], axis=0)) >= _FEWEST_ROWS
        for n in np.flatnonzero(is_marked_N)
    )
