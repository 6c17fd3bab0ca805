"""Vectors, rotation matrices and quaternions, many at a time.

Shapes: T of anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def unit(vectors_T3: Floats) -> Floats:
    """Return the vectors at length 1."""
    lengths: Floats = np.linalg.norm(vectors_T3, axis=-1, keepdims=True)
    return vectors_T3 / lengths


def turn(axis: int, angle_T: Floats | float) -> Floats:
    """Return the rotations about one axis by the given angles in rad, (T, 3, 3) or (3, 3)."""
    angles = np.asarray(angle_T, dtype=np.float64)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.zeros((*angles.shape, 3, 3))
    matrices[..., axis, axis] = 1
    matrices[..., first, first] = matrices[..., second, second] = np.cos(angles)
    matrices[..., second, first] = np.sin(angles)
    matrices[..., first, second] = -np.sin(angles)
    return matrices


def turn_all(angles_T3: Floats) -> Floats:
    """Return the rotations about z, then y, then x of the turned frame, (T, 3, 3)."""
    x_T, y_T, z_T = np.moveaxis(angles_T3, -1, 0)
    rotations: Floats = turn(2, z_T) @ turn(1, y_T) @ turn(0, x_T)
    return rotations


def quaternions(rotations_T33: Floats) -> Floats:
    """Return the unit quaternions w x y z of rotation matrices, w >= 0, (T, 4).

    Each part's size comes from the diagonal, its sign from what lies off it beside the largest.
    """
    m = rotations_T33
    diagonal_T3 = np.diagonal(m, axis1=1, axis2=2)
    signs_43 = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    size_T4 = np.sqrt(np.maximum(1 + diagonal_T3 @ signs_43.T, 0)) / 2
    products_T44 = np.zeros((len(m), 4, 4))  # 4 q_i q_j
    for first, second in ((1, 2), (2, 0), (0, 1)):  # axes
        left = 3 - first - second
        difference_T, total_T = (
            m[:, second, first] - m[:, first, second],
            m[:, first, second] + m[:, second, first],
        )
        products_T44[:, 0, left + 1] = products_T44[:, left + 1, 0] = difference_T
        products_T44[:, first + 1, second + 1] = products_T44[:, second + 1, first + 1] = total_T
    largest_T = size_T4.argmax(axis=1)
    rows_T = np.arange(len(m))
    signs_T4 = np.where(products_T44[rows_T, largest_T] < 0, -1.0, 1.0)
    quaternions_T4 = size_T4 * signs_T4
    flipped: Floats = np.where(quaternions_T4[:, :1] < 0, -quaternions_T4, quaternions_T4)
    return flipped
