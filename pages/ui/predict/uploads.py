"""Uploads: bytes that somebody sent, checked and read; nothing is kept and no name is trusted.

In: the name and bytes of a CSV or Parquet file. Out: ``Sequences``; a ``DataError`` says what does
not fit.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import polars as pl

from trainer.data.schema import DataError
from trainer.data.sequences import Sequences
from trainer.data.sources import read_upload, sequences_from_table

MAX_UPLOAD_MB = 50  # some 100,000 time steps with all 332 columns as CSV
MAX_ROWS = 500_000
MAX_SEQUENCES = 5_000
MAX_COLUMNS = 1_000  # the competition's tables have 341
MAX_VALUES = 40_000_000  # 320 MB unpacked: a Parquet file of a few kB can hold that much and more
MAX_UNPACKED_MB = 500  # of which texts may be the most
MAX_TEXT = 200  # characters of an id or a label; they are shown, and kept in arrays of that width
TEXTS = (
    *("row_id", "sequence_id", "subject", "gesture"),
    *("sequence_type", "behavior", "orientation", "phase"),
)


def read_sequences(
    name: str, data: bytes, demographics: tuple[str, bytes] | None = None
) -> Sequences:
    """Read uploaded recordings.

    Args:
        name: What the file is called; only its extension is looked at.
        data: Its content.
        demographics: Name and content of a second file with ``subject`` and ``handedness``.

    Raises:
        DataError: They are too large or cannot be used.
    """
    table = _read(name, data)
    people = None if demographics is None else _read(*demographics)
    sequences = sequences_from_table(table, people)
    if sequences.num_sequences > MAX_SEQUENCES:
        raise DataError(
            f"File {name!r} has {sequences.num_sequences:,} sequences: expected at most "
            f"{MAX_SEQUENCES:,} at once. Split it, or use `python -m trainer predict`."
        )
    return sequences


def digest(*contents: bytes | None) -> str:
    """Return what tells these contents from others, to key a session's cache by."""
    parts = [hashlib.sha256(content or b"").digest() for content in contents]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _read(name: str, data: bytes) -> pl.DataFrame:
    """Read a file after its size was looked at, packed and unpacked."""
    if len(data) > MAX_UPLOAD_MB * 1024**2:
        raise DataError(
            f"File {name!r} has {len(data) / 1024**2:.0f} MB: expected at most {MAX_UPLOAD_MB} MB. "
            "Split it, save it as Parquet, or use `python -m trainer predict`."
        )
    shape = _shape(data)
    if shape.columns > MAX_COLUMNS:
        raise DataError(
            f"File {name!r} has {shape.columns:,} columns: expected at most {MAX_COLUMNS:,}, the "
            "competition's tables have 341. Leave out those that no sensor gave."
        )
    _refuse_long(name, shape.rows, shape.columns)
    if shape.unpacked_bytes > MAX_UNPACKED_MB * 1024**2:
        raise DataError(
            f"File {name!r} has {shape.unpacked_bytes / 1024**2:,.0f} MB unpacked: expected at "
            f"most {MAX_UNPACKED_MB} MB. Leave out columns of text, or split it."
        )
    table = read_upload(name, data)
    _refuse_long(name, len(table), len(table.columns))
    _refuse_wordy(name, table)
    return table


@dataclass(frozen=True)
class _Shape:
    """How large a file is once it is unpacked; what cannot be told is 0."""

    rows: int
    columns: int
    unpacked_bytes: int = 0


def _shape(data: bytes) -> _Shape:
    """Return how large a file is, without unpacking it.

    A damaged file is all 0 here and is refused, with the reason, when it is read.
    """
    if not data.startswith(b"PAR1"):
        text = data.lstrip(b"\xef\xbb\xbf\r\n")
        # a short row is filled up with empty values: a line break may cost as much as 1,000 values
        return _Shape(text.count(b"\n"), text.partition(b"\n")[0].count(b",") + 1)
    import pyarrow as pa  # comes with Streamlit; polars does not tell the size
    from pyarrow import parquet

    try:
        metadata = parquet.read_metadata(io.BytesIO(data))
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        columns = len(metadata.schema.to_arrow_schema())
        return _Shape(metadata.num_rows, columns, sum(group.total_byte_size for group in groups))
    except (pa.ArrowException, OSError):
        return _Shape(0, 0)


def _refuse_long(name: str, num_rows: int, num_columns: int) -> None:
    most = min(MAX_ROWS, MAX_VALUES // max(num_columns, 1))
    if num_rows > most:
        raise DataError(
            f"File {name!r} has {num_rows:,} rows: expected at most {most:,} at once with "
            f"{num_columns} columns. Split it, or use `python -m trainer predict`, which has no "
            "limit."
        )


def _refuse_wordy(name: str, table: pl.DataFrame) -> None:
    for column in TEXTS:
        if column in table.columns and table.schema[column] == pl.String:
            longest = table[column].str.len_bytes().max() or 0
            if int(longest) > MAX_TEXT:  # type: ignore[call-overload]  # of a text it is an int
                raise DataError(
                    f"File {name!r}: column {column!r} has a text of {longest:,} bytes, expected "
                    f"at most {MAX_TEXT}. Shorten it."
                )
