"""Parquet structure: what a Parquet file unpacks to, counted before anything is unpacked.

In: the bytes of a file. Out: its number of rows and columns, or ``StoreError``. A file of a few KB
can hold 300 million equal rows, or pages that unpack to gigabytes, and its footer need not say so:
the decompressor believes the header of each page. So the headers of all pages are read here, which
costs some microseconds each. They are Thrift structs in the compact protocol; the field numbers
below are those of https://github.com/apache/parquet-format (parquet.thrift).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from trainer.store.durable import StoreError

MAX_ROWS = 1_000_000  # a hundred times the competition's sequences
MAX_CELLS = 30_000_000  # rows times columns: 240 MB of float64
MAX_UNPACKED_BYTES = 320_000_000  # of all pages: the cells, names and levels
MAX_COLUMNS = 4_096

_MAGIC = b"PAR1"
_MAX_DEPTH = 12  # of structs in structs; the deepest of the format are 6
_MAX_PAGES = 100_000
_SIMPLE_TYPES = (0, 1, 2, 4, 5, 6)  # of columns: boolean, int32, int64, float, double, byte array
_ENCODINGS = (0, 2, 3, 4, 5, 6, 8, 9)  # all but 7, whose texts share prefixes and grow without end
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # types of pages

Struct = dict[int, Any]  # field number to value


@dataclass(frozen=True)
class ParquetSize:
    """The size of a table."""

    num_rows: int
    num_columns: int


def check_parquet(data: bytes) -> ParquetSize:
    """Return the size of a flat table after its pages were checked against it.

    Raises:
        StoreError: It is no Parquet file, is damaged, or unpacks to more than a table of a run can
            hold; the message does not name the file.
    """
    try:
        footer = _footer(data)
        size = _table_size(footer)
        unpacked = num_pages = 0
        for group in footer[4]:
            _expect(len(group[1]) == size.num_columns, "a column chunk per column")
            for chunk in group[1]:
                pages = _pages(data, chunk, group[3])
                num_pages += len(pages)
                unpacked += sum(page[2] for page in pages)
                _expect(num_pages <= _MAX_PAGES, f"at most {_MAX_PAGES:,} pages")
                _expect(
                    unpacked <= MAX_UNPACKED_BYTES,
                    f"pages that unpack to at most {MAX_UNPACKED_BYTES:,} bytes",
                )
        return size
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, struct.error) as error:
        raise StoreError(f"not a Parquet file, or damaged ({type(error).__name__})") from error


def _footer(data: bytes) -> Struct:
    _expect(len(data) > 12 and data[:4] == data[-4:] == _MAGIC, "PAR1 at both ends")
    length = int.from_bytes(data[-8:-4], "little")
    _expect(length <= len(data) - 12, "a footer inside the file")
    return _Thrift(data, len(data) - 8 - length).read_struct()


def _table_size(footer: Struct) -> ParquetSize:
    root, *columns = footer[2]
    num_rows, num_columns = footer[3], len(columns)
    _expect(root[5] == num_columns <= MAX_COLUMNS, f"at most {MAX_COLUMNS:,} plain columns")
    for column in columns:
        is_plain = column[1] in _SIMPLE_TYPES and column.get(3, 0) in (0, 1) and not column.get(5)
        _expect(is_plain, "columns of plain numbers or text")
    _expect(0 <= num_rows <= MAX_ROWS, f"at most {MAX_ROWS:,} rows, got {num_rows:,}")
    num_cells = num_rows * num_columns
    _expect(num_cells <= MAX_CELLS, f"at most {MAX_CELLS:,} cells, got {num_cells:,}")
    _expect(sum(group[3] for group in footer[4]) == num_rows, "row groups of as many rows")
    return ParquetSize(num_rows, num_columns)


def _pages(data: bytes, chunk: Struct, num_rows: int) -> list[Struct]:
    """Return the page headers of a column chunk."""
    column = chunk[3]
    first, dictionary, num_bytes = column[9], column.get(11), column[7]
    start = first if dictionary is None else dictionary
    _expect(1 not in chunk, "columns in this file")
    _expect(column[5] == num_rows >= 0, "as many values as rows")
    _expect(4 <= start <= first and 0 <= num_bytes <= len(data) - start, "pages inside the file")
    pages, place, num_values = [], start, 0
    while place < start + num_bytes:
        thrift = _Thrift(data, place)
        page = thrift.read_struct()
        kind, place = page[1], thrift.place + page[3]
        inner = page[{_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}[kind]]
        encoding = inner[4 if kind == _DATA_2 else 2]
        _expect(encoding in _ENCODINGS, "a simple encoding")
        _expect(min(page[2], page[3]) >= 0 and 0 <= inner[1] <= MAX_ROWS, "pages of its rows")
        num_values += 0 if kind == _DICTIONARY else inner[1]
        pages.append(page)
    _expect(place == start + num_bytes and num_values == num_rows, "pages of all its rows")
    return pages


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise StoreError(f"expected a table with {what}")


class _Thrift:
    """Reads structs in Thrift's compact protocol."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self.place = place

    def read_struct(self, depth: int = 0) -> Struct:
        """Return the fields of the struct that begins here."""
        if depth > _MAX_DEPTH:
            raise ValueError("structs in structs")
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._integer()
            if number in fields:
                raise ValueError("a field twice: readers differ in which one counts")
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - one of Thrift's types
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.read_struct(depth + 1)
        if kind in (3, 7):
            return self._bytes(1 if kind == 3 else 8)
        raise ValueError(f"type {kind}")  # a map: Parquet has none

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._varint()
        kind = head & 15
        if length > len(self._data) - self.place:  # each item takes a byte or more
            raise ValueError("a list beyond the end")
        if kind in (1, 2):
            return [self._byte() == 1 for _ in range(length)]
        return [self._value(kind, depth) for _ in range(length)]

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _bytes(self, length: int) -> bytes:
        if length > len(self._data) - self.place:
            raise ValueError("text beyond the end")
        self.place += length
        return self._data[self.place - length : self.place]

    def _varint(self) -> int:
        value = shift = 0
        for place in range(self.place, self.place + 10):  # 64 bits, 7 in each byte
            byte = self._data[place]
            value |= (byte & 127) << shift
            if byte < 128:
                self.place = place + 1
                return value
            shift += 7
        raise ValueError("a number beyond 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
