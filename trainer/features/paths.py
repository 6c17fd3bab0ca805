"""Paths: how two motion signals move together over time, which a correlation does not show.

In: named series on one ``TimeAxis``. Out: named columns.

Two signals at one step are a point, a sequence is a path in their plane. The area that it sweeps
has a sign: which of the two is ahead, all the way round and not at one lag only. An arm that swings
out and back can have the same correlations as one that swings in and back; the area differs.
Source: the second level of a path's signature, e.g. Chevyrev and Kormilitzin 2016, "A primer
on the signature method in machine learning", section 1.2.

And the pose of an arm while it moves fast: correlations of pose and heading with the activity of
signals.

Measured on `watch` and `asl`: docs/experiments.md.

Shapes: N sequences, T time steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from trainer.features.segments import DoubleArray, ratio
from trainer.features.series import NamedColumn, Series, correlation

_AXES = "xyz"
_ACCELERATION = tuple(f"acc_{axis}" for axis in _AXES)
_GRAVITY = tuple(f"gravity_{axis}" for axis in _AXES)
_TURN = tuple(f"omega_{axis}" for axis in _AXES)
_PUSH = (*(f"linear_{axis}" for axis in _AXES), "forward", "sideways", "vertical")
_PLANES = (*_ACCELERATION, *_PUSH, *_GRAVITY, *_TURN, "heading")  # any two of them
_POSES = (*_ACCELERATION, *_GRAVITY, "heading")
_ACTIVITY_BY_STEP = (*_ACCELERATION, *_GRAVITY)
_ACTIVITY_BY_SIZE = ("linear_norm", *_TURN, "turn_rate", "tilt_rate")


def area_columns(series: Mapping[str, Series]) -> Iterator[NamedColumn]:
    """Yield twice the signed area that any two signals sweep a step, around their means.

    ``area`` is in the product of their units; ``scaled_area`` is a part of the product of
    their standard deviations: 2 sin(w) for two sines of w rad a step, a quarter of a period apart,
    however large each is. Both are positive where the first signal is ahead of the second, negative
    where it is behind.

    Args:
        series: By name; missing signals have no columns.
    """
    for one, other in combinations(_known(_PLANES, series), 2):
        swept_N = series[one].mean_of(_swept(series[one], series[other]))
        yield f"{one}_{other}.area", swept_N
        yield (
            f"{one}_{other}.scaled_area",
            ratio(swept_N, series[one].std_N * series[other].std_N),
        )


def activity_columns(series: Mapping[str, Series]) -> Iterator[NamedColumn]:
    """Yield correlations of pose and heading with the activity of each signal, about -1..1.

    The activity of a signal is the size of its step from the value before, or, where it is a rate
    or an acceleration itself, its size.

    Args:
        series: By name; missing signals have no columns.
    """
    activity: dict[tuple[str, str], Series] = {}
    for name in _known(_ACTIVITY_BY_STEP, series):
        activity[name, "step"] = Series(np.abs(series[name].step_T), series[name].axis)
    for name in _known(_ACTIVITY_BY_SIZE, series):
        activity[name, "size"] = Series(np.abs(series[name].values_T), series[name].axis)
    for pose in _known(_POSES, series):
        for (name, kind), other in activity.items():
            yield f"{pose}_{name}.{kind}_correlation", correlation(series[pose], other)


def _known(names: tuple[str, ...], series: Mapping[str, Series]) -> list[str]:
    return [name for name in names if name in series]


def _swept(one: Series, other: Series) -> DoubleArray:
    """Return twice the area between the mean, the point before and each point, (T,)."""
    swept_T = one.deviation_T * other.step_T
    swept_T -= other.deviation_T * one.step_T
    return swept_T
