"""Cached readers: each file of a run is read once per version of it, for all sessions.

In: a ``RunReader``. Out: records and frames; None where a file does not exist yet. A damaged file
is named on the page, or in the caller's list of problems, and counts as missing. What is returned
is shared: never change it in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from pages.ui.shared import words
from trainer.models import registry
from trainer.store import event_log
from trainer.store.durable import StoreError
from trainer.store.event_log import Event, EventLog
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, Notes, RunFile, Scores
from trainer.store.resume_record import ResumeRecord
from trainer.store.tables.run_tables import assignment_sha256

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

Version = tuple[tuple[str, int, int], ...]  # path, modified in ns, bytes; per file

MAX_SMALL = 256  # records of a few kB: the runs page reads those of every run
MAX_FRAMES = 24  # tables of up to a few MB
MAX_HASHES = 2_000  # of one line each


@dataclass(frozen=True)
class FoldScore:
    """How good a fold is while it is trained.

    Attributes:
        newest: Score of its newest round or epoch.
        best: Highest so far.
        best_step: The first round or epoch that reached it.
    """

    newest: float
    best: float
    best_step: int


@dataclass(frozen=True)
class RunView:
    """The content of a run's files; it changes less often than the run's state.

    Attributes:
        reader: The run.
        run_file: Its configuration; None where it cannot be read.
        folds: The record of every fold of every model.
        scores: Of the folds that are done.
        events: The event log.
        points: Of all curves.
    """

    reader: RunReader
    run_file: RunFile | None
    folds: tuple[FoldRecord, ...]
    scores: Scores | None
    events: list[Event]
    points: pl.DataFrame

    @property
    def models(self) -> tuple[str, ...]:
        """Return the run's models; all that there are, while its configuration is not known."""
        if self.run_file is None:
            return tuple(model.name for model in registry.all_models())
        return self.run_file.models

    @property
    def resumed_at(self) -> dict[str, list[float]]:
        """Return, per model, the rounds or epochs (with fraction) at which folds resumed."""
        return {
            model: sorted(
                step * self.last_step(model) / record.total_steps
                for record in self.folds
                if record.model == model and record.total_steps
                for step in set(record.resumed_at)
            )
            for model in self.models
        }

    def last_step(self, model: str) -> int:
        """Return the last round or epoch that a fold of the model can have; 0 if not known."""
        if self.run_file is None or not words.is_model(model):
            return 0
        return registry.get(model).max_steps(self.run_file)

    def step_text(self, model: str, step: int, total_steps: int) -> str:
        """Write how many rounds or epochs of a fold are done: 75 of 500."""
        return words.step_text(step, total_steps, self.last_step(model))

    def fold_score(self, model: str, fold: int) -> FoldScore | None:
        """Return how good a fold is so far; None before its first point."""
        if "score" not in self.points.columns:
            return None
        points = self.points.filter(model=model, fold=fold).drop_nulls("score").sort("step")
        if points.is_empty():
            return None
        best = points.row(int(points["score"].arg_max() or 0), named=True)
        return FoldScore(points["score"][-1], best["score"], int(best["step"]))


def view(reader: RunReader) -> RunView:
    """Read all that the Train page shows of a run; damaged files are named on the page."""
    records = fold_records(reader)  # reads the configuration too, and names it where damaged
    return RunView(
        reader, run_file(reader, []), records, scores(reader), events(reader), curves(reader)
    )


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
    """Return the record of all attempts, which is written when the run finishes."""
    files = version(reader.paths.resume_record)
    return _shown(lambda: _record("resume_record", files, reader))


def fold_records(reader: RunReader, problems: list[str] | None = None) -> tuple[FoldRecord, ...]:
    """Return the record of every fold of every model, in the order of training."""
    paths = reader.paths
    files = version(paths.config, paths.config_copy, *model_states(reader))
    return _shown(lambda: _record("fold_records", files, reader), problems) or ()


def model_states(reader: RunReader) -> list[Path]:
    """Return the files with the folds of each model that a run can have."""
    return [reader.paths.model_state(model.name) for model in registry.all_models()]


def events(reader: RunReader) -> list[Event]:
    """Return all events except the points of curves, oldest first."""
    return _shown(_journal(str(reader.paths.metrics)).events) or []


def curves(reader: RunReader) -> pl.DataFrame:
    """Return the points of all curves: model, fold, step, then one column per number."""
    points = _shown(_journal(str(reader.paths.metrics)).curves)
    return event_log.curves([]) if points is None else points


def log_tail(reader: RunReader, num_lines: int) -> list[str]:
    """Return the last lines of the trainer's log."""
    return _shown(lambda: reader.log_tail(num_lines)) or []


def num_unreadable_lines(reader: RunReader) -> int:
    """Return how many lines of the event log are no events."""
    return _shown(_journal(str(reader.paths.metrics)).num_unreadable, []) or 0


def folds(reader: RunReader) -> pl.DataFrame | None:
    """Return sequence_id, subject, gesture, fold."""
    return _shown(lambda: _frame("folds", version(reader.paths.folds), reader))


def folds_sha256(reader: RunReader) -> str | None:
    """Return the hash of what the fold table contains; the same for the same folds."""
    return _shown(lambda: _folds_sha256(version(reader.paths.folds), reader))


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
    """Return a value that changes when one of the files does; the key of every cache."""
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


@st.cache_resource(max_entries=MAX_HASHES, show_spinner=False)
def _folds_sha256(version: Version, _reader: RunReader) -> str | None:
    table = _reader.folds() if version else None
    return None if table is None else assignment_sha256(table)


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
    """Name the files that cannot be read, if there are any."""
    if problems:
        st.error("A file cannot be read, so a part of the page is missing.")
        st.code("\n".join(dict.fromkeys(problems)), language=None, wrap_lines=True)
