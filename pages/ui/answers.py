"""Answers: a prediction as frames to show and to take away.

In: ``Prediction``. Out: polars frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pages.ui import words

if TYPE_CHECKING:
    from trainer.predict import Prediction


def answer_rows(prediction: Prediction) -> pl.DataFrame:
    """Return one row per sequence: the answer, how sure it is, whether the models agree."""
    ordered_NK = np.sort(prediction.proba_NK, axis=1)
    best_N = prediction.proba_NK.argmax(axis=1)
    by_model = [proba_NK.argmax(axis=1) for proba_NK in prediction.by_model.values()]
    return pl.DataFrame(
        {
            "sequence_id": [str(name) for name in prediction.sequence_ids],
            "gesture": [prediction.gestures[k] for k in best_N],
            "probability": ordered_NK[:, -1],
            "margin": ordered_NK[:, -1] - ordered_NK[:, -2],
            "p_target": prediction.proba_NK[:, : prediction.num_targets].sum(axis=1),
            "models_agree": np.all([guess_N == by_model[0] for guess_N in by_model], axis=0),
        }
    )


def ranking(prediction: Prediction, index: int) -> pl.DataFrame:
    """Return the gestures of one sequence, the most probable first.

    Returns:
        Columns gesture, kind, blend, then one per model that answered; probabilities.
    """
    num_gestures = len(prediction.gestures)
    models = {model: proba_NK[index] for model, proba_NK in prediction.by_model.items()}
    return pl.DataFrame(
        {
            "gesture": prediction.gestures,
            "kind": [
                "target" if k < prediction.num_targets else "non-target"
                for k in range(num_gestures)
            ],
            "blend": prediction.proba_NK[index],
            **models,
        }
    ).sort("blend", descending=True, maintain_order=True)


def fold_votes(prediction: Prediction, index: int, fold: int | None) -> pl.DataFrame:
    """Return one row per fold and model that was asked: what it answered for one sequence.

    Args:
        prediction: The answers.
        index: Of the sequence.
        fold: The only one that was asked; None where all were.
    """
    rows = []
    for model, proba_MNK in prediction.by_fold.items():
        for number, proba_K in enumerate(proba_MNK[:, index]):
            best = int(proba_K.argmax())
            rows.append(
                {
                    "model": words.MODELS[model],
                    "fold": number if fold is None else fold,
                    "gesture": prediction.gestures[best],
                    "probability": float(proba_K[best]),
                    "p_target": float(proba_K[: prediction.num_targets].sum()),
                }
            )
    return pl.DataFrame(rows)


def download_rows(prediction: Prediction) -> pl.DataFrame:
    """Return the table that ``python -m trainer predict --by-model`` writes."""
    rows = answer_rows(prediction).select("sequence_id", "gesture", "p_target")
    parts = {"": prediction.proba_NK} | {
        f"{model}:": proba_NK for model, proba_NK in prediction.by_model.items()
    }
    columns = {
        f"{prefix}{gesture}": proba_NK[:, k]
        for prefix, proba_NK in parts.items()
        for k, gesture in enumerate(prediction.gestures)
    }
    return rows.with_columns(**{name: pl.Series(values) for name, values in columns.items()})
