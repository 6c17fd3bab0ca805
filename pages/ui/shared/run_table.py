"""Run table: one row per run, and the settings in which the runs differ.

In: the runs of a state folder. Out: what is known of each, read once per version of its files; a
frame for the Runs page. A damaged file costs its cells and is named, never the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import polars as pl
import streamlit as st

from pages.ui.shared import live, readers, words
from trainer.config import flat_settings, setting_text
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import Notes, RunFile, Scores
from trainer.store.run_state import DerivedState

T = TypeVar("T")

SHOWN_ANYWAY = ("data.source",)  # has a column of its own
MAX_SUMMARIES = 2_000  # of a few kB each


@dataclass(frozen=True)
class RunSummary:
    """What the files of a run say of it, without the moment.

    Attributes:
        run: Its reader.
        notes: Title and note.
        run_file: Its configuration; None where it cannot be read.
        settings: Dotted name to value as text; empty where they cannot be read.
        scores: None before the first fold is done.
        num_done: Folds done, over all models.
        num_units: Folds there are, over all models.
        training_s: Seconds spent on its folds.
        problems: The files that cannot be read.
    """

    run: RunReader
    notes: Notes
    run_file: RunFile | None
    settings: Mapping[str, str]
    scores: Scores | None
    num_done: int
    num_units: int
    training_s: float
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the run's name."""
        return self.run.name

    @property
    def created_at(self) -> float:
        """Return when the run was made; what cannot be read is older than everything."""
        return -math.inf if self.run_file is None else self.run_file.created_at


def summaries(runs: Sequence[RunReader]) -> list[RunSummary]:
    """Return what is known of the runs, the newest first; nothing moves while runs are at work."""
    found = [_summary(str(run.root), version(run), run) for run in runs]
    return sorted(found, key=lambda summary: (-summary.created_at, summary.name))


def version(run: RunReader) -> readers.Version:
    """Return what changes when something in a run's row does, but for its state."""
    paths = run.paths
    states = map(paths.model_state, ("lgbm", "torch"))
    return readers.version(paths.config, paths.config_copy, paths.scores, paths.notes, *states)


def run_table(
    found: Sequence[RunSummary], derived_states: Mapping[str, DerivedState]
) -> pl.DataFrame:
    """Return one row per run, in the order given.

    Args:
        found: The runs.
        derived_states: By the run's name.

    Returns:
        Run, State, Recordings, mean fold score of blend (and its spread) and of the models (null:
        none yet), Title, Minutes, Folds done, Started, then one text column per setting that
        differs between the runs.
    """
    names = differing_settings(found)
    rows = [
        _row(summary, derived_states[summary.name])
        | {name: summary.settings.get(name, "") for name in names}
        for summary in found
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def differing_settings(found: Sequence[RunSummary]) -> list[str]:
    """Return the dotted names of the settings that have more than one value among the runs."""
    known = [summary.settings for summary in found if summary.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    return [
        name
        for name in names
        if name not in SHOWN_ANYWAY and len({settings.get(name, "") for settings in known}) > 1
    ]


def matches(summary: RunSummary, derived: DerivedState, wanted: str) -> bool:
    """Return whether every word of a filter is in the run's name, title, note, state or source."""
    source = summary.settings.get("data.source", "")
    text = " ".join((summary.name, summary.notes.title, summary.notes.note, derived.state, source))
    return all(word in text.lower() for word in wanted.lower().split())


def shown_state(summary: RunSummary, derived: DerivedState) -> str:
    """Return the verdict's state, or "launching" while a trainer is on its way."""
    return "launching" if live.is_launching(summary.run, derived) else derived.state


def _row(summary: RunSummary, derived: DerivedState) -> dict[str, object]:
    run_file = summary.run_file
    return {
        "Run": summary.name,
        "State": shown_state(summary, derived).capitalize(),
        "Recordings": words.recordings(run_file) or None,
        "Blend": _mean(summary.scores, "blend"),
        "Spread": _spread(summary.scores, "blend"),
        "LightGBM": _mean(summary.scores, "lgbm"),
        "Network": _mean(summary.scores, "torch"),
        "Title": summary.notes.title,
        "Minutes": summary.training_s / 60 if summary.training_s else None,
        "Folds done": f"{summary.num_done} of {summary.num_units}" if summary.num_units else None,
        "Started": None if run_file is None else datetime.fromtimestamp(run_file.created_at),
    }


@st.cache_resource(max_entries=MAX_SUMMARIES, show_spinner=False)
def _summary(root: str, version: readers.Version, _reader: RunReader) -> RunSummary:
    problems: list[str] = []
    run_file = _read(_reader.run_file, problems)
    units = (_read(_reader.units, problems) if run_file is not None else None) or ()
    config = {} if run_file is None else flat_settings(run_file.settings())
    return RunSummary(
        run=_reader,
        notes=_read(_reader.notes, problems) or Notes(),
        run_file=run_file,
        settings={name: setting_text(value) for name, value in config.items()},
        scores=_read(_reader.scores, problems),
        num_done=sum(unit.done for unit in units),
        num_units=len(units),
        training_s=sum(unit.seconds for unit in units),
        problems=tuple(problems),
    )


def _read(read: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return read()
    except (StoreError, OSError) as error:
        problems.append(str(error))
        return None


def _mean(scores: Scores | None, model: str) -> float | None:
    found = None if scores is None else scores.models.get(model)
    return None if found is None else found.all_sensors.mean


def _spread(scores: Scores | None, model: str) -> float | None:
    found = None if scores is None else scores.models.get(model)
    if found is None or sum(row is not None for row in found.all_sensors.folds) < 2:
        return None
    return found.all_sensors.std
