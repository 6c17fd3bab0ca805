"""Temperature scaling: calibrates the confidence of a model.

In: probabilities of sequences, and their classes. Out: the loss at each temperature, and the
probabilities at one. It does not change the predicted class of one model, but its part in a blend.

Source: Guo et al. 2017, "On calibration of modern neural networks".

Shapes: N sequences, K classes, G temperatures of the grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Proba = NDArray[np.float64]

# factors of 1.05; bounded, since a few dozen sequences without an error would give 0
GRID = tuple(float(f"{0.4 * 1.05**step:.4f}") for step in range(34))  # 0.4 to 2.0
TEMPERATURES = (1e-6, 1e6)  # that a fold's file may have; others overflow
_SMALLEST_PROBA = 1e-12  # a class that the training part lacks has a probability of 0


def cross_entropies(proba_NK: Proba, label_idx: NDArray[np.int64]) -> Proba:
    """Return the sum of the cross entropies at each temperature of GRID, (G,).

    Args:
        proba_NK: (N, K) probabilities at a temperature of 1; 0 for a class that the training part
            lacks.
        label_idx: (N,) classes in 0..K-1.
    """
    true_N = np.arange(len(label_idx)), label_idx
    sums = [
        -np.log(np.maximum(scale(proba_NK, temperature)[true_N], _SMALLEST_PROBA)).sum()
        for temperature in GRID
    ]
    return np.array(sums)


def scale(proba_NK: Proba, temperature: float) -> Proba:
    """Return probabilities whose logarithms are divided by a temperature; rows sum to 1."""
    if temperature == 1.0:
        return proba_NK
    powers_NK = (proba_NK / proba_NK.max(axis=1, keepdims=True)) ** (1.0 / temperature)
    return np.asarray(powers_NK / powers_NK.sum(axis=1, keepdims=True))
