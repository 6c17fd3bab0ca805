"""The time axis: how the steps of all sequences are cut, computed once for all series.

In: offsets. Out: ``TimeAxis``.

Shapes: N sequences, T time steps, W padded width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.data.sequences import IntArray
from trainer.features.segments import (
    DoubleArray,
    Partition,
    early_and_late,
    equal_bins,
    padded_rows,
    rows_by_length,
    whole,
)

SPECTRUM_STEPS = 128  # 95 % of the competition's sequences are shorter (127, facts 1.5)


@dataclass(frozen=True)
class TimeAxis:
    """The cuts that every series of a table shares.

    Attributes:
        offsets: (N + 1,) int64, sequence n is steps ``offsets[n]:offsets[n + 1]``.
        position_T: (T,) int64, each step's number within its sequence, from 0.
        whole: One segment per sequence.
        bins: Bins of equal share of the sequence.
        early_and_late: Normalised time below 0.6, and from 0.6 on.
        rows: The sequences as padded rows, in groups of about the same length.
        tail_NW: (N, 128) int64, the last 128 steps of each sequence, T for padding.
    """

    offsets: IntArray
    position_T: IntArray
    whole: Partition
    bins: Partition
    early_and_late: Partition
    rows: tuple[tuple[IntArray, IntArray], ...]
    tail_NW: IntArray

    @cached_property
    def sequence_T(self) -> IntArray:
        """Return the sequence of each step, (T,) int64."""
        lengths_N = np.diff(self.offsets)
        return np.repeat(np.arange(len(lengths_N)), lengths_N)

    @cached_property
    def share_T(self) -> DoubleArray:
        """Return where each step lies in its sequence, 0 the first, 1 the last, (T,) float64."""
        lengths_N = np.diff(self.offsets)
        share_T: DoubleArray = self.position_T / np.repeat(np.maximum(lengths_N - 1, 1), lengths_N)
        return share_T

    @cached_property
    def late(self) -> Partition:
        """Return the late part of each sequence, as segments of the late steps alone."""
        lengths_N = self.early_and_late.lengths_M[1::2]
        return Partition(np.concatenate([[0], np.cumsum(lengths_N)]), 1)

    @cached_property
    def late_idx(self) -> IntArray:
        """Return the late steps of all sequences."""
        is_late_M = np.arange(len(self.early_and_late.lengths_M)) % 2 == 1
        return np.flatnonzero(np.repeat(is_late_M, self.early_and_late.lengths_M))

    def first_steps(self, num: int) -> IntArray:
        """Return the positions of the first steps of each sequence, so many or all it has."""
        steps = self.offsets[:-1] + np.arange(num)[:, None]
        return steps[steps < self.offsets[1:]]


def cut_time_axis(offsets: IntArray, num_bins: int) -> TimeAxis:
    """Return the cuts of a table.

    Args:
        offsets: (N + 1,) int64, no sequence empty.
        num_bins: Bins of equal share, at least 1.
    """
    return TimeAxis(
        offsets=offsets,
        position_T=np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets)),
        whole=whole(offsets),
        bins=equal_bins(offsets, num_bins),
        early_and_late=early_and_late(offsets),
        rows=rows_by_length(offsets),
        tail_NW=padded_rows(offsets, np.arange(len(offsets) - 1), SPECTRUM_STEPS),
    )
