"""Run table: one row per run, and the settings in which the runs differ.

In: the runs of a state folder. Out: a summary of each, read once per version of its files; a frame
for the Runs page. A damaged file leaves its cells empty and is named; the table is always shown.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import polars as pl

from pages.ui.shared import live, readers, words
from pages.ui.studies import study_results
from trainer.config import flat_settings
from trainer.models import registry
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import Notes, RunFile, Scores, SensorScores
from trainer.store.run_state import DerivedState

T = TypeVar("T")

ALWAYS_SHOWN = ("data.source",)  # has its own column
MAX_SUMMARIES = 2_000  # of a few kB each


@dataclass(frozen=True)
class RunSummary:
    """A run as its files describe it; its present state is derived separately.

    Attributes:
        run: Its reader.
        notes: Title and note.
        run_file: Its configuration; None where it cannot be read.
        settings: Dotted name to value as text; empty where they cannot be read.
        scores: None before the first fold is done.
        num_done: Folds done, over all models.
        num_folds: All folds, over all models.
        training_s: Seconds spent on its folds.
        problems: The files that cannot be read.
        version: Changes when one of the files does.
        ended_early: "pruned" or "failed" where a study ended it, or "".
    """

    run: RunReader
    notes: Notes
    run_file: RunFile | None
    settings: Mapping[str, str]
    scores: Scores | None
    num_done: int
    num_folds: int
    training_s: float
    problems: tuple[str, ...]
    version: readers.Version
    ended_early: str = ""

    @property
    def name(self) -> str:
        """Return the run's name."""
        return self.run.name

    @property
    def models(self) -> tuple[str, ...]:
        """Return the run's models; those with a score where its configuration cannot be read."""
        if self.run_file is not None:
            return self.run_file.models
        return () if self.scores is None else tuple(self.scores.models)

    @property
    def created_at(self) -> float:
        """Return when the run was made; -inf where its configuration cannot be read."""
        return -math.inf if self.run_file is None else self.run_file.created_at


def summaries(runs: Sequence[RunReader]) -> list[RunSummary]:
    """Return a summary of each run, the newest first; the order does not depend on activity."""
    early = study_results.ended_early(runs[0].root.parent) if runs else {}
    found = [
        replace(_summary(run, version(run)), ended_early=early.get(run.name, "")) for run in runs
    ]
    return sorted(found, key=lambda summary: (-summary.created_at, summary.name))


def version(run: RunReader) -> readers.Version:
    """Return a value that changes when a run's row does, except for its state."""
    paths, states = run.paths, readers.model_states(run)
    return readers.version(paths.config, paths.config_copy, paths.scores, paths.notes, *states)


def models_of(found: Sequence[RunSummary]) -> list[str]:
    """Return the models that at least one of the runs has."""
    known = {model for summary in found for model in summary.models}
    return [model.name for model in registry.all_models() if model.name in known]


def run_table(
    found: Sequence[RunSummary], derived_states: Mapping[str, DerivedState]
) -> pl.DataFrame:
    """Return one row per run, in the order given.

    Args:
        found: The runs.
        derived_states: By the run's name.

    Returns:
        Run, State, Recordings, mean fold score of the blend (and its spread) and of each model
        (null: none yet), Optimistic where a score is, with the reason, Title, Minutes, Folds done,
        Started, then one text column per setting that differs between the runs.
    """
    names, models = differing_settings(found), models_of(found)
    rows = [
        _row(summary, derived_states[summary.name], models)
        | {name: summary.settings.get(name, "") for name in names}
        for summary in found
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table if table["Optimistic"].count() else table.drop("Optimistic")


def differing_settings(found: Sequence[RunSummary]) -> list[str]:
    """Return the dotted names of the settings that have more than one value among the runs."""
    known = [summary.settings for summary in found if summary.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    return [
        name
        for name in names
        if name not in ALWAYS_SHOWN and len({settings.get(name, "") for settings in known}) > 1
    ]


def matches(summary: RunSummary, derived: DerivedState, wanted: str) -> bool:
    """Return whether every word of a filter is in the run's name, title, note, state or source."""
    source = summary.settings.get("data.source", "")
    state = shown_state(summary, derived)
    text = " ".join((summary.name, summary.notes.title, summary.notes.note, state, source))
    return all(word in text.lower() for word in wanted.lower().split())


def shown_state(summary: RunSummary, derived: DerivedState) -> str:
    """Return the derived state; "launching" while a trainer starts, "pruned" by a study."""
    if live.is_launching(summary.run, derived):
        return "launching"
    return summary.ended_early if summary.ended_early and derived.can_resume else derived.state


def sensor_scores(scores: Scores | None, model: str) -> SensorScores:
    """Return the scores of a model or the blend with all sensors; without folds if none is done."""
    found = None if scores is None else scores.models.get(model)
    return SensorScores(folds=()) if found is None else found.all_sensors


def why_optimistic(scores: Scores) -> str | None:
    """Return why the scores of a run are optimistic; None where they are not."""
    reasons = ["best steps"] * scores.has_chosen + ["shared subjects"] * scores.shared_subjects
    return words.capital(", ".join(reasons)) or None


def _row(summary: RunSummary, derived: DerivedState, models: Sequence[str]) -> dict[str, object]:
    run_file, scores = summary.run_file, summary.scores
    return {
        "Run": summary.name,
        "State": shown_state(summary, derived).capitalize(),
        "Recordings": words.recordings(run_file) or None,
        "Blend": sensor_scores(scores, registry.BLEND).mean,
        "Spread": _spread(sensor_scores(scores, registry.BLEND)),
        **{registry.title(model): sensor_scores(scores, model).mean for model in models},
        "Optimistic": None if scores is None else why_optimistic(scores),
        "Title": summary.notes.title,
        "Minutes": summary.training_s / 60 if summary.training_s else None,
        "Folds done": f"{summary.num_done} of {summary.num_folds}" if summary.num_folds else None,
        "Started": None if run_file is None else datetime.fromtimestamp(run_file.created_at),
    }


@functools.lru_cache(maxsize=MAX_SUMMARIES)  # Streamlit's cache takes 0.5 ms for each call
def _summary(reader: RunReader, version: readers.Version) -> RunSummary:
    problems: list[str] = []
    run_file = _read(reader.run_file, problems)
    folds = (_read(reader.fold_records, problems) if run_file is not None else None) or ()
    config = {} if run_file is None else flat_settings(run_file.settings())
    return RunSummary(
        run=reader,
        notes=_read(reader.notes, problems) or Notes(),
        run_file=run_file,
        settings={name: words.setting(name, value) for name, value in config.items()},
        scores=_read(reader.scores, problems),
        num_done=sum(record.done for record in folds),
        num_folds=len(folds),
        training_s=sum(record.seconds for record in folds),
        problems=tuple(problems),
        version=version,
    )


def _read(read: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return read()
    except (StoreError, OSError) as error:
        problems.append(str(error))
        return None


def _spread(scores: SensorScores) -> float | None:
    num_done = sum(row is not None for row in scores.folds)
    return scores.std if num_done > 1 else None
