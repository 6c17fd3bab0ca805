"""Heading: turns and accelerations of the arm along the ground, without a compass.

In: motion signals and the ``TimeAxis``. Out: named series, heading-free like gravity itself.

The heading of an orientation is arbitrary, but how it changes within a sequence is not: the turn
about the vertical adds up to where the arm points, relative to its own mean. And the mean direction
in which the sensor's x axis points, along the ground, separates forward from sideways.

Shapes: N sequences, T time steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainer.features.segments import DoubleArray, ratio
from trainer.features.time_axis import TimeAxis

_NEEDED = tuple(f"{vector}_{part}" for vector in ("gravity", "omega", "linear") for part in "xyz")
_QUATERNION = ("rot_w", "rot_x", "rot_y", "rot_z")
_SHORTEST = 1e-6  # of a mean direction; a shorter one points nowhere


def heading_signals(signals_T: Mapping[str, DoubleArray], axis: TimeAxis) -> dict[str, DoubleArray]:
    """Return turn and acceleration relative to the mean direction of the arm in its sequence.

    Args:
        signals_T: The motion signals that are known, (T,) each.
        axis: The cuts of the table.

    Returns:
        (T,) float64 by name, none where no sequence has an orientation:
        ``turn_rate``, rad per step about the vertical; ``tilt_rate``, rad per step about the
        horizontal, 0 and up; ``heading``, rad, the turns so far minus their mean over the
        sequence; ``forward`` and ``sideways``, m/s2, the linear acceleration along the ground.
    """
    if not signals_T.keys() >= {*_NEEDED, *_QUATERNION}:
        return {}
    gravity_T3, omega_T3, linear_T3 = (
        np.stack([signals_T[f"{vector}_{part}"] for part in "xyz"], axis=1)
        for vector in ("gravity", "omega", "linear")
    )
    rate_T = np.sum(omega_T3 * gravity_T3, axis=1)
    forward_T, sideways_T = _along_the_ground(signals_T, linear_T3, axis)
    return {
        "turn_rate": rate_T,
        "tilt_rate": np.linalg.norm(omega_T3 - rate_T[:, None] * gravity_T3, axis=1),
        "heading": _centred(_running_sum(rate_T, axis), axis),
        "forward": forward_T,
        "sideways": sideways_T,
    }


def _along_the_ground(
    signals_T: Mapping[str, DoubleArray], linear_T3: DoubleArray, axis: TimeAxis
) -> tuple[DoubleArray, DoubleArray]:
    """Return the linear acceleration along and across the mean direction of the sensor's x axis."""
    w_T, x_T, y_T, z_T = (signals_T[name] for name in _QUATERNION)
    # the first two rows of the quaternion's rotation matrix: sensor axes to east and north
    east_T3 = np.stack(
        [
            1 - 2 * (y_T * y_T + z_T * z_T),
            2 * (x_T * y_T - w_T * z_T),
            2 * (x_T * z_T + w_T * y_T),
        ],
        axis=1,
    )
    north_T3 = np.stack(
        [
            2 * (x_T * y_T + w_T * z_T),
            1 - 2 * (x_T * x_T + z_T * z_T),
            2 * (y_T * z_T - w_T * x_T),
        ],
        axis=1,
    )
    mean_east_T, mean_north_T = _mean(east_T3[:, 0], axis), _mean(north_T3[:, 0], axis)
    length_T = np.hypot(mean_east_T, mean_north_T)
    length_T = np.where(length_T < _SHORTEST, np.nan, length_T)
    along_east_T, along_north_T = mean_east_T / length_T, mean_north_T / length_T
    east_T = np.sum(linear_T3 * east_T3, axis=1)
    north_T = np.sum(linear_T3 * north_T3, axis=1)
    return (
        east_T * along_east_T + north_T * along_north_T,
        north_T * along_east_T - east_T * along_north_T,
    )


def _running_sum(x_T: DoubleArray, axis: TimeAxis) -> DoubleArray:
    """Return the sum of each sequence before each step, a missing value adds nothing, (T,).

    Each sequence is summed in a row of its own, so that it does not depend on its neighbours.
    """
    padded = np.append(np.where(np.isnan(x_T), 0.0, x_T), 0.0)
    total_T = np.zeros(len(x_T) + 1)
    for _, positions in axis.rows:
        values_nW = padded[positions]
        total_T[positions] = np.cumsum(values_nW, axis=1) - values_nW
    return np.where(np.isnan(x_T), np.nan, total_T[:-1])


def _mean(x_T: DoubleArray, axis: TimeAxis) -> DoubleArray:
    """Return for each step the mean of its sequence, missing values left out, (T,)."""
    known_T = ~np.isnan(x_T)
    total_NP = axis.whole.total(np.where(known_T, x_T, 0.0))
    return axis.whole.spread(ratio(total_NP, axis.whole.total(known_T)))


def _centred(x_T: DoubleArray, axis: TimeAxis) -> DoubleArray:
    """Return a series minus the mean of each sequence, (T,)."""
    return x_T - _mean(x_T, axis)
