"""Series: the statistics of one signal over one sequence.

In: a flat series on a ``TimeAxis``. Out: named columns, (statistic, one value per sequence); NaN
where a sequence is too short, constant or missing for the statistic.

Shapes: N sequences, T time steps, P segments, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.features.segments import (
    DoubleArray,
    Gaps,
    Moments,
    compute_moments,
    fill_gaps,
    means,
    quantiles,
    ratio,
)
from trainer.features.time_axis import TimeAxis

NamedColumn = tuple[str, DoubleArray]

AUTOCORRELATION_LAGS = (1, 2, 4, 8)  # steps; as in the notebook family (facts 5.2)
_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Series:
    """One signal of all sequences, with intermediate results of several statistics.

    Attributes:
        values_T: (T,) float64, NaN missing.
        axis: How the steps are cut.
    """

    values_T: DoubleArray
    axis: TimeAxis

    @cached_property
    def moments(self) -> Moments:
        """Return the moments of whole sequences, arrays (N, 1)."""
        return compute_moments(self.values_T, self.axis.whole, self.gaps)

    @cached_property
    def gaps(self) -> Gaps:
        """Return which values are missing, and the others."""
        return fill_gaps(self.values_T)

    @cached_property
    def bin_moments(self) -> Moments:
        """Return the moments of the equal time bins, arrays (N, bins)."""
        return compute_moments(self.values_T, self.axis.bins, self.gaps)

    @cached_property
    def std_N(self) -> DoubleArray:
        """Return the standard deviation of each sequence, (N,)."""
        return self.moments.std_NP[:, 0]

    @cached_property
    def deviation_T(self) -> DoubleArray:
        """Return each value minus the mean of its sequence, (T,)."""
        return self.values_T - self.axis.whole.spread(self.moments.mean_NP)

    @cached_property
    def step_T(self) -> DoubleArray:
        """Return each value minus the one before, NaN at the first of a sequence, (T,)."""
        return self.values_T - lagged(self.values_T, self.axis, 1)

    def mean_of(self, x_T: DoubleArray) -> DoubleArray:
        """Return the mean of another series on this axis, missing values left out, (N,)."""
        return means(fill_gaps(x_T), self.axis.whole)[:, 0]


def lagged(x_T: DoubleArray, axis: TimeAxis, lag: int) -> DoubleArray:
    """Return the value of the same sequence ``lag`` steps before, NaN where there is none, (T,)."""
    before_T = np.empty_like(x_T)
    before_T[lag:] = x_T[:-lag]
    before_T[axis.first_steps(lag)] = np.nan
    return before_T


def basic_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield mean, std, min, max, first, last and delta of the whole sequence."""
    offsets = series.axis.offsets
    first_N, last_N = series.values_T[offsets[:-1]], series.values_T[offsets[1:] - 1]
    yield "mean", series.moments.mean_NP[:, 0]
    yield "std", series.std_N
    yield "min", series.moments.min_NP[:, 0]
    yield "max", series.moments.max_NP[:, 0]
    yield "first", first_N
    yield "last", last_N
    yield "delta", last_N - first_N


def shape_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield median, interquartile range and the number of mean crossings."""
    low_N, median_N, high_N = quantiles(series.values_T, series.axis.rows, _QUARTILES).T
    yield "median", median_N
    yield "iqr", high_N - low_N
    yield "num_mean_crossings", _num_sign_changes(series.deviation_T, series.axis)


def change_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield statistics of the differences between steps, and the number of turning points."""
    steps = compute_moments(np.abs(series.step_T), series.axis.whole)
    yield "step_mean", steps.mean_NP[:, 0]
    yield "step_std", steps.std_NP[:, 0]
    yield "step_max", steps.max_NP[:, 0]
    yield "num_turns", _num_sign_changes(series.step_T, series.axis)


