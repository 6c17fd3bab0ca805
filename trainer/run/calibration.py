"""Calibration: a temperature for each fold of each model, fitted on other folds only.

In: fold results. Out: the temperatures, and the results with calibrated probabilities.

The temperature of a fold minimises the cross entropy of the out-of-fold rows of all other folds
that are done, so nothing is fitted on the rows that are scored. Where no other is done it is 1.

Shapes: N sequences, K classes, G temperatures of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trainer.folds import FoldAssignment
from trainer.models.base import FoldResult, Proba
from trainer.models.temperature import GRID, cross_entropies, scale
from trainer.run.fold_job import FoldKey


def fit_temperatures(
    folds: FoldAssignment, results: Mapping[FoldKey, FoldResult]
) -> dict[FoldKey, float]:
    """Return the temperature of each finished fold of each model."""
    sums_G = {
        (model, fold): cross_entropies(result.proba_NK, folds.label_idx[folds.fold_N == fold])
        for (model, fold), result in results.items()
    }

    def fit(model: str, fold: int) -> float:
        others = [sums_G[key] for key in sorted(sums_G) if key[0] == model and key[1] != fold]
        return GRID[int(np.argmin(np.sum(others, axis=0)))] if others else 1.0

    return {key: fit(*key) for key in results}


def calibrate(
    results: Mapping[FoldKey, FoldResult], temperatures: Mapping[FoldKey, float]
) -> dict[FoldKey, FoldResult]:
    """Return the results with their probabilities scaled; without a temperature as they are."""

    def scaled(proba_NK: Proba | None, key: FoldKey) -> Proba | None:
        return None if proba_NK is None else scale(proba_NK, temperatures.get(key, 1.0))

    return {
        key: replace(
            result,
            proba_NK=scale(result.proba_NK, temperatures.get(key, 1.0)),
            proba_imu_NK=scaled(result.proba_imu_NK, key),
            best_proba_NK=scaled(result.best_proba_NK, key),
            best_proba_imu_NK=scaled(result.best_proba_imu_NK, key),
        )
        for key, result in results.items()
    }
