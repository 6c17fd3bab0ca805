"""The fitted models of a run: bundles, read, checked and opened, ready to predict.

In: a run folder, or any folder with a copy of a bundle; ``Signals``. Out: each fold's probabilities
of each sequence.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.data.orientation_detector import OrientationDetector
from trainer.data.preprocess import Signals
from trainer.features.feature_table import build_table
from trainer.features.own_blocks import FeatureBlock
from trainer.models import registry
from trainer.models.base import FittedFold, Model, Proba
from trainer.models.temperature import TEMPERATURES, Temperatures, scale
from trainer.own_code.loader import describe_error
from trainer.plain_data import (
    LARGEST,
    DamagedDataError,
    array,
    integer,
    names,
    number,
    part,
    reading,
)
from trainer.predict.model_folder import is_model_folder, read_shared_bundle
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import loads, unseal
from trainer.store.file_kinds import read_file
from trainer.store.names import RunPaths

T = TypeVar("T")

BUNDLE_SCHEMA = 2  # 1: a temperature for each fold of each model, none for the blend
BUNDLE_PARTS = (
    *("schema", "model", "input_version", "gestures", "num_targets", "weights", "fold_weights"),
    *("mirror_left_handers", "fail_if_torch_missing", "folds"),
)
MAX_CLASSES, MAX_FOLDS = 1000, 1000
MAX_FILES = 20  # of own code
BATCH_FROM = 64  # sequences; from here on ``is_batch`` is faster
THREADS_FROM = (
    8  # sequences; for fewer, threads cost more (half as much again for one) than they gain
)
NUM_WORKERS = min(4, os.cpu_count() or 1)  # folds that predict at once; results do not change


class PredictError(RuntimeError):
    """A prediction or explanation is not possible; the message gives the reason and the remedy."""


def read_bundle(root: Path, model: str, own: Model | None = None) -> dict[str, Any] | None:
    """Return a model's bundle after its checksum was verified, None where there is none.

    Args:
        root: The folder with the bundle, or a model folder.
        model: The model's name.
        own: The model, where it is of the run's own code.

    Raises:
        PredictError: It is damaged, has another version, was trained on features or frames that
            this version computes differently, or contains more than plain data.
    """
    path = RunPaths(root).bundle(model)
    try:
        if is_model_folder(root):
            path = root
            bundle: Any = read_shared_bundle(root, model)
            if bundle is None:
                return None
        elif not path.exists():
            return None
        else:
            bundle = loads(_verified(path))
        return _check_bundle(bundle, own or registry.get(model))
    except DamagedDataError as error:
        raise PredictError(f"{path}: {error}") from error


def _check_bundle(bundle: Any, model: Model) -> dict[str, Any]:  # noqa: ANN401 - plain data
    """Return a bundle whose parts have their types; its folds are checked by ``open_model``."""
    if not isinstance(bundle, dict) or bundle.get("model") != model.name:
        raise DamagedDataError(f"expected a bundle of {model.phrase}")
    with reading("bundle"):
        schema = integer(bundle, "schema", 0, 2**31)
    if schema > BUNDLE_SCHEMA:
        raise DamagedDataError(
            f"schema {schema} is newer than this version's {BUNDLE_SCHEMA}. Update the project to "
            f"use it"
        )
    missing = [name for name in BUNDLE_PARTS if name not in bundle]
    if missing:
        raise DamagedDataError(
            f"expected a bundle with {', '.join(missing)}, got one without: it was written by an "
            f"older version. Resume the run to write it again from the fold files"
        )
    input_version = model.input_version
    if bundle["input_version"] != input_version:
        raise DamagedDataError(
            f"expected a model trained on version {input_version} of its inputs, which is the "
            f"version that is computed here; it was trained on version "
            f"{bundle['input_version']!r:.60}, so its predictions would be wrong. Train a new run, "
            f"or predict with the version of the project that trained this one"
        )
    with reading("bundle"):
        gestures = names(bundle, "gestures", MAX_CLASSES)
        integer(bundle, "num_targets", 0, len(gestures))
        weights = part(bundle, "weights", dict)
        for name in weights:
            number(weights, part({"name": name}, "name", str), 0.0, LARGEST)
        for name in ("mirror_left_handers", "fail_if_torch_missing"):
            part(bundle, name, bool)
        left_out = part(bundle, "left_out", dict, {})
        for name in left_out:
            part(left_out, part({"name": name}, "name", str), str)
        if "use" in bundle:
            names(bundle, "use", MAX_FILES)
        if bundle.get("turned_subjects"):
            names(bundle, "turned_subjects", len(bundle["turned_subjects"]))
        OrientationDetector.from_plain(part(bundle, "orientation_detector", dict, {}))
        if bundle["fold_weights"] not in ("equal", "score"):
            raise DamagedDataError("fold_weights: expected equal or score")
        folds = part(bundle, "folds", list)
        if not 1 <= len(folds) <= MAX_FOLDS:
            raise DamagedDataError(f"folds: expected 1 to {MAX_FOLDS}, got {len(folds)}")
        Temperatures.from_plain(part(bundle, "temperatures", dict, {}), len(folds))
        for fold in folds:
            number(fold, "score", 0.0, 1.0)
            number(fold, "temperature", *TEMPERATURES, default=1.0)
            array(fold, "known_classes", "b", (len(gestures),))
    return bundle


@dataclass(frozen=True)
class FittedModel:
    """All folds of one model.

    Attributes:
        model: The model.
        folds: M fitted folds, each parsed when it first predicts and then kept.
        weights_M: (M,) float64, their weights in the average.
        temperatures_M: (M,) float64, divisors of the logarithms of their probabilities; 1 but in
            bundles of schema 1.
        known_MK: (M, K) bool, the classes of their training parts.
        groups: The sensor groups that they use.
    """

    model: Model
    folds: tuple[FittedFold, ...] = field(repr=False)  # megabytes of text
    weights_M: Proba
    temperatures_M: Proba
    known_MK: NDArray[np.bool_]
    groups: tuple[str, ...]

    def scale(self, by_fold: Sequence[Proba]) -> Proba:
        """Return the probabilities of the folds at their temperatures, (M, N, K)."""
        pairs = zip(by_fold, self.temperatures_M, strict=True)
        return np.stack([scale(proba_NK, temperature) for proba_NK, temperature in pairs])

    def select(self, fold_mask: NDArray[np.bool_]) -> FittedModel:
        """Return the model with the folds of a mask, (M,) bool."""
        return replace(
            self,
            folds=tuple(fold for fold, kept in zip(self.folds, fold_mask, strict=True) if kept),
            weights_M=self.weights_M[fold_mask],
            temperatures_M=self.temperatures_M[fold_mask],
            known_MK=self.known_MK[fold_mask],
        )


def open_model(bundle: Mapping[str, Any], path: Path, own: Model | None = None) -> FittedModel:
    """Return the fitted model of a bundle.

    Args:
        bundle: As ``read_bundle`` returns it.
        path: Its file.
        own: The model, where it is of the run's own code.

    Raises:
        PredictError: One of its folds is not a model that was trained.
        NotLoadedError: It needs own code that this process has not loaded.
    """
    model = own or registry.get(bundle["model"])
    is_by_score = bundle["fold_weights"] == "score"
    folds = []
    for place, fold in enumerate(bundle["folds"]):
        try:
            folds.append(registry.open_packed(model, fold.get("packed")))
        except DamagedDataError as error:
            raise PredictError(
                f"{path}: fold {place}: {error}. The file was changed or damaged and is not "
                f"used. Copy the run again from where it was trained"
            ) from error
    return FittedModel(
        model=model,
        folds=tuple(folds),
        weights_M=np.array([fold["score"] if is_by_score else 1.0 for fold in bundle["folds"]]),
        temperatures_M=np.array([fold.get("temperature", 1.0) for fold in bundle["folds"]]),
        known_MK=np.stack([fold["known_classes"] for fold in bundle["folds"]]),
        groups=folds[0].groups,
    )


def prepare_inputs(model: Model, signals: Signals, own: Sequence[FeatureBlock]) -> Any:  # noqa: ANN401
    """Return a model's inputs of preprocessed recordings, with the columns of own feature blocks.

    Raises:
        PredictError: Own code fails, or returns what the table cannot have.
    """
    if not own or model.inputs != "features":
        return model.prepare(signals)
    try:
        return build_table(signals, own=own)
    except Exception as error:  # the user's code can raise anything
        raise PredictError(f"own code: {describe_error(error)}") from error


def predict_all(
    models: Mapping[str, FittedModel], signals: Signals, own: Sequence[FeatureBlock] = ()
) -> dict[str, Proba]:
    """Return the probabilities of each fold of each model, (M, N, K).

    Models on frames start first: the feature table takes longest, and is computed meanwhile.

    Args:
        models: The run's models, by name.
        signals: Preprocessed recordings.
        own: Feature blocks of the run's own code.
    """
    num_sequences = len(signals.offsets) - 1
    is_batch = num_sequences >= BATCH_FROM
    order = sorted(models, key=lambda name: models[name].model.inputs != "frames")
    with _calling(num_sequences >= THREADS_FROM) as call, _refusing():
        results = {}
        for name in order:
            inputs = prepare_inputs(models[name].model, signals, own)
            results[name] = [call(fold.predict, inputs, is_batch) for fold in models[name].folds]
        probabilities = {name: [result() for result in results[name]] for name in models}
    return {
        name: models[name].scale(
            [_checked(name, proba_NK, models[name], signals) for proba_NK in by_fold]
        )
        for name, by_fold in probabilities.items()
    }


def _checked(name: str, proba_NK: Proba, fitted: FittedModel, signals: Signals) -> Proba:
    """Return a fold's probabilities, which a changed file may have made into something else."""
    expected = (len(signals.offsets) - 1, fitted.known_MK.shape[1])
    if proba_NK.shape != expected or not np.isfinite(proba_NK).all():
        raise PredictError(
            f"{registry.title(name)}: expected finite probabilities of shape {expected}, got "
            f"{proba_NK.shape}. The model was changed or damaged: copy the run again from where "
            f"it was trained"
        )
    return proba_NK


@contextlib.contextmanager
def _calling(in_threads: bool) -> Iterator[Callable[..., Callable[[], Proba]]]:
    """Yield how to call a function, in threads or here; the call returns how to get the result."""
    if not in_threads:
        yield partial
        return
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result


def map_folds(fitted: FittedModel, function: Callable[[FittedFold], T]) -> list[T]:
    """Return the result of a function for each fold, computed in threads."""
    with ThreadPoolExecutor(NUM_WORKERS) as pool, _refusing():
        return list(pool.map(function, fitted.folds))


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Turn a refusal of a model's library, which parses a fold when it first predicts."""
    try:
        yield
    except DamagedDataError as error:
        raise PredictError(f"{error}. Copy the run again from where it was trained") from error


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