def asymmetry_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield the skewness of the steps about 0: positive where rises are steeper than falls."""
    step_T = series.step_T
    square_T = step_T * step_T
    variance_N = series.mean_of(square_T)
    yield (
        "step_skewness",
        ratio(series.mean_of(square_T * step_T), variance_N * np.sqrt(variance_N)),
    )


def autocorrelation_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield the autocorrelation at a few lags."""
    for lag in AUTOCORRELATION_LAGS:
        product_T = series.deviation_T * lagged(series.deviation_T, series.axis, lag)
        yield f"autocorr{lag}", ratio(series.mean_of(product_T), series.std_N**2)


def bin_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield mean and std of each of the equal time bins."""
    bins = series.bin_moments
    for column in range(series.axis.bins.num_segments):
        yield f"bin{column + 1}_mean", bins.mean_NP[:, column]
        yield f"bin{column + 1}_std", bins.std_NP[:, column]


def bin_change_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield range and mean absolute step of each of the equal time bins."""
    bins = series.axis.bins
    range_NP = series.bin_moments.max_NP - series.bin_moments.min_NP
    step_NP = means(fill_gaps(np.abs(series.step_T)), bins)
    for column in range(bins.num_segments):
        yield f"bin{column + 1}_range", range_NP[:, column]
        yield f"bin{column + 1}_step_mean", step_NP[:, column]


def late_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield statistics of the late part, and its differences from the early part."""
    parts = compute_moments(series.values_T, series.axis.early_and_late, series.gaps)
    yield "late_mean", parts.mean_NP[:, 1]
    yield "late_std", parts.std_NP[:, 1]
    yield "late_min", parts.min_NP[:, 1]
    yield "late_max", parts.max_NP[:, 1]
    yield "late_minus_early", parts.mean_NP[:, 1] - parts.mean_NP[:, 0]
    yield "late_to_early_std", ratio(parts.std_NP[:, 1], parts.std_NP[:, 0])


def timing_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield the times of maximum, minimum and energy, 0 at the first step, 1 at the last.

    Of equal extremes the first counts; the time of the energy is the mean time, weighted by the
    squared deviation from the mean of the sequence.
    """
    axis = series.axis
    share_T = axis.share_T
    extremes = {"max_at": series.moments.max_NP, "min_at": series.moments.min_NP}
    for statistic, extreme_NP in extremes.items():
        extreme_idx = np.flatnonzero(series.values_T == axis.whole.spread(extreme_NP))
        sequence_idx = axis.sequence_T[extreme_idx]
        is_first = np.diff(sequence_idx, prepend=-1) > 0
        time_N = np.full(len(extreme_NP), np.nan)
        time_N[sequence_idx[is_first]] = share_T[extreme_idx[is_first]]
        yield statistic, time_N
    square_T = series.deviation_T**2
    yield "energy_at", ratio(series.mean_of(square_T * share_T), series.mean_of(square_T))


def correlation(one: Series, other: Series, lag: int = 0) -> DoubleArray:
    """Return the correlation of two series of one axis in each sequence, about -1..1, (N,).

    Args:
        one: A series.
        other: Another one.
        lag: Steps by which ``one`` is ahead.
    """
    before_T = one.deviation_T if lag == 0 else lagged(one.deviation_T, one.axis, lag)
    return ratio(one.mean_of(before_T * other.deviation_T), one.std_N * other.std_N)


def present_share(series: Series) -> DoubleArray:
    """Return the share of steps with a value of the sensor, (N,); NaN where there is none.

    So a sequence without the sensor is the same as one of a table without such a column.
    """
    count_N = series.moments.count_NP[:, 0]
    return ratio(count_N, np.where(count_N > 0, np.diff(series.axis.offsets), 0.0))


def _num_sign_changes(x_T: DoubleArray, axis: TimeAxis) -> DoubleArray:
    """Return how often neighbouring values have opposite signs, NaN without two values, (N,)."""
    sign_T = np.sign(x_T)
    product_T = sign_T * lagged(sign_T, axis, 1)
    num_pairs_N = axis.whole.count(product_T == product_T)[:, 0]
    num_changes_N = axis.whole.total(product_T < 0)[:, 0]
    return np.where(num_pairs_N > 0, num_changes_N, np.nan)
