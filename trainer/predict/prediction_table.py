"""A prediction as a table, one row per sequence.

In: ``Prediction``. Out: a frame: sequence_id, gesture, p_target, one column per gesture.
"""

from __future__ import annotations

import polars as pl

from trainer.predict.predictor import Prediction


def prediction_frame(prediction: Prediction, by_model: bool = False) -> pl.DataFrame:
    """Return the table that ``predict`` prints and the page offers for download.

    Args:
        prediction: What a run said.
        by_model: Whether to add ``lgbm:<gesture>`` and ``torch:<gesture>`` columns.
    """
    columns = {
        "sequence_id": pl.Series(prediction.sequence_ids, dtype=pl.String),
        "gesture": pl.Series(prediction.answers, dtype=pl.String),
        "p_target": pl.Series(prediction.target_proba_N, dtype=pl.Float64),
    }
    tables = {"": prediction.proba_NK}
    if by_model:
        tables |= {f"{model}:": proba_NK for model, proba_NK in prediction.by_model.items()}
    for prefix, proba_NK in tables.items():
        for k, gesture in enumerate(prediction.gestures):
            columns[f"{prefix}{gesture}"] = pl.Series(proba_NK[:, k], dtype=pl.Float64)
    return pl.DataFrame(columns)
