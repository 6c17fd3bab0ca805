"""Temperature scaling: calibrates the confidence of probabilities.

In: probabilities of sequences, and their classes. Out: the loss at each temperature, and the
probabilities at one. It changes no predicted class.

Source: Guo et al. 2017, "On calibration of modern neural networks".

Shapes: N sequences, K classes, M folds, G temperatures of the grid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.plain_data import DamagedDataError, names, number, part

Proba = NDArray[np.float64]

# factors of 1.05; bounded, since a few dozen sequences without an error would give 0
GRID = tuple(float(f"{0.4 * 1.05**step:.4f}") for step in range(34))  # 0.4 to 2.0
MAX_MODELS = 1000
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


@dataclass(frozen=True)
class Temperatures:
    """The temperatures of a run's blend.

    Attributes:
        models: The models that are blended.
        by_fold: M temperatures, each fitted on the other folds.
        of_all: Fitted on all folds, for new recordings.
    """

    models: tuple[str, ...] = ()
    by_fold: tuple[float, ...] = ()
    of_all: float = 1.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], num_folds: int) -> Temperatures:
        """Return what ``to_plain`` made; without temperatures for an empty table.

        Raises:
            DamagedDataError: A part is missing, of another type or out of range.
        """
        if not plain:
            return NOT_CALIBRATED
        models = names(plain, "models", MAX_MODELS)
        by_fold = {f"fold {k}": value for k, value in enumerate(part(plain, "by_fold", list))}
        if len(by_fold) != num_folds:
            raise DamagedDataError(f"by_fold: expected {num_folds} numbers, got {len(by_fold)}")
        return cls(
            models=tuple(models),
            by_fold=tuple(number(by_fold, fold, *TEMPERATURES) for fold in by_fold),
            of_all=number(plain, "of_all", *TEMPERATURES),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for a file."""
        return {"models": [*self.models], "by_fold": [*self.by_fold], "of_all": self.of_all}

    def of(self, models: Collection[str], fold: int | None) -> float:
        """Return the temperature of a blend: 1 where other models are blended.

        Args:
            models: The blended models.
            fold: The fold that predicts; None if all do.
        """
        if not self._fits(models):
            return 1.0
        return self.of_all if fold is None else self.by_fold[fold]

    def describe_missing(self, models: Collection[str]) -> tuple[str, ...]:
        """Return a note where other models are blended, so that no temperature is used."""
        if not self.models or self._fits(models):
            return ()
        return ("probabilities are not calibrated, since a model of the blend is missing",)

    def _fits(self, models: Collection[str]) -> bool:
        return set(models) == set(self.models)

    def calibrate(self, proba_NK: Proba, fold_N: NDArray[np.int64]) -> Proba:
        """Return blended out-of-fold rows, each scaled by the temperature of its fold."""
        scaled_NK = proba_NK.copy()
        for fold, temperature in enumerate(self.by_fold):
            scaled_NK[fold_N == fold] = scale(proba_NK[fold_N == fold], temperature)
        return scaled_NK


NOT_CALIBRATED = Temperatures()
