"""Columns of a raw table: one of them checked to be text or numbers, several put into an array.

In: a table and a column name. Out: the column, or a ``DataError`` that names column and row.

Shapes: T time steps, C columns of an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from trainer.data.schema import DataError
from trainer.data.sequences import FloatArray
from trainer.data.threads import map_in_threads

# Beyond any sensor's range, and small enough that squares and sums stay finite in float32.
MAX_MAGNITUDE = 1e6
MAX_TEXT = 200  # bytes of an id or a label: the longest one sets the width of an array
TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)
_BLOCK_VALUES = 2**20  # they fit the processor's cache while they are transposed


def check_texts(table: pl.DataFrame, names: Iterable[str]) -> None:
    """Refuse texts that are too long for an id or a label.

    Args:
        table: The raw table.
        names: Columns; those that are absent or no text are not checked.

    Raises:
        DataError: A text has more than ``MAX_TEXT`` bytes.
    """
    for name in names:
        if name in table.columns and table.schema[name] in TEXT_TYPES:
            longest = table[name].cast(pl.String).str.len_bytes().max() or 0
            assert isinstance(longest, int)
            if longest > MAX_TEXT:
                raise DataError(
                    f"Column {name!r} has a text of {longest:,} bytes: expected at most "
                    f"{MAX_TEXT}. Shorten it."
                )


def text_column(table: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as text without gaps.

    Args:
        table: The raw table.
        name: A column in it.

    Raises:
        DataError: If the column has anything but text or whole numbers, or a value is missing.
    """
    column = table[name]
    is_text = column.dtype in TEXT_TYPES or column.dtype.is_integer()
    if not (is_text or column.dtype == pl.Null):
        raise DataError(f"Column {name!r}: expected text, got {column.dtype}. Convert it to text.")
    text = column.cast(pl.String)
    missing_mask = text.is_null() | (text.str.strip_chars() == "").fill_null(False)
    if missing_mask.any():
        raise DataError(
            f"Column {name!r}: expected a value in every row, got none in "
            f"{describe_row(table, missing_mask)}. Fill it in or remove the row."
        )
    return text


def number_column(table: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of any numeric type, or numbers written as text, as numbers.

    Args:
        table: The raw table.
        name: A column in it; nulls stay null.

    Returns:
        The column itself where it is numeric, else float64.

    Raises:
        DataError: If a text is not a number, or the column has neither text nor numbers.
    """
    column = table[name]
    if column.dtype.is_numeric() or column.dtype == pl.Null:
        return column
    if column.dtype not in TEXT_TYPES:
        raise DataError(
            f"Column {name!r}: expected numbers, got {column.dtype}. Convert it to numbers."
        )
    text = column.cast(pl.String).str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    wrong_mask = numbers.is_null() & (text != "").fill_null(False)
    if wrong_mask.any():
        value = column.filter(wrong_mask)[0]
        raise DataError(
            f"Column {name!r}: expected a number, got {value[:60]!r} in "
            f"{describe_row(table, wrong_mask)}. Correct the value, or leave it empty if missing."
        )
    return numbers


def put_columns(numbers: pl.DataFrame, values_TC: FloatArray, column_idx: Sequence[int]) -> None:
    """Write columns into an array, blocks of rows in threads.

    Args:
        numbers: T rows of numbers; a null becomes NaN.
        values_TC: (T, C) float32, changed in place.
        column_idx: Where in the array each of the columns goes.
    """
    num_rows = max(1, _BLOCK_VALUES // max(1, numbers.width))

    def put(start: int) -> None:
        block = numbers.slice(start, num_rows).cast(pl.Float32).to_numpy()
        values_TC[start : start + len(block), column_idx] = block

    for _ in map_in_threads(put, range(0, len(numbers), num_rows)):
        pass


def describe_row(table: pl.DataFrame, mask: pl.Series) -> str:
    """Return how to find the first row of a mask: its row_id, or its number from 1."""
    row = mask.arg_max()
    assert row is not None, "the mask has a row"
    if "row_id" in table.columns and (value := table["row_id"][row]) is not None:
        return f"row {value!r}"[:80]
    return f"data row {row + 1}"
