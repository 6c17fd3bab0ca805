"""Journal: the history of one run that is being written, read on from where the last look ended.

In: ``metrics.jsonl``, perhaps growing, perhaps replaced by another run's. Out: the events beside
the curves' points, and the points as a frame. A look costs what is new, not what there is: a page
of a live run looks every second, and 20,000 points took some tenths of a second to read.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.store.reader import CURVE_EVENTS, Event, curves, merge_curves, read_events

if TYPE_CHECKING:
    import polars as pl

_TAIL_BYTES = 256  # before the end of the last look: they tell a file that goes on from another


class Journal:
    """What was read of one history so far; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet.

        Args:
            path: ``metrics.jsonl``.
        """
        self._path = path
        self._lock = threading.Lock()
        self._seen: os.stat_result | None = None
        self._offset = 0
        self._tail = b""
        self._events: list[Event] = []
        self._points = curves([])

    def events(self) -> list[Event]:
        """Return all events that are no point of a curve, oldest first; never change the list."""
        with self._lock:
            self._read_on()
            return self._events

    def curves(self) -> pl.DataFrame:
        """Return the points of all curves, as ``reader.curves`` does."""
        with self._lock:
            self._read_on()
            return self._points

    def _read_on(self) -> None:
        """Take in what came since the last look; begin anew where the file is another one."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._forget()
            return
        if self._is_known(stat):
            return
        if not self._goes_on(stat):
            self._forget()
        new, self._offset = read_events(self._path, self._offset)
        self._events = [*self._events, *(e for e in new if e.event not in CURVE_EVENTS)]
        self._points = merge_curves(self._points, curves(list(new)))
        self._tail = self._read_tail()
        self._seen = stat

    def _is_known(self, stat: os.stat_result) -> bool:
        seen = self._seen
        return seen is not None and (
            (seen.st_ino, seen.st_size, seen.st_mtime_ns)
            == (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        )

    def _goes_on(self, stat: os.stat_result) -> bool:
        """Return whether what was read is still the beginning of the file."""
        seen = self._seen
        is_same_file = seen is not None and seen.st_ino == stat.st_ino
        has_grown = seen is not None and seen.st_size != stat.st_size >= self._offset
        return is_same_file and has_grown and self._read_tail() == self._tail

    def _read_tail(self) -> bytes:
        start = max(0, self._offset - _TAIL_BYTES)
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(self._offset - start)

    def _forget(self) -> None:
        self._seen, self._offset, self._tail = None, 0, b""
        self._events, self._points = [], curves([])
