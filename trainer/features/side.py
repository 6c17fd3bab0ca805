"""Side: recordings of either wrist, told as if they were all of one.

In: motion signals and the ``TimeAxis``. Out: the same signals, of some sequences as the other wrist
would have recorded them.

Which wrist a sensor was on is rarely known, and a turn outwards of the one is a turn inwards of
the other. So each sequence whose mean acceleration along the sensor's x axis, gravity included,
is negative is mirrored in the sensor's y-z plane: that is what the other wrist sees
(competition.md 3.2). Wrist, pose and swing decide together: the same gesture of both wrists comes
out alike, and what is lost, the sign, is a feature by itself. The sign of the mean gravity along x
did as well on `watch`.

Shapes: N sequences, T time steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainer.features.segments import DoubleArray, ratio
from trainer.features.time_axis import TimeAxis

# signals that a mirror turns round: a vector's x; of a turn, which is no vector, y and z
_TURNED = ("acc_x", "linear_x", "gravity_x", "omega_y", "omega_z", "rot_y", "rot_z")


def lean(signals_T: Mapping[str, DoubleArray], axis: TimeAxis) -> DoubleArray:
    """Return the mean acceleration along x of each sequence, m/s2, gravity included, (N,)."""
    x_T = signals_T["acc_x"]
    known_T = ~np.isnan(x_T)
    return ratio(axis.whole.total(np.where(known_T, x_T, 0.0)), axis.whole.total(known_T))[:, 0]


def told_of_one_side(
    signals_T: Mapping[str, DoubleArray], axis: TimeAxis
) -> dict[str, DoubleArray]:
    """Return the signals, mirrored where the mean acceleration along x is negative.

    Args:
        signals_T: The motion signals that are known, (T,) each.
        axis: The cuts of the table.
    """
    if "acc_x" not in signals_T:
        return dict(signals_T)
    sign_N1 = np.where(lean(signals_T, axis) < 0, -1.0, 1.0)[:, None]
    sign_T = axis.whole.spread(sign_N1)
    return {name: sign_T * x_T if name in _TURNED else x_T for name, x_T in signals_T.items()}
