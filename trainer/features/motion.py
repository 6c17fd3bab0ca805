"""Motion features: accelerometer and orientation.

In: motion signals and the ``TimeAxis``. Out: named columns of the sensors ``acc`` and ``rot``.

Signals that are an acceleration, gravity removed or not, count as ``acc`` (the linear ones need
the orientation too, and are missing without it); pose and turning count as ``rot``. The heading of
an orientation is arbitrary, so the quaternion itself has few features; the rest come from gravity
and angular velocity, which do not depend on the heading.

Tried on the ``watch`` recordings (LightGBM, mean score of seeds 42, 43, 44; differences below
0.003 are noise) and left out: the turn since the first step (-0.002), and four more quantiles with
skewness, kurtosis and energy (-0.004), and both wrists mirrored to one by the sign of the mean
acceleration along x (-0.003, on `asl` too). Kept: principal axes and shares of variance (+0.004),
and the columns of ``trainer/features/paths.py`` with the skewness of the steps (+0.028).

Shapes: N sequences, T time steps, S motion signals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations, combinations_with_replacement

import numpy as np

from trainer.data.preprocess import MOTION_SIGNALS
from trainer.data.sequences import FloatArray
from trainer.features.heading import heading_signals
from trainer.features.paths import activity_columns, area_columns
from trainer.features.segments import DoubleArray, ratio
from trainer.features.series import (
    NamedColumn,
    Series,
    asymmetry_columns,
    autocorrelation_columns,
    basic_columns,
    bin_change_columns,
    bin_columns,
    change_columns,
    correlation,
    late_columns,
    shape_columns,
    timing_columns,
)
from trainer.features.spectra import spectrum_columns
from trainer.features.time_axis import TimeAxis

_BRIEF = (basic_columns,)
_FULL = (
    basic_columns,
    shape_columns,
    change_columns,
    asymmetry_columns,
    autocorrelation_columns,
    bin_columns,
    bin_change_columns,
    late_columns,
    spectrum_columns,
    timing_columns,
)
_POSE_AND_TURNING = ("gravity", "omega", "rot", "turn", "tilt", "heading")
_VECTORS = ("acc", "linear", "gravity", "omega")
# for correlations of acceleration with pose and turn
_LAG_STEPS = 2  # by which turning leads or follows
_RELATED = (*(f"{vector}_{part}" for vector in _VECTORS[1:] for part in "xyz"), "vertical")


def known_signals(motion_TS: FloatArray) -> tuple[str, ...]:
    """Return the names of the signals that have a value anywhere, in their order.

    Args:
        motion_TS: (T, S) float32, columns MOTION_SIGNALS, NaN missing.
    """
    is_missing_S = np.all(np.isnan(motion_TS), axis=0).tolist()  # four times as fast as by columns
    named = zip(MOTION_SIGNALS, is_missing_S, strict=True)
    return tuple(signal for signal, is_missing in named if not is_missing)


def motion_columns(
    motion_TS: FloatArray, known: tuple[str, ...], axis: TimeAxis
) -> Iterator[NamedColumn]:
    """Yield every motion feature; a signal that no sequence has is left out.

    Args:
        motion_TS: (T, S) float32, columns MOTION_SIGNALS, NaN missing.
        known: The signals with features.
        axis: The cuts of the table.
    """
    yield "acc.length.steps", np.diff(axis.offsets).astype(np.float64)
    signals_T = _signals(motion_TS, known, axis)
    all_series = {name: Series(x_T, axis) for name, x_T in signals_T.items()}
    for signal, series in all_series.items():
        for family in _BRIEF if signal.startswith("rot_") else _FULL:
            for statistic, values_N in family(series):
                yield f"{sensor_of(signal)}.{signal}.{statistic}", values_N
    for vector in _VECTORS:
        names = [f"{vector}_{part}" for part in "xyz"]
        if all_series.keys() >= set(names):
            parts = [all_series[name] for name in names]
            for name, values_N in _vector_columns(vector, parts):
                yield f"{sensor_of(vector)}.{name}", values_N
    related = {name: all_series[name] for name in _RELATED if name in all_series}
    for one, other in combinations(related, 2):
        if one[:-1] == other[:-1]:
            continue  # of one vector: see _vector_columns
        values_N = correlation(related[one], related[other])
        yield f"{sensor_of(one)}.{one}_{other}.correlation", values_N
    if "heading" in all_series:
        yield from _turning_columns(all_series)
    for name, values_N in chain(area_columns(all_series), activity_columns(all_series)):
        yield f"{sensor_of(name)}.{name}", values_N


def _turning_columns(series: Mapping[str, Series]) -> Iterator[NamedColumn]:
    """Yield correlations of the turn with acceleration and pose: without lag, before and after."""
    for name in (*_RELATED, "forward", "sideways"):
        for one in ("heading", "turn_rate"):
            yield f"rot.{one}_{name}.correlation", correlation(series[one], series[name])
        turn, other = series["turn_rate"], series[name]
        yield f"rot.turn_rate_{name}.leading", correlation(turn, other, _LAG_STEPS)
        yield f"rot.turn_rate_{name}.following", correlation(other, turn, _LAG_STEPS)


def motion_signals(motion_TS: FloatArray, axis: TimeAxis) -> dict[str, DoubleArray]:
    """Return every motion signal that features are computed from, (T,) float64 by name.

    Args:
        motion_TS: (T, S) float32, columns MOTION_SIGNALS, NaN missing.
        axis: The cuts of the table.
    """
    return _signals(motion_TS, known_signals(motion_TS), axis)


def sensor_of(signal: str) -> str:
    """Return the sensor a motion signal counts for: ``rot`` for pose and turning, else ``acc``."""
    return "rot" if signal.startswith(_POSE_AND_TURNING) else "acc"


def _signals(
    motion_TS: FloatArray, names: tuple[str, ...], axis: TimeAxis
) -> dict[str, DoubleArray]:
    """Return some recorded signals, and those derived from them, by name, (T,) float64 each."""
    recorded_T = {
        name: motion_TS[:, MOTION_SIGNALS.index(name)].astype(np.float64) for name in names
    }
    return recorded_T | heading_signals(recorded_T, axis)


def _vector_columns(vector: str, parts: list[Series]) -> Iterator[NamedColumn]:
    """Yield correlations and shares of variance of the three axes of a vector signal.

    Correlations and shares of variance depend on the axes; the shares of the principal axes are
    the same for every rotation of the sensor.
    """
    covariance_N33 = _covariances(parts)
    std_N3 = np.stack([part.std_N for part in parts], axis=1)
    for a, b in combinations(range(3), 2):
        correlation_N = ratio(covariance_N33[:, a, b], std_N3[:, a] * std_N3[:, b])
        yield f"{vector}_{'xyz'[a]}{'xyz'[b]}.correlation", correlation_N
    total_N = np.sum(std_N3**2, axis=1)
    known_N33 = np.where(np.isnan(covariance_N33), 0.0, covariance_N33)
    principal_N3 = np.linalg.eigvalsh(known_N33)[:, ::-1]  # largest first
    for number in (1, 2):
        yield f"{vector}.principal{number}_share", ratio(principal_N3[:, number - 1], total_N)
    for part, letter in enumerate("xyz"):
        yield f"{vector}_{letter}.variance_share", ratio(std_N3[:, part] ** 2, total_N)


def _covariances(parts: list[Series]) -> DoubleArray:
    """Return the covariance of three series in each sequence, (N, 3, 3), NaN where missing."""
    covariance_N33 = np.empty((len(parts[0].std_N), len(parts), len(parts)))
    for a, b in combinations_with_replacement(range(len(parts)), 2):
        product_T = parts[a].deviation_T * parts[b].deviation_T
        covariance_N33[:, a, b] = covariance_N33[:, b, a] = parts[a].mean_of(product_T)
    return covariance_N33
