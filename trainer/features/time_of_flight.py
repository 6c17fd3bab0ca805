"""Time-of-flight features, per sensor.

In: 8 x 8 images and the ``TimeAxis``. Out: named columns of the sensors ``tof_1`` to ``tof_5``.

A pixel is in range (0 and up), out of range (-1: nothing within range, a fact), or missing (NaN).
Statistics of ranges use the pixels in range only; the in-range share is the share of these pixels.
One sensor is processed at a time, to save memory, with each pixel's steps side by side, which is
faster.

Shapes: N sequences, T time steps, V = 64 pixels of one sensor (or some), R regions of its grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import FloatArray
from trainer.features.grid import BLOCKS, GRID_SIDE, QUADRANTS
from trainer.features.segments import DoubleArray, ratio
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
_BLOCK_STEPS = 4096  # steps processed at once: 1 MB of pixels, about a processor's cache
_BEYOND = np.float32(1e38)  # any range is nearer
_NAN = np.float32(np.nan)


@dataclass(frozen=True)
class RangeSeries:
    """The ranges of one sensor at each step; NaN where no pixel is in range.

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
    """Return the ranges of one sensor at each step.

    Args:
        pixels_VT: (64, T) float32.
    """
    blocks = [
        _range_block(pixels_VT[:, start : start + _BLOCK_STEPS])
        for start in range(0, pixels_VT.shape[1], _BLOCK_STEPS)
    ]
    return RangeSeries(*np.concatenate(blocks, axis=1))


def _range_block(pixels_VT: FloatArray) -> FloatArray:
    """Return the five series of ``RangeSeries`` for a block of steps, (5, T) float32.

    Masks are numbers here, 0 or 1: arithmetic is faster than ``where``, and as exact.
    """
    in_range_VT = (pixels_VT >= 0).astype(np.float32)
    num_in_range_T = np.sum(in_range_VT, axis=0)
    num_present_T = _count(pixels_VT == pixels_VT)  # NaN is unequal to itself
    is_empty_T = num_in_range_T == 0
    num_or_nan_T = np.where(is_empty_T, _NAN, num_in_range_T)
    range_VT = np.fmax(pixels_VT, np.float32(0))
    mean_T = np.sum(range_VT, axis=0) / num_or_nan_T
    max_T = np.max(range_VT, axis=0)
    # values out of range are moved beyond all others, values in range by 0
    min_T = np.min((_BEYOND - in_range_VT * _BEYOND) + range_VT, axis=0)
    square_VT = np.subtract(range_VT, mean_T, out=range_VT)
    square_VT *= square_VT
    square_VT *= in_range_VT
    return np.stack(
        [
            mean_T,
            np.sqrt(np.sum(square_VT, axis=0) / num_or_nan_T),
            np.where(is_empty_T, _NAN, min_T),
            np.where(is_empty_T, _NAN, max_T),
            num_in_range_T / np.where(num_present_T > 0, num_present_T, _NAN),
        ]
    )


def _count(mask_VT: NDArray[np.bool_]) -> FloatArray:
    """Return the number of True pixels of each step, at most 64, (T,) float32."""
    count_T: NDArray[np.uint8] = np.sum(mask_VT.view(np.uint8), axis=0, dtype=np.uint8)
    return count_T.astype(np.float32)


def _series_columns(pixels_VT: FloatArray, axis: TimeAxis) -> Iterator[NamedColumn]:
    """Yield the statistics of the range series of one sensor."""
    ranges = range_series(pixels_VT)
    named = {
        "range_mean": ranges.mean_T,
        "range_std": ranges.std_T,
        "range_min": ranges.min_T,
        "range_max": ranges.max_T,
        "in_range_share": ranges.in_range_share_T,
    }
    for signal, x_T in named.items():
        series = Series(x_T.astype(np.float64), axis)
        for family in (basic_columns, bin_columns, late_columns):
            for statistic, values_N in family(series):
                yield f"{signal}.{statistic}", values_N
        if signal == "in_range_share":  # known at every step with a value of the sensor
            yield "image.present_share", present_share(series)


