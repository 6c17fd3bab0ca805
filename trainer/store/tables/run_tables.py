"""Run tables: folds, out-of-fold probabilities and importance, checked before and after reading.

In: the folder of a run. Out: frames. The recorded checksum, the number of rows, columns and
unpacked bytes are checked before the data is read; the columns' types, lengths of texts and ranges
of numbers afterwards, so that a page can compute with them.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.file_kinds import read_file
from trainer.store.record_types import MAX_FOLDS
from trainer.store.tables.parquet_structure import check_parquet

if TYPE_CHECKING:
    import polars as pl

TEXTS = ("sequence_id", "subject", "gesture")
FOLD = "fold"
MAX_TEXT_BYTES = 1_000  # of a name
MAX_FEATURES = 100_000  # lines of feature_importance.csv; a run has about 2,000
MAX_IMPORTANCE_COLUMNS = 6 + 2 * MAX_FOLDS
IMPORTANCE_TEXTS = ("feature", "sensor")
MAX_GAIN = 1e100  # its square is finite
MAX_SCORE = 1.0 + 1e-6  # of a probability: float32 softmax may exceed 1 by a rounding error

_NEW_S = 2.0  # a file this new may have been replaced a moment before its checksum is recorded
_WAITS_S = (0.05, 0.1, 0.15)


def read_folds(folder: CheckedFolder, num_sequences: int | None) -> pl.DataFrame | None:
    """Return sequence_id, subject, gesture, fold per sequence; None before they are assigned.

    Args:
        folder: The run folder.
        num_sequences: Of the run; None if its configuration cannot be read.

    Raises:
        StoreError: The file is damaged or not such a table.
    """
    data = _content(folder, "folds.parquet")
    path = folder.root / "folds.parquet"
    return None if data is None else parse_folds(data, path, num_sequences)


def parse_folds(data: bytes, path: Path, num_sequences: int | None) -> pl.DataFrame:
    """Return the table in the bytes of ``folds.parquet``; the path only appears in the message.

    Raises:
        StoreError: They are not such a table.
    """
    import polars as pl

    frame = _read_parquet(data, path, num_sequences)
    if set(frame.columns) != {*TEXTS, FOLD}:
        raise StoreError(f"{path}: expected the columns {', '.join(TEXTS)}, {FOLD}")
    return frame.with_columns(pl.col(FOLD).cast(pl.Int64))


def assignment_sha256(folds: pl.DataFrame) -> str:
    """Return the SHA-256 of what a table of folds contains, in any order of its rows and columns.

    Args:
        folds: ``sequence_id`` and further columns of text or whole numbers.
    """
    ordered = folds.select(sorted(folds.columns)).sort("sequence_id")
    text = json.dumps(ordered.to_dict(as_series=False), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_oof(folder: CheckedFolder, num_sequences: int | None) -> pl.DataFrame | None:
    """Return the out-of-fold table; None before the first fold is done.

    Args:
        folder: The run folder.
        num_sequences: Of the run; None if its configuration cannot be read.

    Raises:
        StoreError: The file is damaged or not such a table.
    """
    data = _content(folder, "oof.parquet")
    path = folder.root / "oof.parquet"
    return None if data is None else _read_parquet(data, path, num_sequences)


def read_importance(folder: CheckedFolder) -> pl.DataFrame | None:
    """Return ``feature_importance.csv``; None before it is written.

    Raises:
        StoreError: The file is damaged or not such a table.
    """
    import polars as pl

    name = "feature_importance.csv"
    data, path = _content(folder, name), folder.root / name
    if data is None:
        return None
    num_lines, header = data.count(b"\n") + data.count(b"\r"), data[: data.find(b"\n") + 1]
    num_columns = header.count(b",") + 1
    if num_lines > MAX_FEATURES or num_columns > MAX_IMPORTANCE_COLUMNS:
        raise StoreError(
            f"{path}: expected at most {MAX_FEATURES:,} lines and {MAX_IMPORTANCE_COLUMNS:,} "
            f"columns, got {num_lines:,} and {num_columns:,}"
        )
    try:
        frame = pl.read_csv(data)
        _check_columns(frame, IMPORTANCE_TEXTS, (), (-MAX_GAIN, MAX_GAIN))
    except _failures() as error:
        raise StoreError(f"{path}: not a readable CSV file ({error})") from error
    return frame


def _content(folder: CheckedFolder, name: str) -> bytes | None:
    """Return a file whose content has its recorded checksum, or has none recorded."""
    path = folder.root / name
    for wait_s in (*_WAITS_S, None):
        data = folder.read(name)
        if data is not None:
            return data
        if folder.checksums().find(name) is None:
            break
        try:
            is_new = time.time() - path.stat().st_mtime < _NEW_S
        except FileNotFoundError:
            return None
        if wait_s is None or not is_new:
            raise StoreError(
                f"{path}: its SHA-256 is not the recorded one, so it is damaged. Resume writes it "
                f"again, or restore it from a copy"
            )
        time.sleep(wait_s)
    try:
        return read_file(path)
    except FileNotFoundError:
        return None


def _read_parquet(data: bytes, path: Path, num_sequences: int | None) -> pl.DataFrame:
    import polars as pl

    try:
        num_rows = check_parquet(data).num_rows
        if num_sequences is not None and num_rows != num_sequences:
            raise StoreError(f"expected {num_sequences:,} rows, got {num_rows:,}")
        frame = pl.read_parquet(io.BytesIO(data))
        _check_columns(frame, TEXTS, (FOLD,), (0.0, MAX_SCORE))
    except _failures() as error:
        raise StoreError(f"{path}: not a readable Parquet file ({error})") from error
    return frame


def _check_columns(
    frame: pl.DataFrame, texts: Sequence[str], needed: Sequence[str], within: tuple[float, float]
) -> None:
    """Check that the texts are there and short, folds small, and all others numbers in a range."""
    for name in (*texts, *needed):
        if name not in frame.columns:
            raise StoreError(f"expected a column {name}")
    for series in frame:
        if series.name in texts:
            wanted, is_good = f"texts of at most {MAX_TEXT_BYTES:,} bytes", _are_short(series)
        elif series.name == FOLD:
            wanted = f"whole numbers from 0 to {MAX_FOLDS - 1}, everywhere"
            is_good = series.dtype.is_integer() and not series.null_count()
            is_good = is_good and _is_within(series, 0, MAX_FOLDS - 1)
        else:
            wanted = f"numbers from {within[0]:g} to {within[1]:g}"
            is_good = series.dtype.is_numeric() and _is_within(series, *within)
        if not is_good:
            raise StoreError(f"column {series.name[:80]!r}: expected {wanted}")


def _are_short(series: pl.Series) -> bool:
    import polars as pl

    if series.dtype != pl.String or series.null_count():
        return False
    return not len(series) or int(series.str.len_bytes().max()) <= MAX_TEXT_BYTES  # type: ignore[arg-type]


def _is_within(series: pl.Series, least: float, most: float) -> bool:
    """Return whether all numbers but nulls are in a range; NaN is in none."""
    low, high, total = series.min(), series.max(), series.sum()
    is_nan = total != total  # min and max ignore NaN, a sum does not
    return low is None or bool(least <= low and high <= most and not is_nan)  # type: ignore


def _failures() -> tuple[type[BaseException], ...]:
    """Return what is raised on damaged data; a panic of polars is no Exception."""
    import polars as pl

    polars: tuple[type[BaseException], ...] = (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    )
    return (StoreError, *polars, ValueError, OverflowError)
