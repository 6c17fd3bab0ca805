"""Cached readers: each file of a run is read once per version of it, for all sessions.

In: a ``RunReader``. Out: records and frames; None where a file is not there yet. A damaged file is
named on the page, or in the caller's list of problems, and counts as not there. What is returned
is shared: never change it in place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from trainer.store import event_log
from trainer.store.durable import StoreError
from trainer.store.event_log import Event, EventLog
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, Notes, RunFile, Scores
from trainer.store.resume_record import ResumeRecord

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

Version = tuple[tuple[str, int, int], ...]  # path, modified in ns, bytes; per file

MAX_SMALL = 256  # records of a few kB: the runs page reads those of every run
MAX_FRAMES = 24  # tables of up to a few MB


def run_file(reader: RunReader, problems: list[str] | None = None) -> RunFile | None:
    """Return the frozen configuration of the run."""
    files = version(reader.paths.config, reader.paths.config_copy)
    return _shown(lambda: _record("run_file", files, reader), problems)


def scores(reader: RunReader, problems: list[str] | None = None) -> Scores | None:
    """Return the scores of the models and the blend."""
    return _shown(lambda: _record("scores", version(reader.paths.scores), reader), problems)


def notes(reader: RunReader, problems: list[str] | None = None) -> Notes:
    """Return title and note of the run."""
    return (
        _shown(lambda: _record("notes", version(reader.paths.notes), reader), problems) or Notes()
    )


def resume_record(reader: RunReader) -> ResumeRecord | None:
    """Return what the trainer wrote of the attempts when the run was finished."""
    files = version(reader.paths.resume_record)
    return _shown(lambda: _record("resume_record", files, reader))


def units(reader: RunReader, problems: list[str] | None = None) -> tuple[FoldRecord, ...]:
    """Return every fold of every model, in the order of work."""
    paths = reader.paths
    files = (paths.config, paths.config_copy, *map(paths.model_state, ("lgbm", "torch")))
    return _shown(lambda: _record("fold_records", version(*files), reader), problems) or ()


def events(reader: RunReader) -> list[Event]:
    """Return all events beside the points of curves, oldest first."""
    return _shown(_journal(str(reader.paths.metrics)).events) or []


def curves(reader: RunReader) -> pl.DataFrame:
    """Return the points of all curves: model, fold, step, then one column per number."""
    points = _shown(_journal(str(reader.paths.metrics)).curves)
    return event_log.curves([]) if points is None else points


def folds(reader: RunReader) -> pl.DataFrame | None:
    """Return sequence_id, subject, gesture, fold."""
    return _shown(lambda: _frame("folds", version(reader.paths.folds), reader))


def oof(reader: RunReader) -> pl.DataFrame | None:
    """Return the out-of-fold probabilities."""
    return _shown(lambda: _frame("oof", version(reader.paths.oof), reader))


def importance(reader: RunReader) -> pl.DataFrame | None:
    """Return the feature importance."""
    return _shown(lambda: _frame("importance", version(reader.paths.importance), reader))


def grid_map(reader: RunReader) -> dict[str, tuple[str, int, int, int, int]]:
    """Return sensor, first and last row, first and last column of the features on a grid."""
    return _shown(lambda: _record("grid_map", version(reader.paths.features), reader)) or {}


def version(*paths: Path) -> Version:
    """Return what changes when one of the files does; the key of every cache."""
    parts = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        parts.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(parts)


@st.cache_resource(max_entries=MAX_SMALL, show_spinner=False)
def _record(what: str, version: Version, _reader: RunReader) -> Any:  # noqa: ANN401 - a record
    return getattr(_reader, what)() if version else None


@st.cache_resource(max_entries=MAX_FRAMES, show_spinner=False)
def _frame(what: str, version: Version, _reader: RunReader) -> pl.DataFrame | None:
    return getattr(_reader, what)() if version else None


@st.cache_resource(max_entries=MAX_FRAMES, show_spinner=False)
def _journal(path: str) -> EventLog:
    return EventLog(Path(path))


def _shown(read: Callable[[], T], problems: list[str] | None = None) -> T | None:
    try:
        return read()
    except (StoreError, OSError) as error:
        if problems is None:
            show_problems([str(error)])
        else:
            problems.append(str(error))
        return None


def show_problems(problems: list[str]) -> None:
    """Name the files that cannot be read; nothing where there are none."""
    if problems:
        st.error("A file cannot be read, so a part of the page is missing.")
        st.code("\n".join(dict.fromkeys(problems)), language=None, wrap_lines=True)