def _region_columns(pixels_VT: FloatArray, axis: TimeAxis) -> Iterator[NamedColumn]:
    """Yield mean range, nearest range and in-range share of grid regions, in the late part."""
    late = _late_part(pixels_VT, axis)
    for regions in (QUADRANTS, BLOCKS):
        is_quadrant = regions is QUADRANTS
        count = _quadrants_of_blocks if is_quadrant else np.asarray
        num_in_range_NR = count(late.num_in_range_NB)
        mean_NR = ratio(regions.pool(np.add, late.total_NV), num_in_range_NR)
        share_NR = ratio(num_in_range_NR, count(late.num_present_NB))
        for column, name in enumerate(regions.names):
            yield f"{name}.late_mean", mean_NR[:, column]
            yield f"{name}.late_in_range_share", share_NR[:, column]
            if is_quadrant:
                yield f"{name}.late_min", late.min_NQ[:, column]


@dataclass(frozen=True)
class _LatePart:
    """Images of the late part of each sequence, float64; B the 16 blocks, Q the quadrants.

    Counts are whole numbers and a minimum is one of its values, so both may be pooled over pixels
    first; a sum of ranges may not, for its last bits depend on the order.
    """

    total_NV: DoubleArray  # of the ranges, pixel by pixel
    num_in_range_NB: DoubleArray
    num_present_NB: DoubleArray
    min_NQ: DoubleArray  # NaN where never in range


def _late_part(pixels_VT: FloatArray, axis: TimeAxis) -> _LatePart:
    """Reduce the late part of each sequence, two rows of the grid, so one of blocks, at a time."""
    rows = [
        _late_rows(np.take(pixels_VT[first : first + 2 * GRID_SIDE], axis.late_idx, axis=1), axis)
        for first in range(0, NUM_PIXELS, 2 * GRID_SIDE)
    ]
    total, num_in_range, num_present, min_2T = zip(*rows, strict=True)
    min_QT = np.concatenate([np.fmin(*min_2T[:2]), np.fmin(*min_2T[2:])])
    return _LatePart(
        np.concatenate(total).T,
        np.concatenate(num_in_range).T,
        np.concatenate(num_present).T,
        axis.late.reduce(np.fmin, min_QT)[..., 0].T,
    )


def _late_rows(
    late_VT: FloatArray, axis: TimeAxis
) -> tuple[DoubleArray, DoubleArray, DoubleArray, FloatArray]:
    """Return the parts of ``_LatePart`` from two rows of the grid, late steps only.

    Returns:
        Totals (16, N), counts in range and present (4, N), and the nearest range of the left and
        the right half at each step (2, T).
    """
    in_range_VT = late_VT >= 0
    half_2T = np.where(in_range_VT, late_VT, _NAN).reshape(2, 2, GRID_SIDE // 2, -1)
    return (
        axis.late.total(np.fmax(late_VT, np.float32(0)))[..., 0],
        axis.late.total(_pool_blocks(in_range_VT))[..., 0],
        axis.late.total(_pool_blocks(late_VT == late_VT))[..., 0],
        np.fmin.reduce(half_2T, axis=(0, 2)),
    )


def _pool_blocks(mask_VT: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the number of True pixels, of 4, in each of a row's 4 blocks, (4, T)."""
    cells = mask_VT.view(np.uint8).reshape(2, GRID_SIDE // 2, 2, -1)
    pooled_4T: NDArray[np.uint8] = np.sum(cells, axis=(0, 2), dtype=np.uint8)
    return pooled_4T


def _quadrants_of_blocks(count_NB: DoubleArray) -> DoubleArray:
    """Return the counts of the 4 quadrants, of 2 x 2 blocks each, (N, 4)."""
    counts: DoubleArray = count_NB.reshape(-1, 2, 2, 2, 2).sum(axis=(2, 4))
    return counts.reshape(-1, 4)
