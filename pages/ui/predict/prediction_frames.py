"""Answers: a prediction as frames to show and to take away.

In: ``Prediction``. Out: polars frames.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared import words

if TYPE_CHECKING:
    from trainer.predict.predictor import Prediction


def answer_rows(prediction: Prediction) -> pl.DataFrame:
    """Return one row per sequence: the answer, how sure it is, whether the models agree.

    Returns:
        Columns sequence_id, gesture, probability, margin (to the runner-up), p_target, entropy (of
        the blend, 0 one gesture is certain, 1 all are as probable), models_agree.
    """
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
            "entropy": entropy(prediction.proba_NK),
            "models_agree": np.all([guess_N == by_model[0] for guess_N in by_model], axis=0),
        }
    )


def entropy(proba_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row as a share of the largest possible one, 0 to 1, (N,)."""
    logarithm_NK = np.log(np.where(proba_NK > 0, proba_NK, 1.0))
    entropy_N = -(proba_NK * logarithm_NK).sum(axis=1) / np.log(proba_NK.shape[1])
    return np.clip(entropy_N, 0.0, 1.0)


def ranking(prediction: Prediction, index: int) -> pl.DataFrame:
    """Return the gestures of one sequence, the most probable first.

    Returns:
        Columns gesture, kind, blend, then one per model that answered, probabilities, and one
        ``<model>_spread`` each: the standard deviation over its folds, 0 of a single one.
    """
    num_gestures = len(prediction.gestures)
    models = {model: proba_NK[index] for model, proba_NK in prediction.by_model.items()}
    spreads = {
        f"{model}_spread": proba_MNK[:, index].std(axis=0)
        for model, proba_MNK in prediction.by_fold.items()
    }
    return pl.DataFrame(
        {
            "gesture": prediction.gestures,
            "kind": [
                "target" if k < prediction.num_targets else "non-target"
                for k in range(num_gestures)
            ],
            "blend": prediction.proba_NK[index],
            **models,
            **spreads,
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
    answer = int(prediction.proba_NK[index].argmax())
    for model, proba_MNK in prediction.by_fold.items():
        for number, proba_K in enumerate(proba_MNK[:, index]):
            best = int(proba_K.argmax())
            rows.append(
                {
                    "model": words.MODELS[model],
                    "fold": number if fold is None else fold,
                    "gesture": prediction.gestures[best],
                    "probability": float(proba_K[best]),
                    "p_answer": float(proba_K[answer]),
                    "p_target": float(proba_K[: prediction.num_targets].sum()),
                }
            )
    return pl.DataFrame(rows)


def download_rows(prediction: Prediction) -> pl.DataFrame:
    """Return the table that ``python -m trainer predict --by-model`` writes."""
    from trainer.predict.prediction_table import prediction_frame

    return prediction_frame(prediction, by_model=True)


def as_parquet(rows: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    return buffer.getvalue()


def download_of_one(prediction: Prediction, index: int) -> str:
    """Return all numbers of one sequence's answer as JSON: blended, by model, by fold."""
    told = {
        "sequence_id": str(prediction.sequence_ids[index]),
        "answer": prediction.answers[index],
        "p_target": float(prediction.target_proba_N[index]),
        "gestures": list(prediction.gestures),
        "num_targets": prediction.num_targets,
        "weights": prediction.weights,
        "blend": prediction.proba_NK[index].tolist(),
        "by_model": {name: told[index].tolist() for name, told in prediction.by_model.items()},
        "by_fold": {name: told[:, index].tolist() for name, told in prediction.by_fold.items()},
        "notes": list(prediction.notes),
    }
    return json.dumps(told, indent=1, ensure_ascii=False)
