"""Trials: the files of a study's folder, and the record of each trial.

In: a study's folder. Out: its paths, its definition, its trials in the order of their numbers. The
records and the run folders are all that a study's state is derived from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trainer.run import RefusedError
from trainer.store.durable import StoreError, write_atomic
from trainer.store.names import STUDIES, RunPaths, check_run_name
from trainer.store.record_types import Name, Score, Seconds, Text, Time
from trainer.store.records import Record, dump_record, read_record
from trainer.study.definition import MAX_TRIALS, StudyFile

TrialState = Literal["running", "complete", "pruned", "failed"]


class TrialRecord(Record):
    """``trials/0000.json``: one trial; written before its first run begins, and when it is over.

    Attributes:
        number: From 0.
        settings: Dotted name to value, as ``--set`` accepts it.
        state: A pruned trial was clearly worse; the settings of a failed one cannot be combined.
        steps: The blend's score of each fold, seed by seed, each computed from the folds of its
            seed so far; only of a search.
        value: Mean over seeds and folds of the blend's out-of-fold score per fold; None unless
            complete.
        seconds: Spent on its folds.
        begun_at: No result depends on it.
        ended_at: The same.
        reason: Why it was pruned or failed, or "".
    """

    number: Annotated[int, Field(ge=0, lt=MAX_TRIALS)]
    settings: dict[Name, Name]
    state: TrialState = "running"
    steps: tuple[Score, ...] = ()
    value: Score | None = None
    seconds: Seconds = 0.0
    begun_at: Time
    ended_at: Time | None = None
    reason: Text = ""


@dataclass(frozen=True)
class StudyPaths:
    """The files of one study; status, lock, command and log are named as those of a run."""

    root: Path

    @property
    def run(self) -> RunPaths:
        """The files that a study has in common with a run."""
        return RunPaths(self.root)

    @property
    def state_dir(self) -> Path:
        """The state folder, which holds the runs."""
        return self.root.parent.parent

    @property
    def study(self) -> Path:
        """The definition."""
        return self.root / "study.json"

    @property
    def journal(self) -> Path:
        """The history for Optuna's own tools; a view."""
        return self.root / "optuna_journal.log"

    @property
    def trials(self) -> Path:
        """The folder of the trials' records."""
        return self.root / "trials"

    def trial(self, number: int) -> Path:
        """The record of one trial."""
        return self.trials / f"{number:04d}.json"


def study_root(state_dir: Path, name: str) -> Path:
    """Return the folder of a study of this name."""
    return state_dir / STUDIES / check_run_name(name)


def is_study(root: Path) -> bool:
    """Return whether a folder is a study's."""
    return root.parent.name == STUDIES and StudyPaths(root).study.exists()


def list_studies(state_dir: Path) -> list[Path]:
    """Return the folders of all studies, by name."""
    return sorted(root for root in (state_dir / STUDIES).glob("*") if is_study(root))


def study_of_run(state_dir: Path, name: str) -> Path | None:
    """Return the folder of the study that a run belongs to, or None."""
    for root in list_studies(state_dir):
        if not name.startswith(f"{root.name}-"):
            continue
        number = name.removeprefix(f"{root.name}-").partition("-")[0]
        study = read_study(root)
        if study is not None and number.isdecimal() and name in run_names(study, int(number)):
            return root
    return None


def run_name(study: StudyFile, number: int, seed: int) -> str:
    """Return the name of the run of a trial and a seed."""
    suffix = f"-s{seed}" if len(study.seeds) > 1 else ""
    return f"{study.name}-{number}{suffix}"


def run_names(study: StudyFile, number: int) -> list[str]:
    """Return the names of a trial's runs, in the order of the seeds."""
    return [run_name(study, number, seed) for seed in study.seeds]


def read_study(root: Path) -> StudyFile | None:
    """Return the definition, or None where there is none.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return read_record(StudyPaths(root).study, StudyFile)
    except FileNotFoundError:
        return None


def read_trials(root: Path) -> list[TrialRecord]:
    """Return the records of all trials that have begun, without a gap.

    Raises:
        StoreError: One is damaged or missing: the trials after it depend on it.
    """
    paths = sorted(StudyPaths(root).trials.glob("[0-9]*.json"))
    found = [read_record(path, TrialRecord) for path in paths]
    check_numbers(found, root, read_study(root))
    return found


def check_numbers(trials: Sequence[TrialRecord], root: Path, study: StudyFile | None) -> None:
    """Demand that no trial is missing between others, and of a search that only the last one runs.

    Raises:
        StoreError: It names the first record that is not as expected.
    """
    for number, trial in enumerate(trials):
        path = StudyPaths(root).trial(number)
        if trial.number != number:
            raise StoreError(
                f"{path}: missing, but that of trial {trial.number} exists. Restore it from a "
                f"copy, or start another study"
            )
        is_search = study is not None and study.search
        if is_search and trial.state == "running" and number < len(trials) - 1:
            raise StoreError(
                f"{path}: expected a trial that is over, since trial {number + 1} exists; got one "
                f"that is running. Restore it from a copy, or start another study"
            )


def runs_ended_early(root: Path) -> dict[str, TrialState]:
    """Return the state, pruned or failed, of each run of a trial that ended early, by its name.

    Raises:
        StoreError: A record is damaged.
    """
    study = read_study(root)
    if study is None:
        return {}
    early = [trial for trial in read_trials(root) if trial.state in ("pruned", "failed")]
    return {name: trial.state for trial in early for name in run_names(study, trial.number)}


def write_trial(root: Path, trial: TrialRecord) -> None:
    """Write the record of a trial, durably."""
    write_atomic(StudyPaths(root).trial(trial.number), dump_record(trial))


def write_study(root: Path, study: StudyFile) -> None:
    """Write the definition, durably."""
    write_atomic(StudyPaths(root).study, dump_record(study))


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial with the highest value, the first of equal ones."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return max(complete, key=lambda trial: trial.value or 0.0, default=None)


def demand_free(study: StudyFile, state_dir: Path, number: int) -> None:
    """Refuse to begin a trial where a run of another origin has the name of one of its runs.

    Raises:
        RefusedError: It names the run.
    """
    for name in run_names(study, number):
        if RunPaths(state_dir / name).has_config:
            raise RefusedError(
                f"study {study.name}: a run {name} exists already and is not one of its trials. "
                f"Rename it, or start the study under another name"
            )
