"""Demographics in, the hand of each subject out. No other column is used.

Shapes: N sequences.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trainer.data.columns import check_texts, number_column, text_column
from trainer.data.schema import DataError, require_columns
from trainer.data.sequences import FloatArray


def right_handed(demographics: pl.DataFrame, subjects: pl.Series) -> FloatArray:
    """Look up which subjects are right-handed.

    Args:
        demographics: ``subject`` and ``handedness`` (0 left, 1 right, empty unknown).
        subjects: (N,) subject of each sequence.

    Returns:
        (N,) float32: 1 right, 0 left, NaN unknown or without a row.

    Raises:
        DataError: If a column is missing, a subject has two rows or a value is not a hand.
    """
    try:
        hands = _read_hands(demographics)
    except DataError as error:
        raise DataError(f"Demographics: {error}") from error
    found = subjects.replace_strict(
        hands["subject"], hands["handedness"], default=None, return_dtype=pl.Float32
    )
    return found.fill_null(np.nan).to_numpy().astype(np.float32)


def _read_hands(demographics: pl.DataFrame) -> pl.DataFrame:
    require_columns(demographics.columns, ("subject", "handedness"), "the hand of each subject")
    check_texts(demographics, ("subject", "handedness"))
    subject = text_column(demographics, "subject")
    doubled_mask = subject.is_duplicated()
    if doubled_mask.any():
        raise DataError(
            f"Subject {subject.filter(doubled_mask)[0]!r} has several rows; expected one. "
            "Remove the others."
        )
    handedness = number_column(demographics, "handedness").cast(pl.Float32).fill_nan(None)
    wrong_mask = ~handedness.is_in([0.0, 1.0]).fill_null(True)
    if wrong_mask.any():
        raise DataError(
            f"Subject {subject.filter(wrong_mask)[0]!r}: expected handedness 0 (left), 1 (right) "
            f"or empty, got {handedness.filter(wrong_mask)[0]}. Correct the value."
        )
    return pl.DataFrame([subject, handedness])
