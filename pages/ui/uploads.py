"""Uploads: bytes that somebody sent, checked and read; nothing is kept and no name is trusted.

In: the name and bytes of a CSV or Parquet file. Out: ``Sequences``; a ``DataError`` says what does
not fit.
"""

from __future__ import annotations

import hashlib

from trainer.data.schema import DataError
from trainer.data.sequences import Sequences
from trainer.data.sources import read_upload, sequences_from_table

MAX_UPLOAD_MB = 50  # some 100,000 time steps with all 332 columns as CSV
MAX_ROWS = 500_000
MAX_SEQUENCES = 5_000


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
    _refuse_large(name, data)
    table = read_upload(name, data)
    if len(table) > MAX_ROWS:
        raise DataError(
            f"File {name!r} has {len(table):,} rows: expected at most {MAX_ROWS:,} at once. Split "
            "it, or use `python -m trainer predict`, which has no limit."
        )
    people = None
    if demographics is not None:
        _refuse_large(*demographics)
        people = read_upload(*demographics)
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


def _refuse_large(name: str, data: bytes) -> None:
    if len(data) > MAX_UPLOAD_MB * 1024**2:
        raise DataError(
            f"File {name!r} has {len(data) / 1024**2:.0f} MB: expected at most {MAX_UPLOAD_MB} MB. "
            "Split it, save it as Parquet, or use `python -m trainer predict`."
        )
