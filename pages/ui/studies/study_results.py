"""Study results: the trials of a study with their scores, and each one's difference to a baseline.

In: a study's folder and its runs. Out: rows, frames, intervals. A score is that of the blend on one
fold under one seed, from the ``scores.json`` of the run.

Whether folds hold the same people under every seed is decided by the folds themselves, by the
checksum of ``folds.parquet``. It depends on the recordings: the seed of ``trainer.folds`` only
orders people whose gestures are spread equally, and real people seldom are.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

from pages.ui.shared import intervals, readers
from trainer.models import registry
from trainer.models.libraries import not_installed
from trainer.store.checksums import FILE_NAME, CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.study import search
from trainer.study.definition import StudyFile
from trainer.study.trials import (
    StudyPaths,
    TrialRecord,
    best_trial,
    list_studies,
    read_study,
    read_trials,
    run_names,
    runs_ended_early,
)

STATES = {"running": "Running", "complete": "Complete", "pruned": "Pruned", "failed": "Failed"}


@dataclass(frozen=True)
class TrialResult:
    """One trial and its scores.

    Attributes:
        trial: Its record.
        scores_SF: The blend's score of each fold that is done, seed by seed.
        folds_S: The checksum of each seed's folds; "" where it is not known.
    """

    trial: TrialRecord
    scores_SF: tuple[tuple[float, ...], ...]
    folds_S: tuple[str, ...]

    @property
    def scores(self) -> list[float]:
        """Return all scores."""
        return [score for folds in self.scores_SF for score in folds]

    @property
    def state(self) -> str:
        """Return the state in words."""
        state = STATES[self.trial.state]
        num = len(self.trial.steps)
        return (
            f"{state} after {num} fold{'s' * (num != 1)}" if self.trial.state == "pruned" else state
        )


@dataclass(frozen=True)
class StudyResults:
    """A study and its trials.

    Attributes:
        root: The study's folder.
        study: The definition.
        results: One for each trial that has begun.
    """

    root: Path
    study: StudyFile
    results: tuple[TrialResult, ...]

    @property
    def trials(self) -> list[TrialRecord]:
        """Return the records."""
        return [result.trial for result in self.results]

    @property
    def best(self) -> TrialRecord | None:
        """Return the best complete trial."""
        return best_trial(self.trials)

    @property
    def has_same_folds(self) -> bool:
        """Return whether a fold holds the same people under every seed."""
        folds = {folds for result in self.results for folds in result.folds_S}
        return len(folds) == 1 and "" not in folds

    @property
    def is_over(self) -> bool:
        """Return whether every trial is over."""
        is_whole = len(self.results) == self.study.num_trials
        return is_whole and all(trial.state != "running" for trial in self.trials)

    def is_complete(self, result: TrialResult) -> bool:
        """Return whether every fold of every seed has a score."""
        return result.trial.state == "complete" and len(result.scores) == self.study.num_steps


def read(root: Path) -> StudyResults | None:
    """Return a study with its trials; a damaged file is named on the page."""
    try:
        study = read_study(root)
        trials = [] if study is None else read_trials(root)
    except StoreError as error:
        readers.show_problems([str(error)])
        return None
    if study is None:
        return None
    return StudyResults(root, study, tuple(_result(root, study, trial) for trial in trials))


def ended_early(state_dir: Path) -> dict[str, str]:
    """Return the state of each run that a study has ended early, by its name; for the run table."""
    found: dict[str, str] = {}
    for root in list_studies(state_dir):
        trials = StudyPaths(root).trials
        found |= _ended_early(root, trials.stat().st_mtime_ns if trials.exists() else 0)
    return found


def trial_table(found: StudyResults, baseline: int) -> pl.DataFrame:
    """Return one row per trial: its settings, scores and the difference to the baseline.

    Args:
        found: The study.
        baseline: Number of the trial that is subtracted.

    Returns:
        Trial, State, Mean, Difference, From, To (of its 95 % interval), one column per setting (of
        numbers where all are), Fold SD, Seed SD (standard deviations), Minutes; without a column
        that is empty in every row.
    """
    rows = [_row(found, result, found.results[baseline]) for result in found.results]
    table = pl.DataFrame(rows, infer_schema_length=None)
    for name in found.study.names:
        numbers = table[name].cast(pl.Float64, strict=False)
        if not numbers.null_count():
            table = table.with_columns(numbers)
    return table.select(column for column in table if column.null_count() < len(column))


def difference(
    found: StudyResults, result: TrialResult, first: TrialResult
) -> tuple[float, float | None] | None:
    """Return the mean difference of two complete trials and half of its 95 % interval.

    Returns:
        None where a trial is not complete, or where the folds of a seed are not the same.
    """
    is_paired = result.folds_S == first.folds_S and "" not in result.folds_S
    if not (is_paired and found.is_complete(result) and found.is_complete(first)):
        return None
    differences_SF = [
        [b - a for a, b in zip(before, after, strict=True)]
        for before, after in zip(first.scores_SF, result.scores_SF, strict=True)
    ]
    mean = statistics.fmean(value for folds in differences_SF for value in folds)
    return mean, intervals.half_width_over_seeds(differences_SF, found.has_same_folds)


def history(found: StudyResults) -> pl.DataFrame:
    """Return Trial, State, Mean (of the folds that are done) and Best so far of each trial."""
    best: float | None = None
    rows = []
    for result in found.results:
        trial = result.trial
        if trial.value is not None and (best is None or trial.value > best):
            best = trial.value
        mean = statistics.fmean(result.scores) if result.scores else None
        rows.append(
            {"Trial": trial.number, "State": result.state, "Mean": mean, "Best so far": best}
        )
    schema = {"Trial": pl.Int64, "State": pl.String, "Mean": pl.Float64, "Best so far": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def importance_problem(found: StudyResults) -> str:
    """Return why the importance of the settings cannot be computed, or ""."""
    if not found.study.search or len(found.study.search) < 2:
        return "it needs a search over two or more settings"
    missing = not_installed(["optuna"])
    if missing:
        return f"{missing} (pip install -r requirements-study.txt)"
    values = [trial.value for trial in found.trials if trial.state == "complete"]
    if len(values) < 3 or len(set(values)) < 2:
        return "it needs three or more complete trials that do not all have the same score"
    return ""


def importance(found: StudyResults) -> pl.DataFrame:
    """Return Setting and Share of the scores' variance, the largest first; read once."""
    study, trials = found.study.model_dump_json(), [one.model_dump_json() for one in found.trials]
    return _importance(study, tuple(trials))


