"""Predictions: what a run predicts for recordings, computed once per content and session.

In: a ``Request``: recordings and a run. Out: its ``Prediction``, findings of the input check. The
models are in a process of their own, see ``trainer.predict.model_process``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import streamlit as st

from pages.ui.shared import readers
from pages.ui.shared.readers import Version
from trainer.blend import BlendError
from trainer.data.schema import DataError
from trainer.models import registry
from trainer.predict import model_process
from trainer.predict.fitted_models import PredictError
from trainer.predict.model_process import Models
from trainer.store.names import RunPaths

if TYPE_CHECKING:
    from trainer.data.quality.findings import Finding
    from trainer.data.sequences import Sequences
    from trainer.explain.training import Training
    from trainer.predict.predictor import Prediction

T = TypeVar("T")

ERRORS = (PredictError, DataError, BlendError)  # a prediction or explanation is not possible
MAX_PREDICTIONS = 4  # of up to 5,000 sequences each
MAX_EXPLANATIONS = 48  # of one sequence each, some kB


@dataclass(frozen=True)
class Recordings:
    """Recordings to predict, as chosen on the page.

    Attributes:
        sequences: The recordings, with the decision about their device orientation.
        key: Identifies their content, and whether they are predicted as worn.
        fold: Predict with this fold's models only; None uses all folds.
        known: sequence_id, gesture and subject of a built-in sequence; else empty.
        seen: Whether the models were trained on each sequence; None if that is unknown.
    """

    sequences: Sequences
    key: str
    fold: int | None = None
    known: dict[str, Any] = field(default_factory=dict)
    seen: tuple[bool, ...] | None = None


@dataclass(frozen=True)
class Request:
    """Recordings and the run that predicts them.

    Attributes:
        models: Of the run.
        rate_hz: Time steps in a second.
        mirror_left_handers: Whether left-handers were mirrored in training.
        recordings: The recordings.
    """

    models: Models
    rate_hz: float
    mirror_left_handers: bool
    recordings: Recordings

    @property
    def sequences(self) -> Sequences:
        """Return the recordings."""
        return self.recordings.sequences

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Return the key of the request in caches."""
        return (self.models, self.recordings.key, self.recordings.fold)


@dataclass(frozen=True)
class Selected:
    """One sequence of a request.

    Attributes:
        request: The request.
        index: Position of the sequence among its recordings.
        prediction: The prediction for all of its recordings.
    """

    request: Request
    index: int
    prediction: Prediction

    @property
    def sequence(self) -> Sequences:
        """Return the sequence alone."""
        return self.request.sequences.select(np.array([self.index]))

    @property
    def first_two(self) -> tuple[int, int]:
        """Return the class indices of the predicted gesture and of the runner-up."""
        first, second = np.argsort(-self.prediction.proba_NK[self.index], kind="stable")[:2]
        return int(first), int(second)

    @property
    def alone(self) -> Prediction:
        """Return the prediction for this sequence alone."""
        row, whole = slice(self.index, self.index + 1), self.prediction
        return replace(
            whole,
            sequence_ids=whole.sequence_ids[row],
            proba_NK=whole.proba_NK[row],
            by_model={model: proba_NK[row] for model, proba_NK in whole.by_model.items()},
            by_fold={model: proba_MNK[:, row] for model, proba_MNK in whole.by_fold.items()},
        )


def find_bundles(paths: RunPaths) -> Version:
    """Return the version of a run's bundles; empty if no model is finished."""
    return readers.version(*(paths.bundle(model.name) for model in registry.all_models()))


def load_models(models: Models) -> None:
    """Have the models of a run loaded, once per session, without waiting for it."""
    once("models", (models,), lambda: model_process.load(models))


def predict(request: Request) -> Prediction:
    """Return the prediction of a run for recordings.

    Raises:
        ERRORS: A bundle is damaged, or the models cannot use these recordings.
    """
    from trainer.predict.predictor import Predictor

    recordings = request.recordings
    return _prediction(
        request.key,
        lambda: compute(request, Predictor.predict, recordings.sequences, recordings.fold),
    )


def compute(
    request: Request, function: Callable[..., T], *arguments: object, **options: object
) -> T:
    """Return what a function of the run's predictor returns, see ``model_process.compute``."""
    return model_process.compute(request.models, function, *arguments, **options)


def check_input(request: Request) -> tuple[Finding, ...]:
    """Return the findings of the input check; no model is loaded for it."""

    def check() -> tuple[Finding, ...]:
        from trainer.explain.input_check import check_with_training

        return check_with_training(
            request.sequences, load_training(request), request.mirror_left_handers
        )

    return once("input check", request.key, check)


def load_training(request: Request) -> Training | str:
    """Return the run's training data, or why it is missing."""
    root = request.models.root
    return _training(root, readers.version(RunPaths(root).features))


@st.cache_resource(max_entries=MAX_EXPLANATIONS, show_spinner=False, scope="session")
def once(name: str, key: tuple[Hashable, ...], _compute: Callable[[], T]) -> T:
    """Return a result that is computed once per name, key and session."""
    return _compute()


@st.cache_resource(max_entries=MAX_PREDICTIONS, show_spinner="Predicting", scope="session")
def _prediction(key: tuple[Hashable, ...], _compute: Callable[[], Prediction]) -> Prediction:
    return _compute()


@st.cache_resource(max_entries=1, show_spinner="Reading the training data")
def _training(root: Path, version: Version) -> Training | str:
    from trainer.explain.training import Training

    try:
        return Training.load(root)
    except PredictError as error:
        return str(error)
