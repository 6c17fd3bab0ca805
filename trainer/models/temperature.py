"""Temperature scaling: calibrates the confidence of a model.

In: raw scores or log probabilities of sequences, their classes. Out: the divisor of the scores
before the softmax. It does not change the predicted class of one model, but its part in a blend.

Source: Guo et al. 2017, "On calibration of modern neural networks".

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# factors of 1.05; bounded, since a few dozen sequences without an error would give 0
GRID = tuple(float(f"{0.4 * 1.05**step:.4f}") for step in range(34))  # 0.4 to 2.0
TEMPERATURES = (1e-6, 1e6)  # that a fold's file may have; others overflow
_SMALLEST_PROBA = 1e-12  # a class that the training part lacks has a probability of 0


def fit_temperature(raw_NK: NDArray[np.float64], label_idx: NDArray[np.int64]) -> float:
    """Return the temperature of GRID with the smallest mean cross entropy; of equal ones the first.

    Args:
        raw_NK: (N, K) scores before the softmax at a temperature of 1, up to a constant per row;
            minus infinity for a class that the training part lacks.
        label_idx: (N,) classes in 0..K-1.
    """
    rows_N = np.arange(len(label_idx))
    losses = []
    for temperature in GRID:
        scaled_NK = raw_NK / temperature
        top_N = scaled_NK.max(axis=1)
        sum_N = np.exp(scaled_NK - top_N[:, None]).sum(axis=1)
        log_N = scaled_NK[rows_N, label_idx] - top_N - np.log(sum_N)
        losses.append(-np.maximum(log_N, np.log(_SMALLEST_PROBA)).mean())
    return GRID[int(np.argmin(losses))]
