"""Thermopile features, per sensor.

In: temperatures and the ``TimeAxis``. Out: named columns of the sensors ``thm_1`` to ``thm_5``.

Shapes: N sequences, T time steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from trainer.data.sequences import FloatArray
from trainer.features.segments import compute_moments
from trainer.features.series import (
    NamedColumn,
    Series,
    basic_columns,
    bin_columns,
    late_columns,
    present_share,
)
from trainer.features.time_axis import TimeAxis

NUM_THERMOPILES = 5


def thermopile_columns(thm_T5: FloatArray, axis: TimeAxis) -> Iterator[NamedColumn]:
    """Yield each sensor's temperature features and its differences from the others.

    Args:
        thm_T5: (T, 5) float32, degrees Celsius, NaN missing.
        axis: The cuts of the table.
    """
    sensors = {
        f"thm_{column + 1}": Series(thm_T5[:, column].astype(np.float64), axis)
        for column in range(NUM_THERMOPILES)
    }
    for sensor, series in sensors.items():
        for family in (basic_columns, bin_columns, late_columns):
            for statistic, values_N in family(series):
                yield f"{sensor}.temperature.{statistic}", values_N
        yield f"{sensor}.temperature.present_share", present_share(series)
    for (sensor, series), (other, other_series) in combinations(sensors.items(), 2):
        difference_T = series.values_T - other_series.values_T
        parts = compute_moments(difference_T, axis.early_and_late)
        yield f"{sensor}.minus_{other}.mean", series.mean_of(difference_T)
        yield f"{sensor}.minus_{other}.late_mean", parts.mean_NP[:, 1]
