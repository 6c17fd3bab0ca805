"""The 8 x 8 grid of a time-of-flight sensor and its regions.

In: pixel values, row-major, pixel 0 top left. Out: the same pooled by region, and the rows and
columns of a region, for heat maps.

Shapes: N rows of values, V = 64 pixels, R regions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from trainer.data.sequences import IntArray
from trainer.features.segments import DoubleArray

GRID_SIDE = 8  # pixels


@dataclass(frozen=True)
class Regions:
    """Square regions of equal size that cover the grid.

    Attributes:
        kind: First part of a region's name.
        side: Pixels on a side of one region.
    """

    kind: str
    side: int

    @property
    def names(self) -> tuple[str, ...]:
        """Return the R names, row by row, such as ``block_r0c3``."""
        places = range(GRID_SIDE // self.side)
        return tuple(f"{self.kind}_r{row}c{column}" for row in places for column in places)

    @property
    def pixel_idx(self) -> IntArray:
        """Return the pixels of each region, (R, side x side) int64."""
        places = GRID_SIDE // self.side
        pixels = np.arange(GRID_SIDE * GRID_SIDE).reshape(places, self.side, places, self.side)
        return pixels.swapaxes(1, 2).reshape(places * places, -1)

    def pool(self, ufunc: np.ufunc, values_NV: DoubleArray) -> DoubleArray:
        """Reduce the pixels of each region with ufunc, (N, R) float64."""
        pooled_NR: DoubleArray = ufunc.reduce(values_NV[:, self.pixel_idx], axis=2)
        return pooled_NR


QUADRANTS = Regions("quadrant", 4)
BLOCKS = Regions("block", 2)
_SIDES = {regions.kind: regions.side for regions in (QUADRANTS, BLOCKS)}


@dataclass(frozen=True)
class GridRegion:
    """The part of a sensor's image that a feature describes.

    Attributes:
        sensor: ``tof_1`` to ``tof_5``.
        rows: Pixel rows, 0 at the top.
        columns: Pixel columns, 0 at the left.
    """

    sensor: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def find_region(sensor: str, signal: str) -> GridRegion | None:
    """Return the region a signal such as ``block_r0c3`` names, None where it names none."""
    match = re.fullmatch(r"(quadrant|block)_r(\d)c(\d)", signal)
    if match is None:
        return None
    side = _SIDES[match[1]]
    row, column = int(match[2]) * side, int(match[3]) * side
    return GridRegion(sensor, tuple(range(row, row + side)), tuple(range(column, column + side)))
