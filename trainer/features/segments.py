"""Segments: statistics of many stretches of one flat series at once.

In: a flat series and a ``Partition`` of it. Out: one number per sequence and segment, NaN where a
segment has no value.

Every segment is reduced on its own (``reduceat``; no running sum over the whole table), so the
numbers of a sequence never depend on its neighbours.

Shapes: N sequences, T time steps, P segments of one sequence, M = N x P segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import IntArray

DoubleArray = NDArray[np.float64]

_NUM_COUNTED = 8  # more than the sensors and lags of one table miss in different ways
_ROW_WIDTH = 32  # steps; sequences are padded to a multiple of it, so a long one costs only itself


@dataclass(frozen=True)
class Partition:
    """Consecutive segments that cover the time axis, P of each sequence.

    Attributes:
        bounds: (M + 1,) int64, segment m is steps ``bounds[m]:bounds[m + 1]``; may be empty.
        num_segments: P.
    """

    bounds: IntArray
    num_segments: int
    _counted: dict[bytes, DoubleArray] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def lengths_M(self) -> IntArray:
        """Return the number of steps of each segment, (M,) int64."""
        return np.diff(self.bounds)

    @cached_property
    def lengths_NP(self) -> DoubleArray:
        """Return the number of steps of each segment, (N, P) float64."""
        return self.lengths_M.astype(np.float64).reshape(-1, self.num_segments)

    @cached_property
    def filled_idx(self) -> IntArray:
        """Return which segments have a step."""
        return np.flatnonzero(self.lengths_M)

    @cached_property
    def starts(self) -> IntArray:
        """Return the first step of each segment that has one."""
        return self.bounds[:-1][self.filled_idx]

    def reduce(
        self, ufunc: np.ufunc, x_T: NDArray[np.generic], empty: float = np.nan
    ) -> DoubleArray:
        """Reduce each segment in float64.

        Args:
            ufunc: Such as ``np.add`` or ``np.fmin``.
            x_T: (T,) numbers or booleans, or several such series, (..., T).
            empty: The result where a segment has no step.

        Returns:
            (N, P) float64, or (..., N, P).
        """
        reduced_M = ufunc.reduceat(x_T, self.starts, axis=-1, dtype=np.float64)
        if len(self.starts) < len(self.lengths_M):
            filled_M = reduced_M
            reduced_M = np.full((*x_T.shape[:-1], len(self.lengths_M)), empty)
            reduced_M[..., self.filled_idx] = filled_M
        return reduced_M.reshape(*x_T.shape[:-1], -1, self.num_segments)

    def total(self, x_T: NDArray[np.generic]) -> DoubleArray:
        """Return the sum of each segment, 0 where it has no step, (..., N, P) float64."""
        return self.reduce(np.add, x_T, empty=0.0)

    def count(self, known_T: NDArray[np.bool_]) -> DoubleArray:
        """Return how many steps of each segment are known, (N, P) float64.

        Many series miss the same steps, so the last results are kept.

        Args:
            known_T: (T,) bool.
        """
        if _are_all(known_T):
            return self.lengths_NP
        key = known_T.tobytes()
        count_NP = self._counted.pop(key, None)
        if count_NP is None:
            count_NP = self.total(known_T)
        self._counted[key] = count_NP  # the last one that was used
        if len(self._counted) > _NUM_COUNTED:
            del self._counted[next(iter(self._counted))]
        return count_NP

    def spread(self, values_NP: DoubleArray) -> DoubleArray:
        """Return the value of its segment for every step, (T,) float64."""
        return np.repeat(values_NP.ravel(), self.lengths_M)


def whole(offsets: IntArray) -> Partition:
    """Return one segment per sequence: all of it."""
    return Partition(offsets, 1)


def equal_bins(offsets: IntArray, num_bins: int) -> Partition:
    """Return num_bins segments of equal share; step t of L is in bin ``t * num_bins // L``."""
    return _cut(offsets, range(num_bins), num_bins)


def early_and_late(offsets: IntArray) -> Partition:
    """Return two segments: normalised time below 0.6, and from 0.6 on.

    The gesture is at the end (facts/competition.md 1.5); 0.6 is the cut in 5.2 there.
    """
    return _cut(offsets, (0, 3), 5)


