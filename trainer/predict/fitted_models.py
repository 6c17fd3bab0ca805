"""The fitted models of a run: every model with its folds, opened and ready to predict.

In: checked bundles; ``Signals``. Out: each fold's probabilities of each sequence.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import Signals
from trainer.models import registry
from trainer.models.base import FittedFold, Model, Proba

T = TypeVar("T")

BATCH_FROM = 64  # sequences; from here on ``is_batch`` is faster
NUM_WORKERS = min(4, os.cpu_count() or 1)  # folds that predict at once; results do not change


@dataclass(frozen=True)
class FittedModel:
    """All folds of one model.

    Attributes:
        model: The model.
        folds: M fitted folds, each parsed when it first predicts and then kept.
        weights_M: (M,) float64, their weights in the average.
        known_MK: (M, K) bool, the classes of their training parts.
        groups: The sensor groups that they use.
    """

    model: Model
    folds: tuple[FittedFold, ...] = field(repr=False)  # megabytes of text
    weights_M: Proba
    known_MK: NDArray[np.bool_]
    groups: tuple[str, ...]

    def select(self, fold_mask: NDArray[np.bool_]) -> FittedModel:
        """Return the model with the folds of a mask, (M,) bool."""
        return replace(
            self,
            folds=tuple(fold for fold, kept in zip(self.folds, fold_mask, strict=True) if kept),
            weights_M=self.weights_M[fold_mask],
            known_MK=self.known_MK[fold_mask],
        )


def open_model(bundle: Mapping[str, Any]) -> FittedModel:
    """Return the fitted model of a bundle."""
    model = registry.get(bundle["model"])
    is_by_score = bundle["fold_weights"] == "score"
    folds = tuple(model.open(fold["packed"]) for fold in bundle["folds"])
    return FittedModel(
        model=model,
        folds=folds,
        weights_M=np.array([fold["score"] if is_by_score else 1.0 for fold in bundle["folds"]]),
        known_MK=np.stack([fold["known_classes"] for fold in bundle["folds"]]),
        groups=folds[0].groups,
    )


def predict_all(models: Mapping[str, FittedModel], signals: Signals) -> dict[str, Proba]:
    """Return the probabilities of each fold of each model, (M, N, K).

    Models on frames start first: the feature table takes longest, and is computed meanwhile.
    """
    is_batch = len(signals.offsets) - 1 >= BATCH_FROM
    order = sorted(models, key=lambda name: models[name].model.inputs != "frames")
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        futures = {}
        for name in order:
            inputs = models[name].model.prepare(signals)
            futures[name] = [
                pool.submit(fold.predict, inputs, is_batch) for fold in models[name].folds
            ]
        return {name: np.stack([each.result() for each in futures[name]]) for name in models}


def map_folds(fitted: FittedModel, function: Callable[[FittedFold], T]) -> list[T]:
    """Return the result of a function for each fold, computed in threads."""
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        return list(pool.map(function, fitted.folds))
