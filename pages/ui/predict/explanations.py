"""Explanations of one prediction, computed once per session when they are first shown.

In: ``Selected``. Out: contributions, attention, occlusion, changed copies, nearest training
sequences, places of features, the report. Each function raises one of ``predictions.ERRORS`` if the
run has no model for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pages.ui.predict import predictions
from trainer.predict.fitted_models import PredictError

if TYPE_CHECKING:
    from pages.ui.predict.predictions import Selected
    from trainer.data.quality.findings import Finding
    from trainer.explain.contributions import Contributions
    from trainer.explain.nearest import Neighbour
    from trainer.explain.occlusion import Attention, Occlusion
    from trainer.explain.places import Place
    from trainer.explain.what_if import Outcome

T = TypeVar("T")


def contributions(selected: Selected) -> Contributions:
    """Return the contributions to the raw scores of the predicted gesture and the runner-up."""
    from trainer.explain.contributions import contributions_of

    fold = selected.request.recordings.fold
    return _once(
        selected, "contributions", contributions_of, selected.sequence, *selected.first_two, fold
    )


def attention(selected: Selected) -> Attention:
    """Return the attention weights of the time steps."""
    from trainer.explain.occlusion import attention_of

    fold = selected.request.recordings.fold
    return _once(selected, "attention", attention_of, selected.sequence, fold)


def occlusion(selected: Selected) -> Occlusion:
    """Return the probabilities with each window of the recording hidden."""
    from trainer.explain.occlusion import occlusion_of

    fold = selected.request.recordings.fold
    return _once(selected, "occlusion", occlusion_of, selected.sequence, fold=fold)


def outcomes(selected: Selected) -> tuple[Outcome, ...]:
    """Return the predictions for changed copies of the recording."""
    from trainer.explain.what_if import what_if

    rate_hz, fold = selected.request.rate_hz, selected.request.recordings.fold
    return _once(selected, "what if", what_if, selected.sequence, rate_hz, fold)


def neighbours(selected: Selected) -> list[Neighbour]:
    """Return the nearest training sequences, without the sequence itself.

    Raises:
        PredictError: Also if the run's training data is missing.
    """
    from trainer.explain.nearest import nearest

    training = predictions.load_training(selected.request)
    if isinstance(training, str):
        raise PredictError(training)
    known = selected.request.recordings.known
    exclude = [str(known["sequence_id"])] if known else []
    name = f"nearest without {exclude}"
    return _once(selected, name, nearest, training, selected.sequence, exclude=exclude)


def num_bins(selected: Selected) -> int:
    """Return the number of time bins of the feature table; 0 if no model of the run uses it."""
    from trainer.explain.places import num_time_bins

    return _once(selected, "time bins", num_time_bins)


def place(selected: Selected, feature: str) -> Place:
    """Return the part of the recording that a feature is computed from."""
    from trainer.data.device_orientation import rotate
    from trainer.explain.places import place_of

    bins, request = num_bins(selected), selected.request
    sequence = rotate(selected.sequence, selected.sequence.turned_N)
    return predictions.once(
        f"place {feature}",
        _key(selected),
        lambda: place_of(sequence, feature, bins, request.mirror_left_handers),
    )


def report_html(
    selected: Selected, run_name: str, findings: Sequence[Finding], remarks: Sequence[str]
) -> str:
    """Return the report as one HTML file; explanations that are not possible are left out."""
    from trainer.explain.report import Report, render

    return render(
        Report(
            run=run_name,
            sequence=selected.sequence,
            prediction=selected.alone,
            rate_hz=selected.request.rate_hz,
            remarks=tuple(remarks),
            findings=tuple(findings),
            contributions=_or_none(contributions, selected),
            attention=_or_none(attention, selected),
            occlusion=_or_none(occlusion, selected),
            outcomes=_or_none(outcomes, selected) or (),
            neighbours=tuple(_or_none(neighbours, selected) or ()),
        )
    )


def _or_none(explain: Callable[[Selected], T], selected: Selected) -> T | None:
    try:
        return explain(selected)
    except predictions.ERRORS:
        return None


def _once(
    selected: Selected, name: str, explain: Callable[..., T], *arguments: object, **options: object
) -> T:
    """Return what a function of the predictor returns, computed once per name and session."""
    return predictions.once(
        name,
        _key(selected),
        lambda: predictions.compute(selected.request, explain, *arguments, **options),
    )


def _key(selected: Selected) -> tuple[Hashable, ...]:
    return (*selected.request.key, selected.index, selected.first_two)
