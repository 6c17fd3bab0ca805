"""Uploads: choosing recordings from an uploaded CSV or Parquet file.

In: the run; name and bytes of the file, neither of which is trusted. Out: controls on the page, and
the recordings; or the reason why the file is refused. Nothing is written to disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.predict.predictions import Recordings, once
from pages.ui.shared import source, words
from trainer.data.files import read_upload
from trainer.data.orientation_detector import (
    AS_WORN,
    CORRECTED,
    OrientationDetector,
    decide_orientation,
    note_turned,
)
from trainer.data.raw_table import sequences_from_table
from trainer.data.schema import DataError
from trainer.data.sequences import Sequences
from trainer.plain_data import DamagedDataError
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MAX_UPLOAD_MB = 50  # about 100,000 time steps with all 332 columns as CSV
MAX_ROWS = 500_000
MAX_SEQUENCES = 5_000
MAX_COLUMNS = 1_000  # the competition's tables have 341
MAX_VALUES = 40_000_000  # 320 MB unpacked, which a Parquet file of a few kB can contain
MAX_NAME = 200  # characters of a file's name in a message
MAX_UNPACKED_MB = 500  # of a Parquet file, texts included

_PARQUET = b"PAR1"  # a Parquet file begins with it


def choose(run_file: RunFile) -> Recordings:
    """Show the upload controls and return the recordings; ends the page without any."""
    left, right = st.columns(2)
    file = left.file_uploader(
        "Recording, CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_file",
        max_upload_size=MAX_UPLOAD_MB,
        help="One or more sequences in the competition's schema; all sensors but the acceleration "
        "are optional. The file is read in memory and not stored.",
    )
    people = right.file_uploader(
        "Demographics (optional), CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_people",
        max_upload_size=MAX_UPLOAD_MB,
        help="Columns subject and handedness: left-handers are mirrored.",
    )
    if file is None:
        st.caption("To try a sequence of the run's own recordings, choose Built-in sequence.")
        st.stop()
    contents = (file.getvalue(), b"" if people is None else people.getvalue())
    key = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in contents)).hexdigest()
    try:
        sequences = _read_upload(key, file, people)
    except DataError as error:
        st.error("The upload cannot be used.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    seen = seen_in_training(run_file, sequences)
    if seen is not None and any(seen):
        st.warning(
            f"Seen in training: {sum(seen)} of {len(seen)} are among the recordings that the "
            "models were trained on, so their predictions are not representative of new ones.",
            icon=":material/visibility:",
        )
    decided, is_as_worn = _decide_orientation(run_file, key, sequences)
    return Recordings(decided, f"{key}, as worn: {is_as_worn}", seen=seen)


def _decide_orientation(
    run_file: RunFile, key: str, sequences: Sequences
) -> tuple[Sequences, bool]:
    """Show whether devices look reversed; return the decision and whether it is "as worn".

    Args:
        run_file: The run that predicts.
        key: Identifies the content of the recordings.
        sequences: The recordings.
    """
    trained = run_file.recordings
    try:
        detector = OrientationDetector.from_plain(trained.orientation_detector)
    except DamagedDataError as error:
        st.error("The run's configuration is damaged.")
        st.code(f"config.json: {error}", language=None, wrap_lines=True)
        st.stop()
    decided = once(  # 0.16 s for 9,000 recordings; each click draws the page again
        "device orientation",
        (key, trained.turned_subjects, repr(trained.orientation_detector)),
        lambda: decide_orientation(sequences, trained.turned_subjects, detector),
    )
    if not note_turned(decided):
        return decided, False
    is_as_worn = st.checkbox(
        "Predict as worn",
        key="predict_as_worn",
        help="Predict the recordings as they are, also where the device looks reversed.",
    )
    for note in note_turned(decided, AS_WORN if is_as_worn else CORRECTED):
        st.info(f"{words.capital(note)}.", icon=":material/screen_rotation:")
    if is_as_worn:
        decided = decide_orientation(sequences, (), None, as_worn=True)
    return decided, is_as_worn


def seen_in_training(run_file: RunFile, sequences: Sequences) -> tuple[bool, ...] | None:
    """Return which of the sequences the run was trained on, by their acceleration.

    Ids are not compared: different collections of recordings use the same ones.

    Returns:
        None if the run's recordings are missing.
    """
    try:
        trained = source.derived(run_file, _digests)
    except source.SourceError:
        return None
    known = set(trained)
    return tuple(digest in known for digest in _digests(sequences))


def read_sequences(
    name: str, data: bytes, demographics: tuple[str, bytes] | None = None
) -> Sequences:
    """Read uploaded recordings.

    Args:
        name: Name of the file; only its extension is used.
        data: Content of the file.
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


