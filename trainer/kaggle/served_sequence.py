"""Served sequence: one sequence in the form in which the competition's gateway sends it.

In: its rows and its subject's demographics, columns of any type. Out: ``Sequences``, and remarks on
values that could not be used. The gateway guesses column types from the first 100 rows of its file,
so a column may arrive as text, as whole numbers or without values. Every sequence needs a
prediction, so unusable values are taken as missing and noted instead of refused.

Shapes: T time steps of the one sequence, C columns of one sensor group.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trainer.data.columns import MAX_MAGNITUDE
from trainer.data.demographics import right_handed
from trainer.data.schema import ACC_COLUMNS, ROT_COLUMNS, THM_COLUMNS, TOF_COLUMNS, DataError
from trainer.data.sequences import FloatArray, Sequences

UNKNOWN = "?"  # the id of a sequence without one


def read_served(
    sequence: pl.DataFrame, demographics: pl.DataFrame
) -> tuple[Sequences, tuple[str, ...]]:
    """Return one sequence, and remarks on its values that could not be used.

    Args:
        sequence: All rows of one sequence, in order; any types.
        demographics: The subject's row; may be empty, with columns of any type.

    Raises:
        DataError: It has no rows.
    """
    if sequence.is_empty():
        raise DataError(
            f"Sequence {first_text(sequence, 'sequence_id')}: expected at least one row, got none."
        )
    remarks: list[str] = []
    acc_TC, rot_TC, thm_TC, tof_TC = (
        _read_group(sequence, columns, remarks)
        for columns in (ACC_COLUMNS, ROT_COLUMNS, THM_COLUMNS, TOF_COLUMNS)
    )
    if acc_TC is None:
        # the models need it; their prediction then depends on the other sensors, if there are any
        remarks.append("no acceleration at all, taken as 0 throughout")
    return (
        Sequences(
            sequence_ids=np.array([first_text(sequence, "sequence_id")], dtype=np.str_),
            offsets=np.array([0, len(sequence)], dtype=np.int64),
            acc_T3=np.zeros((len(sequence), 3), np.float32) if acc_TC is None else acc_TC,
            rot_T4=rot_TC,
            thm_T5=thm_TC,
            tof_T320=tof_TC,
            subjects=None,
            right_handed_N=_read_hand(sequence, demographics, remarks),
            label_idx=None,
            labels=None,
            phase_T=None,
        ),
        tuple(remarks),
    )


def first_text(table: pl.DataFrame, name: str) -> str:
    """Return a column's first value as text; UNKNOWN if it has none."""
    if name not in table.columns or table.is_empty() or table[name][0] is None:
        return UNKNOWN
    return str(table[name][0])


def _read_group(
    table: pl.DataFrame, columns: tuple[str, ...], remarks: list[str]
) -> FloatArray | None:
    """Return one sensor group, (T, C) float32, or None if it has no value."""
    present = [name for name in columns if name in table.columns]
    if not present:
        return None
    given = table.select(present)
    as_numbers = [_as_number(name, dtype) for name, dtype in given.schema.items()]
    numbers = given.select(as_numbers)
    values = numbers.to_numpy().astype(np.float64)
    values[~(np.abs(values) <= MAX_MAGNITUDE)] = np.nan
    lost_C = np.isnan(values).sum(axis=0) - np.array(given.null_count().row(0))
    remarks += [
        f"{name}: {count} of {len(table)} values are not usable numbers, taken as missing"
        for name, count in zip(present, lost_C.tolist(), strict=True)
        if count > 0
    ]
    if np.isnan(values).all():
        return None
    values_TC = np.full((len(table), len(columns)), np.nan, dtype=np.float32)
    values_TC[:, [columns.index(name) for name in present]] = values
    return values_TC


def _as_number(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as float64; a value that is not a number becomes null."""
    column = pl.col(name)
    if dtype == pl.String:
        column = column.str.strip_chars()
    elif not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        column = column.cast(pl.String, strict=False)
    return column.cast(pl.Float64, strict=False)


def _read_hand(
    sequence: pl.DataFrame, demographics: pl.DataFrame, remarks: list[str]
) -> FloatArray:
    """Return the hand, (1,) float32: 1 right, 0 left, NaN unknown."""
    subject = first_text(sequence, "subject")
    try:
        hand_N = right_handed(demographics, pl.Series("subject", [subject]))
    except DataError as error:
        remarks.append(f"hand unknown: {error}")
        return np.array([np.nan], dtype=np.float32)
    if np.isnan(hand_N[0]):
        remarks.append(f"hand unknown: no demographics of subject {subject}")
    return hand_N
