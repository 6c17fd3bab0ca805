"""Event log: ``metrics.jsonl``, one JSON line per event, and the curves in it.

In: the file, which may grow or be replaced by another run's. Out: events, the points of the curves
as a frame, and how many lines are no events; such a line costs one point of a curve at most.
``EventLog`` reads on from the end of its last reading: a page of a live run reads every second, and
reading 20,000 points took some tenths of a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from trainer.store.durable import StoreError
from trainer.store.file_kinds import open_file
from trainer.store.record_types import Attempt, Fold, Name, Number, Text, Time

if TYPE_CHECKING:
    import polars as pl

CURVE_EVENTS = ("segment", "epoch")  # the events that carry a point of a curve
MAX_LINES = 500_000  # of a log: a beat every 10 s for two months, or 100 MB in memory
MAX_LINE_BYTES = 1 << 20  # the longest is an error's text
MAX_COLUMNS = 64  # names of numbers in all events; those of both models are about 20

_POINT = ("model", "fold", "attempt", "time")  # columns of a point that are no numbers of it
_COUNTS, _MOST = ("step", "redone_s"), 2.0**37  # numbers that are more than shown
_TAIL_BYTES = 256  # before the end of the last reading: if they differ, it is another file


def _without_nulls(values: object) -> object:
    """Drop the nulls, which take the place of NaN and infinity in the file."""
    if not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if value is not None}


def _check_values(values: dict[str, float]) -> dict[str, float]:
    if any(key in values for key in _POINT):
        raise ValueError(f"expected other names than {', '.join(_POINT)}")
    if any(not 0.0 <= values.get(key, 0.0) <= _MOST for key in _COUNTS):
        raise ValueError(f"expected {' and '.join(_COUNTS)} of 0 to {_MOST:g}")
    return values


Values = Annotated[
    dict[Name, Number],
    BeforeValidator(_without_nulls),
    Field(max_length=MAX_COLUMNS),
    AfterValidator(_check_values),
]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of ``metrics.jsonl``.

    Attributes:
        event: "segment", "epoch", "fold", "start", "resume", "pause", "interrupted", "finish",
            "fail", "problem" or "beat".
        time: Seconds since 1970; no result depends on it.
        attempt: Number of the trainer's start that wrote it, from 1.
        model: Name of the model, or None.
        fold: From 0, or None.
        values: Numbers such as step, train_loss, valid_loss, score, learning_rate.
        text: A description, or "".
    """

    event: Name
    time: Time
    attempt: Attempt
    model: Name | None = None
    fold: Fold | None = None
    values: Values = field(default_factory=dict)
    text: Text = ""


class Reading(NamedTuple):
    """What one call of ``read_events`` has read.

    Attributes:
        events: The events, oldest first.
        offset: Where the next call begins, in bytes.
        num_unreadable: Lines that are no events.
    """

    events: tuple[Event, ...]
    offset: int
    num_unreadable: int


_EVENT = TypeAdapter(Event)


def event_line(
    attempt: int,
    event: str,
    model: str | None,
    fold: int | None,
    values: Mapping[str, float | int] | None,
    text: str,
) -> dict[str, Any]:
    """Return one line of ``metrics.jsonl``."""
    line: dict[str, Any] = {"event": event, "time": time.time(), "attempt": attempt}
    if model is not None:
        line |= {"model": model, "fold": fold}
    if values:
        line["values"] = {key: _finite(value) for key, value in values.items()}
    if text:
        line["text"] = text
    return line


def read_events(path: Path, offset: int = 0) -> Reading:
    """Return the events after a byte offset, up to the last whole line.

    Args:
        path: ``metrics.jsonl``.
        offset: The offset that an earlier call returned; 0 reads all.

    Raises:
        StoreError: The file cannot be read, or has more lines than a run writes.
    """
    events: list[Event] = []
    num_unreadable, is_too_long, names = 0, False, set[str]()
    try:
        with open_file(path) as file:
            file.seek(offset)
            while line := file.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    if len(line) < MAX_LINE_BYTES:
                        break  # unfinished
                    is_too_long = True
                    continue
                event = None if is_too_long else _parse(line, names)
                if event is None:
                    num_unreadable += 1
                else:
                    events.append(event)
                if len(events) + num_unreadable > MAX_LINES:
                    raise StoreError(
                        f"{path}: expected an event log of at most {MAX_LINES:,} lines, got more. "
                        f"Move it away: the run can be resumed without it, its curves begin anew"
                    )
                offset, is_too_long = file.tell(), False
    except FileNotFoundError:
        return Reading((), 0, 0)
    return Reading(tuple(events), offset, num_unreadable)


