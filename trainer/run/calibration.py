"""Calibration: one temperature for the blend, fitted on other folds only.

In: the blended out-of-fold probabilities. Out: a temperature for each fold, and one for new
recordings.

The temperature of a fold minimises the cross entropy of the rows of all other folds, so nothing is
fitted on the rows that are scored. Where no other fold is done it is 1. New recordings get the
temperature of all rows.

Shapes: N sequences, K classes, M folds, G temperatures of the grid.
"""

from __future__ import annotations

import numpy as np

from trainer.folds import FoldAssignment
from trainer.models.base import Proba
from trainer.models.temperature import GRID, Temperatures, cross_entropies


def fit_temperatures(
    folds: FoldAssignment, proba_NK: Proba, models: tuple[str, ...]
) -> Temperatures:
    """Return the temperatures of a blend.

    Args:
        folds: The folds and classes of the rows.
        proba_NK: (N, K) blended probabilities, NaN rows where a fold is not done.
        models: The blended models.
    """
    sums_G = {}
    for fold in range(folds.num_folds):
        own_N = folds.fold_N == fold
        if not np.isnan(proba_NK[own_N]).any():
            sums_G[fold] = cross_entropies(proba_NK[own_N], folds.label_idx[own_N])

    def fit(left_out: int | None) -> float:
        used = [sums for fold, sums in sums_G.items() if fold != left_out]
        return GRID[int(np.argmin(np.sum(used, axis=0)))] if used else 1.0

    by_fold = tuple(fit(fold) for fold in range(folds.num_folds))
    return Temperatures(models, by_fold, of_all=fit(None))
