"""Halves: one model's folds of a run, opened, and asked side by side.

In: a checked bundle; ``Signals``. Out: what each fold says of each sequence.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import Signals
from trainer.features.feature_table import align, build_table
from trainer.features.frames import build_frames
from trainer.models.boosting import booster
from trainer.models.serialization import unpack_boosting, unpack_network

Proba = NDArray[np.float64]

NUM_THREADS = 1  # of each fold's model; more would change the network's last bits
MANY = 64  # sequences, from which on they are asked in the ways that pay for a batch
NUM_WORKERS = min(4, os.cpu_count() or 1)  # folds asked at once; changes no number


@dataclass(frozen=True)
class FittedModel:
    """One model's folds, ready to predict.

    Attributes:
        folds: M models, each parsed when it is first asked and then kept.
        weights_M: (M,) float64, their votes.
        knows_MK: (M, K) bool, the gestures that their training parts had.
        groups: The sensor groups that they use.
    """

    folds: tuple[Any, ...] = field(repr=False)  # megabytes of text
    weights_M: Proba
    knows_MK: NDArray[np.bool_]
    groups: tuple[str, ...]

    def keep(self, fold_mask: NDArray[np.bool_]) -> FittedModel:
        """Return the half with some of its folds, fold_mask (M,) bool."""
        return replace(
            self,
            folds=tuple(each for each, kept in zip(self.folds, fold_mask, strict=True) if kept),
            weights_M=self.weights_M[fold_mask],
            knows_MK=self.knows_MK[fold_mask],
        )


def open_model(bundle: Mapping[str, Any]) -> FittedModel:
    """Return the folds of a checked bundle."""
    unpack = unpack_boosting if bundle["model"] == "lgbm" else unpack_network
    folds = bundle["folds"]
    is_by_score = bundle["fold_weights"] == "score"
    return FittedModel(
        folds=tuple(unpack(fold["packed"]) for fold in folds),
        weights_M=np.array([fold["score"] if is_by_score else 1.0 for fold in folds]),
        knows_MK=np.stack([fold["known_classes"] for fold in folds]),
        groups=_groups_of(folds[0]["packed"]),
    )


def predict_all(models: Mapping[str, FittedModel], signals: Signals) -> dict[str, Proba]:
    """Return what each fold of each model says, (M, N, K).

    The network is asked first: LightGBM's features are computed while it is at work.
    """
    askers = {"torch": _ask_network, "lgbm": _ask_boosting}
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        asked = {
            model: [pool.submit(ask, each) for each in models[model].folds]
            for model, asker in askers.items()
            if model in models
            for ask in [asker(signals)]
        }
        return {model: np.stack([each.result() for each in asked[model]]) for model in models}


def map_folds(fitted: FittedModel, ask: Callable[[Any], Proba]) -> Proba:
    """Ask the folds of a model side by side: the libraries work outside Python's lock.

    Args:
        fitted: The model.
        ask: Returns an array for one fold's model; of the same shape for each.

    Returns:
        The arrays, stacked: (M, ...).
    """
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        return np.stack(list(pool.map(ask, fitted.folds)))


def _groups_of(packed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sensor groups of a packed fold's channels or features."""
    if "groups" in packed:
        return tuple(dict.fromkeys(packed["groups"]))
    sensors = dict.fromkeys(name.partition(".")[0] for name in packed["feature_names"])
    return tuple(dict.fromkeys(sensor.partition("_")[0] for sensor in sensors))


def _ask_network(signals: Signals) -> Callable[[Any], Proba]:
    """Return what asks one fold's network about recordings, after preparing them."""
    import torch

    from trainer.models.network.inference import predict_fold, predict_many

    torch.set_num_threads(NUM_THREADS)
    frames = build_frames(signals)
    sequence_idx = np.arange(len(signals.offsets) - 1)
    predict = predict_many if len(sequence_idx) >= MANY else predict_fold
    return lambda each: predict(each, frames, sequence_idx)


def _ask_boosting(signals: Signals) -> Callable[[Any], Proba]:
    """Return what asks one fold's LightGBM about recordings, after preparing them."""
    table = build_table(signals)
    predict = booster.predict_many if len(table.values_NF) >= MANY else booster.predict
    return lambda each: predict(each, align(table, each.names))
