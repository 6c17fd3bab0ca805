"""Predicting: one warm predictor per server, and what it is asked about one run's recordings.

In: a ``Question``. Out: answers and explanations, each worked out once per content and session; an
``AnswerError`` says why there is none. ``trainer.predict``, and with it torch and LightGBM, is
imported when a first answer is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from pages.ui.predict.requests import Question, Single
from pages.ui.shared import readers
from pages.ui.shared.readers import Version
from trainer.store.names import RunPaths

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences
    from trainer.explain.contributions import Contributions
    from trainer.explain.findings import Finding
    from trainer.explain.nearest import Neighbour
    from trainer.explain.occlusion import Attention, Occlusion
    from trainer.explain.places import Place
    from trainer.explain.training import Training
    from trainer.explain.what_if import Outcome
    from trainer.predict.predictor import Prediction, Predictor

T = TypeVar("T")

MAX_ANSWERS = 4  # of up to 5,000 sequences each
MAX_REASONS = 48  # of one sequence each, some kB


class AnswerError(RuntimeError):
    """The models of a run cannot answer; the message says why."""


def ask(question: Question) -> Prediction:
    """Return the answer of a run's models.

    Raises:
        AnswerError: A bundle is damaged, or the models do not take these recordings.
    """
    return _told(
        lambda: _answer(question.place, lambda: _warm(question).predict(*_asked(question)))
    )


def examine(question: Question) -> tuple[Finding, ...]:
    """Return what the doctor says of the recordings; no model is loaded for it."""

    def work() -> tuple[Finding, ...]:
        from trainer.explain import doctor, findings

        training = _training_of(question)
        is_there = not isinstance(training, str)
        told = doctor.examine(
            question.seen_sequences,
            training if is_there else None,
            question.mirror_left_handers,
        )
        told = (*told, *doctor.note_turned(question.sequences, question.turned_subjects))
        return told if is_there else (*told, findings.Finding("note", str(training)))

    return _once("examine", question.place, work)


def contributions(single: Single) -> Contributions:
    """Return why LightGBM preferred the answer to the runner-up.

    Raises:
        AnswerError: There is no LightGBM, or no fold that knows both.
    """
    from trainer.explain.contributions import contributions_of

    return _reason(
        single,
        "contributions",
        lambda predictor: contributions_of(
            predictor, single.sequence, *single.first_two, single.question.fold
        ),
    )


def attention(single: Single) -> Attention:
    """Return where the network looked.

    Raises:
        AnswerError: There is no network.
    """
    from trainer.explain.occlusion import attention_of

    fold = single.question.fold
    return _reason(
        single, "attention", lambda predictor: attention_of(predictor, single.sequence, fold)
    )


def occlusion(single: Single) -> Occlusion:
    """Return what the network says with each stretch hidden.

    Raises:
        AnswerError: There is no network.
    """
    from trainer.explain.occlusion import occlusion_of

    fold = single.question.fold
    return _reason(
        single,
        "occlusion",
        lambda predictor: occlusion_of(predictor, single.sequence, fold=fold),
    )


def outcomes(single: Single) -> tuple[Outcome, ...]:
    """Return what the answer would be of a changed recording.

    Raises:
        AnswerError: The models do not take it.
    """
    from trainer.explain.what_if import what_if

    question = single.question
    return _reason(
        single,
        "what_if",
        lambda predictor: what_if(predictor, single.sequence, question.rate_hz, question.fold),
    )


def neighbours(single: Single, but_not: tuple[str, ...]) -> list[Neighbour]:
    """Return the training sequences that are most like this one.

    Raises:
        AnswerError: There is no LightGBM, or the run's training data is not with it.
    """
    from trainer.explain.nearest import nearest

    training = _training_of(single.question)
    if isinstance(training, str):
        raise AnswerError(training)
    return _reason(
        single,
        f"nearest but {but_not}",
        lambda predictor: nearest(predictor, training, single.sequence, but_not=but_not),
    )


def num_bins(single: Single) -> int:
    """Return into how many time bins LightGBM's features cut a recording; 0 without any."""
    from trainer.explain.places import count_bins

    fitted = _warm(single.question).models.get("lgbm")
    names = () if fitted is None else fitted.folds[0].names
    return _once("bins", single.question.place[:2], lambda: count_bins(names))


def place(single: Single, feature: str) -> Place:
    """Return where in the recording a feature comes from."""
    from trainer.explain.places import place_of

    bins, question = num_bins(single), single.question
    return _reason(
        single,
        f"place {feature}",
        lambda _: place_of(
            question.as_seen(single.sequence),
            feature,
            bins,
            question.mirror_left_handers,
        ),
    )


def _reason(single: Single, what: str, work: Callable[[Predictor], T]) -> T:
    question = single.question
    place = (*question.place, single.index, single.first_two)
    return _told(lambda: _once(what, place, lambda: work(_warm(question))))


def _told(work: Callable[[], T]) -> T:
    """Let what a model cannot do come out as one error."""
    from trainer.blend import BlendError
    from trainer.data.schema import DataError
    from trainer.predict.bundles import PredictError

    try:
        return work()
    except (PredictError, DataError, BlendError) as error:
        raise AnswerError(str(error)) from error


def _asked(question: Question) -> tuple[Sequences, int | None]:
    return question.sequences, question.fold


def _warm(question: Question) -> Predictor:
    return _predictor(question.root, question.bundles)


def _training_of(question: Question) -> Training | str:
    """Return the run's training data, or why it is not here."""
    return _training(question.root, readers.version(RunPaths(Path(question.root)).features))


@st.cache_resource(max_entries=1, show_spinner="Loading the models")
def _predictor(root: str, bundles: Version) -> Predictor:
    from trainer.predict.predictor import Predictor

    _import_lightgbm()
    return Predictor.load(Path(root))


def _import_lightgbm() -> None:
    """Import LightGBM without scikit-learn, which only its wrappers want.

    That is 0.3 of 1.0 s of the first answer. For this process only, which uses neither the wrappers
    nor scikit-learn: to a program that does, LightGBM would seem to have none.
    """
    if "lightgbm" in sys.modules or "sklearn" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # so that its import is refused
    try:
        importlib.import_module("lightgbm")
    finally:
        del sys.modules["sklearn"]


@st.cache_resource(max_entries=1, show_spinner="Reading the training data")
def _training(root: str, version: Version) -> Training | str:
    from trainer.explain.training import Training
    from trainer.predict.bundles import PredictError

    try:
        return Training.load(Path(root))
    except PredictError as error:
        return str(error)


@st.cache_resource(max_entries=MAX_ANSWERS, show_spinner="Asking the models", scope="session")
def _answer(place: tuple[Hashable, ...], _work: Callable[[], Prediction]) -> Prediction:
    return _work()


@st.cache_resource(max_entries=MAX_REASONS, show_spinner=False, scope="session")
def _once(what: str, place: tuple[Hashable, ...], _work: Callable[[], T]) -> T:
    return _work()
