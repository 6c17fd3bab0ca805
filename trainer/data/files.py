"""Files and uploads in, raw tables out: CSV or Parquet, recognised by their content.

The meaning of the columns is not used here, only which of them have numbers. Names, numbers of
columns and the memory that a table needs are bounded before a parser sees the data.

Shapes: T time steps of all sequences.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from trainer.data.columns import put_columns
from trainer.data.schema import (
    KNOWN_COLUMNS,
    SENSOR_COLUMNS,
    TOF_COLUMNS,
    DataError,
)
from trainer.data.sequences import FloatArray
from trainer.data.threads import compute_ahead, map_in_threads

_PARQUET_MAGIC = b"PAR1"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_HEAD_BYTES = 65_536  # the first line of a CSV is shorter: the competition's has 3,300
_PIXELS_AT_ONCE = 16
_BLOCK_BYTES = 2**20
_LINE_FEED = ord("\n")
_MAX_COLUMNS = 10_000  # the competition's tables have 341
_MAX_NAME = 200  # characters of a column's name, and of a file's name in a message
# Bytes that text never has; archives, images and spreadsheets have them.
_BINARY_BYTES = bytes(set(range(32)) - set(b"\t\n\r"))


@dataclass(frozen=True)
class RawTable:
    """A table as it was read.

    Attributes:
        frame: All columns, or all but those of the images.
        columns: The names of all columns, in the order of the file.
        tof_T320: (T, 320) float32, columns TOF_COLUMNS, NaN missing; None where the frame has the
            images, or there are none.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]
    tof_T320: FloatArray | None = None


def read_table(path: Path) -> pl.DataFrame:
    """Read a CSV or Parquet file.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, is empty, or is neither CSV nor Parquet.
    """
    return _parse(path.name[-_MAX_NAME:], path, _read_head(path)).frame


def read_raw_table(path: Path) -> RawTable:
    """Read a CSV or Parquet file, the images of Parquet straight into their array.

    So they are never in memory twice. The images of a CSV stay in the frame.

    Args:
        path: The file.

    Raises:
        DataError: As ``read_table``.
    """
    return _parse(path.name[-_MAX_NAME:], path, _read_head(path), images_apart=True)


def read_upload(name: str, data: bytes) -> pl.DataFrame:
    """Read the bytes of an uploaded CSV or Parquet file.

    Args:
        name: Name of the file, of which only the extension is used.
        data: The whole content.

    Raises:
        DataError: If it is empty, or neither CSV nor Parquet.
    """
    return _parse(name[-_MAX_NAME:], data, data[:_HEAD_BYTES]).frame


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"File {str(path)!r} cannot be read: {error.strerror}.") from error


def _parse(name: str, source: Path | bytes, head: bytes, images_apart: bool = False) -> RawTable:
    if not head.strip():
        raise DataError(f"File {name!r} is empty: expected a CSV or Parquet file with recordings.")
    if head.startswith(_PARQUET_MAGIC):
        return _parse_parquet(name, source, images_apart)
    if name.lower().endswith(_PARQUET_SUFFIXES):
        raise DataError(
            f"File {name!r} is not Parquet: expected it to begin with {_PARQUET_MAGIC!r}, got "
            f"{head[:4]!r}. Save it again as Parquet, or name it .csv if it is one."
        )
    frame = _parse_csv(name, source, _header(name, head))
    return RawTable(frame, tuple(frame.columns))


def _parse_parquet(name: str, source: Path | bytes, images_apart: bool) -> RawTable:
    try:
        return _read_in_pieces(name, source, images_apart)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"File {name!r} is damaged: it begins as Parquet, but reading it failed "
            f"({_first_line(error)}). Copy or save it again."
        ) from error


def _read_in_pieces(name: str, source: Path | bytes, images_apart: bool) -> RawTable:
    """Read a few pixels of the images after the other, kept as float32, as those of a CSV are.

    So the float64 of a file is never in memory for all of them at once. Lists and other nested
    columns, of which one row can have any size, are left out.
    """
    scan = pl.scan_parquet(source, glob=False)
    schema = scan.collect_schema()
    _check_names(name, schema)
    for column in KNOWN_COLUMNS:
        if column in schema and schema[column].is_nested():
            raise DataError(
                f"Column {column!r}: expected numbers or text, got {str(schema[column])[:60]}. "
                "Write one value per row."
            )
    schema = pl.Schema({n: dtype for n, dtype in schema.items() if not dtype.is_nested()})
    num_rows = scan.select(pl.len()).collect().item()
    _refuse_what_does_not_fit(name, num_rows, schema)
    pixels = [name for name in TOF_COLUMNS if name in schema and schema[name].is_numeric()]
    others = scan.select([name for name in schema if name not in set(pixels)]).collect()
    firsts = range(0, len(pixels), _PIXELS_AT_ONCE)
    pieces = (scan.select(pixels[n : n + _PIXELS_AT_ONCE]).collect() for n in firsts)
    if images_apart and len(pixels) == len(TOF_COLUMNS):
        tof_T320 = np.empty((num_rows, len(pixels)), dtype=np.float32)
        for first, piece in zip(firsts, compute_ahead(pieces), strict=True):
            put_columns(piece, tof_T320, range(first, first + piece.width))
        return RawTable(others, tuple(schema), tof_T320)
    # cast afterwards: a lazy cast cuts rows elsewhere, and joining the pieces copies them all
    parts = [others, *(piece.cast(pl.Float32) for piece in pieces)]
    frame = pl.concat(parts, how="horizontal").select(list(schema))
    return RawTable(frame, tuple(schema))


