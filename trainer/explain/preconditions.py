"""What an explanation needs: one sequence, and a model of the run that can be explained so.

In: ``Sequences``; a predictor. Out: the fitted model, or a ``PredictError``.
"""

from __future__ import annotations

from typing import Literal

from trainer.data.sequences import Sequences
from trainer.models import registry
from trainer.models.base import Model
from trainer.predict.fitted_models import FittedModel, PredictError
from trainer.predict.predictor import Predictor

Ability = Literal["importance", "contributions", "attention"]


def check_single(sequence: Sequences) -> None:
    """Refuse several sequences.

    Raises:
        PredictError: There is not exactly one.
    """
    if sequence.num_sequences != 1:
        raise PredictError(
            f"expected one sequence to explain, got {sequence.num_sequences}. Select one of them"
        )


def find_model(predictor: Predictor, ability: Ability, fold: int | None = None) -> FittedModel:
    """Return the first model of a run that has an ability.

    Args:
        predictor: The run's models.
        ability: What the explanation is made of.
        fold: Use this fold only; None uses all.

    Raises:
        PredictError: No model of the run has it, or there is no such fold.
    """
    models = list(predictor.models_of(fold).values())
    for fitted in models:
        if _has(fitted.model, ability) and getattr(fitted.folds[0], f"has_{ability}", True):
            return fitted
    able = [model.title for model in registry.all_models() if _has(model, ability)]
    notes = "".join(f" ({note})" for note in predictor.notes)
    raise PredictError(
        f"{predictor.root}: expected a model with {ability} ({', '.join(able)}), got only "
        f"{', '.join(fitted.model.title for fitted in models)}{notes}. Finish the folds of such a "
        f"model, or choose another explanation"
    )


def _has(model: Model, ability: Ability) -> bool:
    return bool(getattr(model, f"has_{ability}"))
