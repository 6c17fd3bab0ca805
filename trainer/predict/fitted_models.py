"""The fitted models of a run: bundles, read, checked and opened, ready to predict.

In: a run folder, or any folder with a copy of a bundle; ``Signals``. Out: each fold's probabilities
of each sequence.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import Signals
from trainer.models import registry
from trainer.models.base import FittedFold, Model, Proba
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import CodecError, loads, unseal
from trainer.store.file_kinds import read_file
from trainer.store.names import RunPaths

T = TypeVar("T")

BUNDLE_SCHEMA = 1
BUNDLE_PARTS = (
    *("schema", "model", "input_version", "gestures", "num_targets", "weights", "fold_weights"),
    *("mirror_left_handers", "fail_if_torch_missing", "folds"),
)
BATCH_FROM = 64  # sequences; from here on ``is_batch`` is faster
NUM_WORKERS = min(4, os.cpu_count() or 1)  # folds that predict at once; results do not change


class PredictError(RuntimeError):
    """A prediction or explanation is not possible; the message gives the reason and the remedy."""


def read_bundle(root: Path, model: str) -> dict[str, Any] | None:
    """Return a model's bundle after its checksum was verified, None where there is none.

    Args:
        root: The folder with the bundle.
        model: The model's name.

    Raises:
        PredictError: It is damaged, has another version, was trained on features or frames that
            this version computes differently, or contains more than plain data.
    """
    path = RunPaths(root).bundle(model)
    if not path.exists():
        return None
    try:
        bundle: dict[str, Any] = loads(_verified(path))
    except CodecError as error:
        raise PredictError(f"{path}: {error}") from error
    if bundle.get("schema", 0) > BUNDLE_SCHEMA:
        raise PredictError(
            f"{path}: schema {bundle['schema']} is newer than this version's {BUNDLE_SCHEMA}. "
            f"Update the project to use it"
        )
    missing = [part for part in BUNDLE_PARTS if part not in bundle]
    if missing:
        raise PredictError(
            f"{path}: expected a bundle with {', '.join(missing)}, got one without: it was written "
            f"by an older version. Resume the run to write it again from the fold files"
        )
    input_version = registry.get(model).input_version
    if bundle["input_version"] != input_version:
        raise PredictError(
            f"{path}: expected a model trained on version {input_version} of its inputs, which is "
            f"the version that is computed here; it was trained on version "
            f"{bundle['input_version']}, so its predictions would be wrong. Train a new run, or "
            f"predict with the version of the project that trained this one"
        )
    return bundle


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


def _verified(path: Path) -> bytes:
    """Return a bundle's content, checked by the run's checksum or, without one, by its own."""
    folder = CheckedFolder(path.parent)
    data = folder.read(path.name)
    if data is None and folder.checksums().find(path.name) is None:
        data = read_file(path)
    content = None if data is None else unseal(data)
    if content is None:
        raise PredictError(
            f"{path}: its SHA-256 is not the recorded one, so it is damaged. Run python -m trainer "
            f"resume {path.parent.name} to write it again from the fold files, or copy it again"
        )
    return content