def curves(events: list[Event]) -> pl.DataFrame:
    """Return the points of all curves.

    If two attempts computed the same step of a fold, the newer attempt's point counts.

    Returns:
        Columns model, fold, step, attempt, time, then one Float64 column per number.
    """
    import polars as pl

    points = {
        (event.model, event.fold, event.values.get("step")): event
        for event in sorted(
            (event for event in events if event.event in CURVE_EVENTS),
            key=lambda event: event.attempt,
        )
    }
    rows = [
        {
            "model": event.model,
            "fold": event.fold,
            "attempt": event.attempt,
            "time": event.time,
            **{key: float(value) for key, value in event.values.items()},
        }
        for event in points.values()
    ]
    if not rows:
        return pl.DataFrame(schema={"model": pl.String, "fold": pl.Int64, "step": pl.Float64})
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.sort("model", "fold", "step")


def merge_curves(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the points of two consecutive parts of one event log, as ``curves`` of both would.

    Args:
        old: Points of the earlier events.
        new: Points of the later events.
    """
    import polars as pl

    if old.is_empty() or new.is_empty():
        return new if old.is_empty() else old
    key = ["model", "fold", "step"]
    return (
        pl.concat([old, new], how="diagonal_relaxed")
        .sort("attempt", maintain_order=True)
        .unique(key, keep="last", maintain_order=True)
        .sort(key)
    )


class EventLog:
    """The events of one run as far as they were read; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open the log; the first call reads it.

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
        self._num_unreadable = 0
        self._error: StoreError | None = None

    def events(self) -> list[Event]:
        """Return all events but the points of curves, oldest first; do not change the list."""
        with self._lock:
            self._read_on()
            return self._events

    def curves(self) -> pl.DataFrame:
        """Return the points of all curves, as the function ``curves`` does."""
        with self._lock:
            self._read_on()
            return self._points

    def num_unreadable(self) -> int:
        """Return how many lines are no events."""
        with self._lock:
            self._read_on()
            return self._num_unreadable

    def _read_on(self) -> None:
        """Read what was appended since the last reading; start over if it is another file."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._reset()
            return
        if self._is_known(stat):
            if self._error is not None:
                raise self._error
            return
        if self._error is not None or not self._has_grown(stat):
            self._reset()
        self._seen = stat
        try:
            new, self._offset, num_unreadable = read_events(self._path, self._offset)
        except StoreError as error:
            self._error = error  # a page that runs again does not read millions of lines again
            raise
        self._num_unreadable += num_unreadable
        self._events = [*self._events, *(e for e in new if e.event not in CURVE_EVENTS)]
        self._points = merge_curves(self._points, curves(list(new)))
        self._tail = self._read_tail()

    def _is_known(self, stat: os.stat_result) -> bool:
        seen = self._seen
        return seen is not None and (
            (seen.st_ino, seen.st_size, seen.st_mtime_ns)
            == (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        )

    def _has_grown(self, stat: os.stat_result) -> bool:
        """Return whether the bytes read so far are still the beginning of the file."""
        seen = self._seen
        is_same_file = seen is not None and seen.st_ino == stat.st_ino
        is_longer = seen is not None and seen.st_size != stat.st_size >= self._offset
        return is_same_file and is_longer and self._read_tail() == self._tail

    def _read_tail(self) -> bytes:
        start = max(0, self._offset - _TAIL_BYTES)
        with open_file(self._path) as file:
            file.seek(start)
            return file.read(self._offset - start)

    def _reset(self) -> None:
        self._seen, self._offset, self._tail = None, 0, b""
        self._events, self._points, self._num_unreadable = [], curves([]), 0
        self._error = None


def _parse(line: bytes, names: set[str]) -> Event | None:
    """Return the event of a line, or None; ``names`` collects those of all numbers."""
    try:
        event = _EVENT.validate_json(line)
    except ValidationError:
        return None
    is_point = event.model is not None and event.fold is not None and "step" in event.values
    is_good = is_point or event.event not in CURVE_EVENTS
    if not is_good or len(names | event.values.keys()) > MAX_COLUMNS:
        return None
    names.update(event.values)
    return event


def _finite(value: float | int) -> float | int | None:
    """Return the number, or None, which JSON can hold, in place of NaN and infinity."""
    return value if value == value and abs(value) != float("inf") else None
