"""Temperature: how sure a model is, made to agree with how often it is right.

In: raw scores or log probabilities of sequences, their classes. Out: the number that scores are
divided by before the softmax. It moves no answer of a model alone, but what a blend listens to.

Source: Guo et al. 2017, "On calibration of modern neural networks".

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# 1.05 from one to the next; beyond, a part of a few dozen sequences without an error decides
GRID = tuple(float(f"{0.4 * 1.05**step:.4f}") for step in range(34))  # 0.4 to 2.0
_LEAST = 1e-12  # a class that the model does not know has a probability of 0


def fit_temperature(raw_NK: NDArray[np.float64], label_idx: NDArray[np.int64]) -> float:
    """Return the temperature of GRID with the smallest mean cross entropy; of equal ones the first.

    Args:
        raw_NK: (N, K) scores before the softmax at a temperature of 1, up to a number a row; minus
            infinity where a class is not known.
        label_idx: (N,) classes in 0..K-1.
    """
    rows_N = np.arange(len(label_idx))
    losses = []
    for temperature in GRID:
        scaled_NK = raw_NK / temperature
        top_N = scaled_NK.max(axis=1)
        sum_N = np.exp(scaled_NK - top_N[:, None]).sum(axis=1)
        log_N = scaled_NK[rows_N, label_idx] - top_N - np.log(sum_N)
        losses.append(-np.maximum(log_N, np.log(_LEAST)).mean())
    return GRID[int(np.argmin(losses))]