def _cut(offsets: IntArray, numerators: range | tuple[int, ...], denominator: int) -> Partition:
    """Cut every sequence at the given shares of its length, rounded up."""
    lengths_N = np.diff(offsets)
    starts_NP = np.stack(
        [offsets[:-1] - (-share * lengths_N // denominator) for share in numerators], axis=1
    )
    return Partition(np.append(starts_NP.ravel(), offsets[-1]), len(numerators))


@dataclass(frozen=True)
class Moments:
    """The moments of each segment; NaN where it has no value.

    Attributes:
        count_NP: (N, P) float64, values that are not missing.
        mean_NP: (N, P) float64.
        std_NP: (N, P) float64, of the population, exactly 0 where all values are equal.
        min_NP: (N, P) float64.
        max_NP: (N, P) float64.
    """

    count_NP: DoubleArray
    mean_NP: DoubleArray
    std_NP: DoubleArray
    min_NP: DoubleArray
    max_NP: DoubleArray


@dataclass(frozen=True)
class Gaps:
    """A series with its gaps filled, for sums.

    Attributes:
        known_T: (T,) bool, which values are not missing.
        filled_T: (T,) float64, 0 where missing.
        is_whole: Whether nothing is missing.
    """

    known_T: NDArray[np.bool_]
    filled_T: DoubleArray
    is_whole: bool


def fill_gaps(x_T: DoubleArray) -> Gaps:
    """Return the series with 0 where it is NaN; the series itself where it has no gap."""
    known_T = x_T == x_T  # NaN is unequal to itself
    if _are_all(known_T):
        return Gaps(known_T, x_T, is_whole=True)
    filled_T = x_T.copy()
    np.copyto(filled_T, 0.0, where=~known_T)  # np.where takes 1.7 times as long
    return Gaps(known_T, filled_T, is_whole=False)


def means(gaps: Gaps, partition: Partition) -> DoubleArray:
    """Return the mean of each segment, missing values left out, (N, P)."""
    return ratio(partition.total(gaps.filled_T), partition.count(gaps.known_T))


def compute_moments(x_T: DoubleArray, partition: Partition, gaps: Gaps | None = None) -> Moments:
    """Return count, mean, deviation and extremes of each segment, missing values left out.

    Args:
        x_T: (T,) series.
        partition: Its segments.
        gaps: Of the series, where they are known already.
    """
    gaps = fill_gaps(x_T) if gaps is None else gaps
    count_NP = partition.count(gaps.known_T)
    mean_NP = means(gaps, partition)
    square_T = x_T - partition.spread(mean_NP)
    np.multiply(square_T, square_T, out=square_T)
    if not gaps.is_whole:
        square_T[~gaps.known_T] = 0.0
    variance_NP = ratio(partition.total(square_T), count_NP)
    min_NP = partition.reduce(np.fmin, x_T)
    max_NP = partition.reduce(np.fmax, x_T)
    # the mean of equal values can be off by a bit, and the deviation with it
    std_NP = np.where(min_NP == max_NP, 0.0, np.sqrt(variance_NP))
    return Moments(count_NP, mean_NP, std_NP, min_NP, max_NP)


def ratio(numerator: DoubleArray, denominator: DoubleArray) -> DoubleArray:
    """Return numerator / denominator, NaN where the denominator is 0."""
    if _are_all(denominator):
        return numerator / denominator
    is_zero = denominator == 0
    return np.where(is_zero, np.nan, numerator / np.where(is_zero, 1.0, denominator))


def _are_all(x: NDArray[np.generic]) -> bool:
    """Return whether nothing is 0 or False; of few numbers in a fifth of the time of ``all``."""
    return int(np.count_nonzero(x)) == x.size


def rows_by_length(offsets: IntArray) -> tuple[tuple[IntArray, IntArray], ...]:
    """Lay the sequences out as padded rows, those of about the same length together.

    Returns:
        Pairs of (n,) sequence positions and (n, W) step positions, where W is the length rounded
        up to a multiple of 32 and T stands for padding.
    """
    lengths_N = np.diff(offsets)
    widths_N = -(-lengths_N // _ROW_WIDTH) * _ROW_WIDTH
    return tuple(
        (idx, padded_rows(offsets, idx, int(width)))
        for width in np.unique(widths_N)
        for idx in (np.flatnonzero(widths_N == width),)
    )


def padded_rows(offsets: IntArray, sequence_idx: IntArray, width: int) -> IntArray:
    """Return the positions of the last ``width`` steps of sequences, padded at the right with T.

    Returns:
        (n, width) int64 into a flat series with one value more for the padding.
    """
    stops = offsets[1:][sequence_idx, None]
    positions = np.maximum(offsets[:-1][sequence_idx, None], stops - width) + np.arange(width)
    return np.where(positions < stops, positions, offsets[-1])


def quantiles(
    x_T: DoubleArray, rows: tuple[tuple[IntArray, IntArray], ...], shares: tuple[float, ...]
) -> DoubleArray:
    """Return quantiles of each sequence, linear between values, missing values left out.

    Args:
        x_T: (T,) series.
        rows: Of ``rows_by_length``.
        shares: Q shares in 0..1.

    Returns:
        (N, Q) float64.
    """
    padded = np.append(x_T, np.nan).astype(np.float32)  # 32 bits sort three times faster
    quantiles_NQ = np.full((sum(len(idx) for idx, _ in rows), len(shares)), np.nan)
    for idx, positions in rows:
        sorted_nW = np.sort(np.take(padded, positions), axis=1)  # NaN goes last
        last_n1 = np.sum(~np.isnan(sorted_nW), axis=1, keepdims=True) - 1
        place_nQ = np.maximum(last_n1, 0) * np.array(shares)
        low_nQ = np.floor(place_nQ).astype(np.int64)
        high_nQ = np.ceil(place_nQ).astype(np.int64)
        low = np.take_along_axis(sorted_nW, low_nQ, axis=1).astype(np.float64)
        high = np.take_along_axis(sorted_nW, high_nQ, axis=1).astype(np.float64)
        quantiles_NQ[idx] = low + (high - low) * (place_nQ - low_nQ)
    return quantiles_NQ
