"""Time-of-flight features, per sensor.

In: 8 x 8 images and the ``TimeAxis``. Out: named columns of the sensors ``tof_1`` to ``tof_5``.

A pixel is in range (0 and up), out of range (-1: nothing there, a fact), or missing (NaN). Ranges
are told of the pixels in range only, and the in-range share tells how many these were. One sensor
is worked on at a time, to spare memory, with each pixel's steps side by side, which is faster.

Shapes: N sequences, T time steps, V = 64 pixels of one sensor, R regions of its grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.data.sequences import FloatArray
from trainer.features.grid import BLOCKS, QUADRANTS
from trainer.features.segments import DoubleArray, Partition, ratio
from trainer.features.series import (
    NamedColumn,
    Series,
    basic_columns,
    bin_columns,
    late_columns,
    present_share,
)
from trainer.features.time_axis import TimeAxis

NUM_TOF_SENSORS = 5
NUM_PIXELS = 64
_BLOCK_STEPS = 4096  # steps worked on at once: 1 MB of pixels, about a processor's cache
_BLOCK_VALUES = NUM_PIXELS * _BLOCK_STEPS  # the same, where whole series are worked on at once


@dataclass(frozen=True)
class RangeSeries:
    """What one sensor sees at each step; NaN where it has no pixel for it.

    Attributes:
        mean_T: (T,) float32, of the pixels in range, as std, min and max.
        std_T: (T,) float32.
        min_T: (T,) float32.
        max_T: (T,) float32.
        in_range_share_T: (T,) float32, of the pixels that are not missing.
    """

    mean_T: FloatArray
    std_T: FloatArray
    min_T: FloatArray
    max_T: FloatArray
    in_range_share_T: FloatArray


def time_of_flight_columns(
    pixels_VT: FloatArray, sensor_number: int, axis: TimeAxis
) -> Iterator[NamedColumn]:
    """Yield one sensor's range series, in-range share, quadrants and 2 x 2 pixel blocks.

    Args:
        pixels_VT: (64, T) float32, 8 x 8 pixels row-major, -1 nothing in range, NaN missing.
        sensor_number: 1 for ``tof_1``, to NUM_TOF_SENSORS.
        axis: The cuts of the table.
    """
    for columns in (_series_columns(pixels_VT, axis), _region_columns(pixels_VT, axis)):
        for name, values_N in columns:
            yield f"tof_{sensor_number}.{name}", values_N


def range_series(pixels_VT: FloatArray) -> RangeSeries:
    """Return what one sensor sees at each step.

    Args:
        pixels_VT: (64, T) float32.
    """
    blocks = [
        _range_block(pixels_VT[:, start : start + _BLOCK_STEPS])
        for start in range(0, pixels_VT.shape[1], _BLOCK_STEPS)
    ]
    return RangeSeries(*np.concatenate(blocks, axis=1))


def _range_block(pixels_VT: FloatArray) -> FloatArray:
    """Return the five series of ``RangeSeries`` for a block of steps, (5, T) float32."""
    in_range_VT = pixels_VT >= 0
    num_present_T = np.sum(~np.isnan(pixels_VT), axis=0, dtype=np.float32)
    num_in_range_T = np.sum(in_range_VT, axis=0, dtype=np.float32)
    num_or_nan_T = np.where(num_in_range_T > 0, num_in_range_T, np.float32(np.nan))
    range_VT = np.where(in_range_VT, pixels_VT, np.float32(0))
    mean_T = np.sum(range_VT, axis=0) / num_or_nan_T
    deviation_VT = np.where(in_range_VT, pixels_VT - mean_T, np.float32(0))
    min_T = np.min(np.where(in_range_VT, pixels_VT, np.float32(np.inf)), axis=0)
    return np.stack(
        [
            mean_T,
            np.sqrt(np.sum(deviation_VT * deviation_VT, axis=0) / num_or_nan_T),
            np.where(num_in_range_T > 0, min_T, np.float32(np.nan)),
            np.where(num_in_range_T > 0, np.max(range_VT, axis=0), np.float32(np.nan)),
            num_in_range_T / np.where(num_present_T > 0, num_present_T, np.float32(np.nan)),
        ]
    )


def _series_columns(pixels_VT: FloatArray, axis: TimeAxis) -> Iterator[NamedColumn]:
    """Yield what is told of the range series of one sensor."""
    told = range_series(pixels_VT)
    named = {
        "range_mean": told.mean_T,
        "range_std": told.std_T,
        "range_min": told.min_T,
        "range_max": told.max_T,
        "in_range_share": told.in_range_share_T,
    }
    for signal, x_T in named.items():
        series = Series(x_T.astype(np.float64), axis)
        for family in (basic_columns, bin_columns, late_columns):
            for statistic, values_N in family(series):
                yield f"{signal}.{statistic}", values_N
        if signal == "in_range_share":  # a number at every step at which the sensor gave any
            yield "image.present_share", present_share(series)


def _region_columns(pixels_VT: FloatArray, axis: TimeAxis) -> Iterator[NamedColumn]:
    """Yield mean range, nearest range and in-range share of grid regions, in the late part."""
    late = _late_pixels(pixels_VT, axis)
    for regions in (QUADRANTS, BLOCKS):
        num_in_range_NR = regions.pool(np.add, late.num_in_range_NV)
        mean_NR = ratio(regions.pool(np.add, late.total_NV), num_in_range_NR)
        share_NR = ratio(num_in_range_NR, regions.pool(np.add, late.num_present_NV))
        min_NR = regions.pool(np.fmin, late.min_NV)
        for column, name in enumerate(regions.names):
            yield f"{name}.late_mean", mean_NR[:, column]
            yield f"{name}.late_in_range_share", share_NR[:, column]
            if regions is QUADRANTS:
                yield f"{name}.late_min", min_NR[:, column]


@dataclass(frozen=True)
class _LatePixels:
    """What each pixel saw in the late part of each sequence, arrays (N, V) float64."""

    total_NV: DoubleArray  # of the ranges
    num_in_range_NV: DoubleArray
    num_present_NV: DoubleArray
    min_NV: DoubleArray  # NaN where never in range


def _late_pixels(pixels_VT: FloatArray, axis: TimeAxis) -> _LatePixels:
    """Reduce the late part of each sequence, from normalised time 0.6 on, pixel by pixel."""
    num_pixels = max(1, _BLOCK_VALUES // pixels_VT.shape[1])
    blocks = [
        _late_block(pixels_VT[start : start + num_pixels], axis.early_and_late)
        for start in range(0, len(pixels_VT), num_pixels)
    ]
    return _LatePixels(*np.concatenate(blocks, axis=1).swapaxes(1, 2))


def _late_block(pixels_VT: FloatArray, cut: Partition) -> DoubleArray:
    """Return the four parts of ``_LatePixels`` for some pixels, (4, V, N) float64."""
    in_range_VT = pixels_VT >= 0
    return np.stack(
        [
            cut.total(np.where(in_range_VT, pixels_VT, np.float32(0))),
            cut.total(in_range_VT),
            cut.total(~np.isnan(pixels_VT)),
            cut.reduce(np.fmin, np.where(in_range_VT, pixels_VT, np.float32(np.nan))),
        ]
    )[..., 1]
