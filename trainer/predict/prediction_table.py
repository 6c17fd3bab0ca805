"""A prediction as a table, one row per sequence.

In: ``Prediction``. Out: a frame: sequence_id, gesture, p_target, one column per gesture.
"""

from __future__ import annotations

import polars as pl

from trainer.predict.predictor import Prediction


def prediction_frame(prediction: Prediction, by_model: bool = False) -> pl.DataFrame:
    """Return the table that ``python -m trainer predict`` writes and the page offers to download.

    Args:
        prediction: Of any sequences.
        by_model: Whether to add the columns ``<model>:<gesture>`` of each model.
    """
    columns = {
        "sequence_id": pl.Series(prediction.sequence_ids, dtype=pl.String),
        "gesture": pl.Series(prediction.predicted, dtype=pl.String),
        "p_target": pl.Series(prediction.target_proba_N, dtype=pl.Float64),
    }
    tables = {"": prediction.proba_NK}
    if by_model:
        tables |= {f"{model}:": proba_NK for model, proba_NK in prediction.by_model.items()}
    for prefix, proba_NK in tables.items():
        for k, gesture in enumerate(prediction.gestures):
            columns[f"{prefix}{gesture}"] = pl.Series(proba_NK[:, k], dtype=pl.Float64)
    return pl.DataFrame(columns)
