"""Uploads: bytes that somebody sent, checked and read; nothing is kept and no name is trusted.

In: the name and bytes of a CSV or Parquet file. Out: ``Sequences``; a ``DataError`` says what does
not fit.
"""

from __future__ import annotations

import hashlib
import io

import polars as pl

from trainer.data.schema import DataError
from trainer.data.sequences import Sequences
from trainer.data.sources import read_upload, sequences_from_table

MAX_UPLOAD_MB = 50  # some 100,000 time steps with all 332 columns as CSV
MAX_ROWS = 500_000
MAX_SEQUENCES = 5_000
MAX_COLUMNS = 1_000  # the competition's tables have 341
MAX_VALUES = 40_000_000  # 320 MB unpacked: a Parquet file of a few kB can hold that much and more


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
    num_rows, num_columns = _shape(data)
    if num_columns > MAX_COLUMNS:
        raise DataError(
            f"File {name!r} has {num_columns:,} columns: expected at most {MAX_COLUMNS:,}, the "
            "competition's tables have 341. Leave out those that no sensor gave."
        )
    _refuse_long(name, num_rows, num_columns)
    table = read_upload(name, data)
    _refuse_long(name, len(table), len(table.columns))
    return table


def _shape(data: bytes) -> tuple[int, int]:
    """Return rows and columns of a file without unpacking it; of text only the columns.

    A damaged file has (0, 0) here and is refused, with the reason, when it is read.
    """
    if not data.startswith(b"PAR1"):
        return 0, data.partition(b"\n")[0].count(b",") + 1
    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        return int(lazy.select(pl.len()).collect().item()), len(lazy.collect_schema())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return 0, 0


def _refuse_long(name: str, num_rows: int, num_columns: int) -> None:
    most = min(MAX_ROWS, MAX_VALUES // max(num_columns, 1))
    if num_rows > most:
        raise DataError(
            f"File {name!r} has {num_rows:,} rows: expected at most {most:,} at once with "
            f"{num_columns} columns. Split it, or use `python -m trainer predict`, which has no "
            "limit."
        )