def _digests(sequences: Sequences) -> list[bytes]:
    parts = np.split(sequences.acc_T3, sequences.offsets[1:-1])
    return [hashlib.sha256(part.tobytes()).digest() for part in parts]


@st.cache_resource(max_entries=1, show_spinner="Reading the recording", scope="session")
def _read_upload(key: str, _file: UploadedFile, _people: UploadedFile | None) -> Sequences:
    people = None if _people is None else (_people.name, _people.getvalue())
    return read_sequences(_file.name, _file.getvalue(), people)


def _read(name: str, data: bytes) -> pl.DataFrame:
    """Read a file after a check of its size, packed and unpacked."""
    name = name[-MAX_NAME:]
    if len(data) > MAX_UPLOAD_MB * 1024**2:
        raise DataError(
            f"File {name!r} has {len(data) / 1024**2:.0f} MB: expected at most {MAX_UPLOAD_MB} MB. "
            "Split it, save it as Parquet, or use `python -m trainer predict`."
        )
    shape = _shape(name, data)
    if shape.columns > MAX_COLUMNS:
        raise DataError(
            f"File {name!r} has {shape.columns:,} columns: expected at most {MAX_COLUMNS:,}, the "
            "competition's tables have 341. Remove columns that are not in its schema."
        )
    _check_length(name, shape.rows, shape.columns)
    if shape.unpacked_bytes > MAX_UNPACKED_MB * 1024**2:
        raise DataError(
            f"File {name!r} has {shape.unpacked_bytes / 1024**2:,.0f} MB unpacked: expected at "
            f"most {MAX_UNPACKED_MB} MB. Remove columns of text, or split the file."
        )
    if shape.values > MAX_VALUES:  # lists have more values than rows
        raise DataError(
            f"File {name!r} has {shape.values:,} values: expected at most {MAX_VALUES:,} at once. "
            "Split it, or remove columns of lists."
        )
    table = read_upload(name, _rewritten(name, data) if data.startswith(_PARQUET) else data)
    _check_length(name, len(table), len(table.columns))
    return table


@dataclass(frozen=True)
class _Shape:
    """Size of the unpacked file; 0 for what is unknown."""

    rows: int
    columns: int
    unpacked_bytes: int = 0
    values: int = 0


def _shape(name: str, data: bytes) -> _Shape:
    """Return the size of a file without unpacking it.

    Raises:
        DataError: It begins as Parquet and is none: its size is unknown.
    """
    if not data.startswith(_PARQUET):
        text = data.lstrip(b"\xef\xbb\xbf\r\n")
        # short rows are padded with missing values: a line break can become 1,000 values
        return _Shape(text.count(b"\n"), text.partition(b"\n")[0].count(b",") + 1)
    from pyarrow import parquet  # comes with Streamlit; polars does not report the size

    with _refusing_damage(name):
        metadata = parquet.read_metadata(io.BytesIO(data))
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        columns = len(metadata.schema.to_arrow_schema())
        unpacked_bytes = sum(group.total_byte_size for group in groups)
        values = sum(
            group.column(number).num_values
            for group in groups
            for number in range(group.num_columns)
        )
        return _Shape(metadata.num_rows, columns, unpacked_bytes, values)


def _rewritten(name: str, data: bytes) -> bytes:
    """Return a Parquet file as pyarrow writes what it reads in it.

    Damaged pages that pyarrow refuses can make polars end the process: it allocates what they say.
    """
    from pyarrow import parquet

    buffer = io.BytesIO()
    with _refusing_damage(name):
        table = parquet.read_table(io.BytesIO(data))
        table.validate(full=True)
        parquet.write_table(table, buffer, compression="none")
    return buffer.getvalue()


@contextlib.contextmanager
def _refusing_damage(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"File {name!r} is damaged: it begins as Parquet, but reading it failed "
            f"({str(error)[:200]}). Copy or save it again."
        ) from error


def _check_length(name: str, num_rows: int, num_columns: int) -> None:
    max_rows = min(MAX_ROWS, MAX_VALUES // max(num_columns, 1))
    if num_rows > max_rows:
        raise DataError(
            f"File {name!r} has {num_rows:,} rows: expected at most {max_rows:,} at once with "
            f"{num_columns} columns. Split it, or use `python -m trainer predict`, which has no "
            "limit."
        )