def _header(name: str, head: bytes) -> str:
    """Return the first line of a CSV, after checking that the file is text with commas."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError as error:
        raise _no_csv(name, f"byte {error.start} is not UTF-8 text") from error
    if head.translate(None, delete=_BINARY_BYTES) != head:
        raise _no_csv(name, "it contains binary data")
    header, line_end, _ = text.lstrip("\r\n").partition("\n")
    header = header.removesuffix("\r")
    if not header or (not line_end and len(head) == _HEAD_BYTES):
        raise _no_csv(name, f"its first {_HEAD_BYTES:,} bytes contain no line of names")
    if "\r" in header:
        raise _no_csv(name, "its lines end with a carriage return alone; save it with line feeds")
    if header.count('"') % 2:
        raise _no_csv(name, "a quotation mark in its first line is not closed")
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        if "," not in header and separator in header:
            raise _no_csv(name, f"its columns are separated by {called}")
    return header


def _no_csv(name: str, reason: str) -> DataError:
    return DataError(
        f"File {name!r} is not a CSV file: {reason}. Expected text in UTF-8, columns separated by "
        "commas, their names in the first line; or a Parquet file."
    )


def _parse_csv(name: str, source: Path | bytes, header: str) -> pl.DataFrame:
    try:
        columns = pl.read_csv(header.encode(), has_header=True, infer_schema=False).columns
        _check_names(name, columns)
        _refuse_what_does_not_fit(name, _count_lines(source), columns)
        twice = [column for column in columns if "_duplicated_" in column]
        if twice:
            raise DataError(
                f"File {name!r}: column {twice[0].split('_duplicated_')[0]!r} occurs twice in the "
                "first line; expected once. Rename or remove one."
            )
        try:
            return pl.read_csv(source, schema_overrides=_types(columns), glob=False)
        except pl.exceptions.ComputeError:  # a text among numbers: read it as text, to find its row
            return pl.read_csv(source, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _no_csv(name, _first_line(error)) from error


def _check_names(name: str, columns: Iterable[str]) -> None:
    names = list(columns)
    if len(names) > _MAX_COLUMNS:
        raise DataError(
            f"File {name!r} has {len(names):,} columns: expected at most {_MAX_COLUMNS:,}, the "
            "competition's tables have 341. Remove columns that are not in its schema."
        )
    longest = max(names, key=len, default="")
    if len(longest) > _MAX_NAME:
        raise DataError(
            f"File {name!r}: a column's name has {len(longest):,} characters, expected at most "
            f"{_MAX_NAME}; it begins with {longest[:60]!r}. Rename or remove the column."
        )


def _count_lines(source: Path | bytes) -> int:
    """Return the number of line feeds; quoted ones count too, so it is no less than the rows."""
    if isinstance(source, bytes):
        return source.count(b"\n")
    content = np.memmap(source, np.uint8, mode="r")  # half the time of reading it

    def count(start: int) -> int:
        return int(np.count_nonzero(content[start : start + _BLOCK_BYTES] == _LINE_FEED))

    return sum(map_in_threads(count, range(0, len(content), _BLOCK_BYTES)))


def _refuse_what_does_not_fit(name: str, num_rows: int, columns: Iterable[str]) -> None:
    """Refuse a table that is larger than the free memory: a small file can contain one.

    Short rows of a CSV are padded to all columns; a value that repeats takes no space in Parquet.
    """
    import psutil

    pixels, sensors = set(TOF_COLUMNS), set(SENSOR_COLUMNS)
    row_bytes = sum(4 if n in pixels else 8 if n in sensors else 16 for n in columns)
    free = psutil.virtual_memory().available
    if num_rows * row_bytes > free:
        raise DataError(
            f"File {name!r} has up to {num_rows:,} rows, which need "
            f"{num_rows * row_bytes / 1e9:,.1f} GB of memory; {free / 1e9:.1f} GB are free. "
            "Split it, or write one Parquet file per subject."
        )


def _types(columns: list[str]) -> dict[str, type[pl.DataType]]:
    """Return a type for every column, so that none is guessed from its first rows.

    Time-of-flight values are whole numbers up to 254, exact in float32; the others are rounded to
    float32 from float64, as those of Parquet files are.
    """
    types: dict[str, type[pl.DataType]] = dict.fromkeys(columns, pl.String)
    types |= {name: pl.Float64 for name in columns if name in SENSOR_COLUMNS}
    return types | {name: pl.Float32 for name in columns if name in TOF_COLUMNS}


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
