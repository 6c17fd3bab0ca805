"""What a Parquet file unpacks to is counted, and refused, before anything is unpacked."""

from __future__ import annotations

import io
import random

import numpy as np
import polars as pl
import pytest

from trainer.store.durable import StoreError
from trainer.store.tables import parquet_structure
from trainer.store.tables.parquet_structure import ParquetSize, check_parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def table(num_rows=1000):
    return pl.DataFrame(
        {
            "sequence_id": [f"SEQ_{i:06d}" for i in range(num_rows)],
            "subject": ["A"] * num_rows,
            "fold": [i % 5 for i in range(num_rows)],
            "lgbm:Wave": np.linspace(0.0, 1.0, num_rows),
            "torch:Wave": [None] * (num_rows - 1) + [0.5],
        }
    )


def packed(frame, **options):
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def varint(number):
    """Return a number as Thrift's compact protocol writes an integer."""
    number, text = 2 * number, b""
    while number > 127:
        text += bytes([number & 127 | 128])
        number >>= 7
    return text + bytes([number])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "uncompressed"},
        {"compression": "snappy"},
        {"row_group_size": 100},
        {"data_page_size": 500},
        {"statistics": False},
        {"use_pyarrow": True},
        {"use_pyarrow": True, "pyarrow_options": {"data_page_version": "2.0"}},
        {"use_pyarrow": True, "pyarrow_options": {"use_dictionary": False}},
    ],
)
def test_a_table_has_its_rows_and_columns(options):
    """However it was written: pages of both versions, with and without dictionaries."""
    assert check_parquet(packed(table(), **options)) == ParquetSize(1000, 5)


def test_an_empty_table_is_a_table():
    """It has columns and no rows."""
    assert check_parquet(packed(table().head(0))) == ParquetSize(0, 5)


def test_a_million_equal_rows_in_some_kilobytes_are_refused():
    """The dictionary has one value, the rows are a run length."""
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_001, np.int32)), pa.array(["x"]))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"sequence_id": rows}), buffer)
    assert len(buffer.getvalue()) < 5_000
    with pytest.raises(StoreError, match="at most 1,000,000 rows, got 1,000,001"):
        check_parquet(buffer.getvalue())


def test_a_footer_with_fewer_rows_than_the_pages_is_refused():
    """The reader of the pages believes their own headers."""
    data = packed(table(100_000), statistics=False)
    assert len(varint(100_000)) == len(varint(9_000)) == 3
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    lying = data[:footer] + data[footer:].replace(varint(100_000), varint(9_000))
    with pytest.raises(StoreError, match="pages of all its rows"):
        check_parquet(lying)


def test_pages_that_unpack_to_more_than_a_table_can_hold_are_refused(monkeypatch):
    """Blanks of 2 MB are some hundred bytes in the file; the headers of the pages are counted."""
    data = packed(pl.DataFrame({"sequence_id": [" " * 2_000_000]}))
    assert len(data) < 50_000
    assert check_parquet(data).num_rows == 1
    monkeypatch.setattr(parquet_structure, "MAX_UNPACKED_BYTES", 1_900_000)
    with pytest.raises(StoreError, match="pages that unpack to at most 1,900,000 bytes"):
        check_parquet(data)


def test_more_cells_than_a_table_of_a_run_are_refused(monkeypatch):
    """Rows and columns are counted together: both make memory."""
    monkeypatch.setattr(parquet_structure, "MAX_CELLS", 4_999)
    with pytest.raises(StoreError, match="at most 4,999 cells, got 5,000"):
        check_parquet(packed(table()))


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"sequence_id": [["a", "b"]]}),
        pl.DataFrame({"sequence_id": [{"a": 1}]}),
    ],
)
def test_lists_and_structs_are_refused(frame):
    """A list has more values than rows."""
    with pytest.raises(StoreError, match="expected a table with"):
        check_parquet(packed(frame))


def test_texts_that_share_their_beginnings_are_refused():
    """A megabyte of beginning and a thousand endings are a gigabyte."""
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"sequence_id": ["a" * 1000 + str(i) for i in range(100)]}),
        buffer,
        use_dictionary=False,
        column_encoding={"sequence_id": "DELTA_BYTE_ARRAY"},
    )
    with pytest.raises(StoreError, match="a simple encoding"):
        check_parquet(buffer.getvalue())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1" + bytes(8) + b"PAR1",
        b"PAR1" + b"\xff" * 100 + (90).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"\x1c" * 300_000 + (300_000).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"\x19\xfc\xff\xff\xff\x0f" * 9 + (50).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"x" * 100 + (2**32 - 1).to_bytes(4, "little") + b"PAR1",
    ],
)
def test_what_is_no_parquet_file_is_refused(data):
    """Also structs in structs, lists of four billion items, and a footer before the file."""
    with pytest.raises(StoreError):
        check_parquet(data)


def test_a_damaged_file_is_refused_or_read_in_its_size():
    """Two thousand files with some bytes changed: no other exception, no larger table."""
    whole = packed(table(200))
    rng = random.Random(7)
    for _ in range(2_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            size = check_parquet(bytes(data))
        except StoreError:
            continue
        assert size.num_columns == 5
        assert size.num_rows <= parquet_structure.MAX_ROWS