@st.cache_data(max_entries=8, show_spinner="Computing the importance of the settings")
def _importance(study: str, trials: tuple[str, ...]) -> pl.DataFrame:
    records = [TrialRecord.model_validate_json(text) for text in trials]
    shares = search.importances(StudyFile.model_validate_json(study), records)
    return pl.DataFrame(
        {"Setting": list(shares), "Share": list(shares.values())},
        schema={"Setting": pl.String, "Share": pl.Float64},
    )


def _result(root: Path, study: StudyFile, trial: TrialRecord) -> TrialResult:
    runs = [StudyPaths(root).state_dir / name for name in run_names(study, trial.number)]
    return TrialResult(
        trial=trial,
        scores_SF=tuple(_scores(run, readers.version(RunPaths(run).scores)) for run in runs),
        folds_S=tuple(_folds(run, readers.version(run / FILE_NAME)) for run in runs),
    )


@functools.lru_cache(maxsize=256)
def _ended_early(root: Path, version: int) -> Mapping[str, str]:
    try:
        return runs_ended_early(root)
    except StoreError:
        return {}  # the panel of the study names the file


@st.cache_data(max_entries=4_096, show_spinner=False)
def _scores(root: Path, version: readers.Version) -> tuple[float, ...]:
    try:
        scores = RunReader(root).scores()
    except StoreError:
        return ()  # the run's own panel names the file
    blend = None if scores is None else scores.models.get(registry.BLEND)
    rows = () if blend is None else blend.all_sensors.folds
    return tuple(row.score for row in rows if row is not None)


@st.cache_data(max_entries=4_096, show_spinner=False)
def _folds(root: Path, version: readers.Version) -> str:
    found = CheckedFolder(root).checksums().find(RunPaths(root).folds.name)
    return "" if found is None else found.sha256


def _row(found: StudyResults, result: TrialResult, first: TrialResult) -> dict[str, object]:
    trial, is_complete = result.trial, found.is_complete(result)
    means_S = [statistics.fmean(folds) for folds in result.scores_SF if folds]
    pair = difference(found, result, first) if result is not first else None
    mean, half = pair if pair is not None else (None, None)
    ends = (None, None) if mean is None or half is None else (mean - half, mean + half)
    return {
        "Trial": trial.number,
        "State": result.state,
        "Mean": statistics.fmean(result.scores) if result.scores else None,
        "Difference": mean,
        "From": ends[0],
        "To": ends[1],
        **{name: trial.settings.get(name, "") for name in found.study.names},
        "Fold SD": _spread_of_folds(result) if is_complete else None,
        "Seed SD": statistics.stdev(means_S) if is_complete and len(means_S) > 1 else None,
        "Minutes": trial.seconds / 60 if trial.seconds else None,
    }


def _spread_of_folds(result: TrialResult) -> float | None:
    """Return the standard deviation of the folds within a seed, over all seeds."""
    variances = [statistics.variance(folds) for folds in result.scores_SF if len(folds) > 1]
    return math.sqrt(statistics.fmean(variances)) if variances else None


def describe_intervals(found: StudyResults) -> str:
    """Explain the interval of the differences, in one or two sentences."""
    if len(found.study.seeds) == 1:
        return (
            "From and To: its 95 % interval over the folds (corrected resampled t-test), without "
            "the variation between seeds: that needs several seeds."
        )
    if found.has_same_folds:
        return (
            "From and To: its 95 % interval over seeds and folds, two crossed random factors: each "
            "fold contains the same subjects under every seed."
        )
    return (
        "From and To: its 95 % interval over seeds and the folds within each; it is conservative, "
        "because every seed splits the subjects differently."
    )
