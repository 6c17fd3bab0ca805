"""Files and uploads in, raw tables out: CSV or Parquet, recognised by their content.

The meaning of the columns is not used here, only which of them have numbers.
"""

from __future__ import annotations

import codecs
from pathlib import Path

import polars as pl

from trainer.data.schema import SENSOR_COLUMNS, TOF_COLUMNS, TOF_PIXELS, DataError

_PARQUET_MAGIC = b"PAR1"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_HEAD_BYTES = 65_536
# Bytes that text never has; archives, images and spreadsheets have them.
_BINARY_BYTES = bytes(set(range(32)) - set(b"\t\n\r"))


def read_table(path: Path) -> pl.DataFrame:
    """Read a CSV or Parquet file.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, is empty, or is neither CSV nor Parquet.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"File {str(path)!r} cannot be read: {error.strerror}.") from error
    return _parse(path.name, path, head)


def read_upload(name: str, data: bytes) -> pl.DataFrame:
    """Read the bytes of an uploaded CSV or Parquet file.

    Args:
        name: Name of the file, of which only the extension is used.
        data: The whole content.

    Raises:
        DataError: If it is empty, or neither CSV nor Parquet.
    """
    return _parse(name, data, data[:_HEAD_BYTES])


def _parse(name: str, source: Path | bytes, head: bytes) -> pl.DataFrame:
    if not head.strip():
        raise DataError(f"File {name!r} is empty: expected a CSV or Parquet file with recordings.")
    if head.startswith(_PARQUET_MAGIC):
        return _parse_parquet(name, source)
    if name.lower().endswith(_PARQUET_SUFFIXES):
        raise DataError(
            f"File {name!r} is not Parquet: expected it to begin with {_PARQUET_MAGIC!r}, got "
            f"{head[:4]!r}. Save it again as Parquet, or name it .csv if it is one."
        )
    return _parse_csv(name, source, _header(name, head))


def _parse_parquet(name: str, source: Path | bytes) -> pl.DataFrame:
    try:
        return _read_by_sensor(source)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"File {name!r} is damaged: it begins as Parquet, but reading it failed "
            f"({_first_line(error)}). Copy or save it again."
        ) from error


def _read_by_sensor(source: Path | bytes) -> pl.DataFrame:
    """Read the images of one sensor after the other, each kept as float32, as those of a CSV are.

    So the float64 of a file is never in memory for all of them at once.
    """
    scan = pl.scan_parquet(source, glob=False)
    schema = scan.collect_schema()
    pixels = [name for name in TOF_COLUMNS if name in schema and schema[name].is_numeric()]
    others = [name for name in schema if name not in set(pixels)]
    parts = [scan.select(others).collect()]
    for first in range(0, len(pixels), TOF_PIXELS):
        sensor = pixels[first : first + TOF_PIXELS]
        parts.append(scan.select(sensor).collect().cast(pl.Float32))
    return pl.concat(parts, how="horizontal").select(list(schema))


def _header(name: str, head: bytes) -> str:
    """Return the first line of a CSV, after checking that the file is text with commas."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError as error:
        raise _no_csv(name, f"byte {error.start} is not UTF-8 text") from error
    if head.translate(None, delete=_BINARY_BYTES) != head:
        raise _no_csv(name, "it contains binary data")
    header = text.lstrip("\r\n").splitlines()[0]
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
