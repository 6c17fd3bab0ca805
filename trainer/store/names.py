"""Names: every path inside a run folder, and the names that a run may have.

In: a run folder. Out: paths. All paths inside the folder's files are relative to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
STUDIES = "studies"  # the folder of all studies, in the state folder: no run has this name


class RunNameError(ValueError):
    """A run name that cannot be used."""


def check_run_name(name: str) -> str:
    """Return the name if a run may have it; raise otherwise.

    Raises:
        RunNameError: It does not match ``[a-z0-9][a-z0-9._-]{0,63}``, or is the folder of studies.
    """
    if name == STUDIES:
        raise RunNameError(
            f"run name: {name!r} is the folder of all studies. Choose another with --run NAME"
        )
    if not RUN_NAME.fullmatch(name):
        raise RunNameError(
            f"run name: expected 1 to 64 of a-z 0-9 . _ - starting with a letter or digit; "
            f"got {name!r}. Choose another with --run NAME"
        )
    return name


class ModelFiles(Protocol):
    """The file names of a kind of model; ``trainer.models.base.Model`` has them.

    Attributes:
        name: The model's name.
        fold_file: Pattern of a finished fold's file, with ``{fold:02d}``.
        checkpoint_file: Pattern of the file to resume from.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def fold_file(self) -> str: ...  # noqa: D102
    @property
    def checkpoint_file(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class RunPaths:
    """The files of one run."""

    root: Path

    @property
    def config(self) -> Path:
        """The frozen configuration."""
        return self.root / "config.json"

    @property
    def config_copy(self) -> Path:
        """A copy of the configuration, read if the first is damaged or missing."""
        return self.root / "config.json.prev"

    @property
    def has_config(self) -> bool:
        """Whether the configuration or its copy exists."""
        return self.config.exists() or self.config_copy.exists()

    @property
    def status(self) -> Path:
        """State and progress of the trainer."""
        return self.root / "status.json"

    @property
    def command(self) -> Path:
        """The last command to the trainer."""
        return self.root / "command.json"

    @property
    def notes(self) -> Path:
        """Title and note that a user gave the run."""
        return self.root / "notes.json"

    @property
    def lock(self) -> Path:
        """Held by the trainer while it runs."""
        return self.root / "lock"

    @property
    def folds(self) -> Path:
        """Label, subject and fold per sequence."""
        return self.root / "folds.parquet"

    @property
    def features(self) -> Path:
        """The feature cache."""
        return self.root / "train_features.joblib"

    @property
    def metrics(self) -> Path:
        """One line per event."""
        return self.root / "metrics.jsonl"

    @property
    def oof(self) -> Path:
        """Out-of-fold probabilities."""
        return self.root / "oof.parquet"

    @property
    def scores(self) -> Path:
        """Scores of the models and the blend."""
        return self.root / "scores.json"

    @property
    def resume_record(self) -> Path:
        """The attempts of a finished run."""
        return self.root / "resume_record.json"

    @property
    def importance(self) -> Path:
        """Feature importance over the folds."""
        return self.root / "feature_importance.csv"

    @property
    def units(self) -> Path:
        """The folder of the folds' records and locks."""
        return self.root / "units"

    @property
    def at_work(self) -> Path:
        """The folder of the workers' progress; it exists while workers run."""
        return self.units / "at_work"

    @property
    def stop(self) -> Path:
        """Names the attempt whose workers must save and stop."""
        return self.at_work / "stop"

    @property
    def log(self) -> Path:
        """The output of the trainer."""
        return self.root / "trainer.log"

    def interruption_mark(self, attempt: int | str) -> Path:
        """Records that a notification of this attempt's interruption was sent."""
        return self.root / f"interruption_{attempt}.notified"

    def model_state(self, model: str) -> Path:
        """The records of one model's folds."""
        return self.root / f"{model}_state.json"

    def bundle(self, model: str) -> Path:
        """Everything that prediction needs of one model."""
        return self.root / f"{model}_bundle.pkl"

    def fold(self, model: ModelFiles, fold: int) -> FoldPaths:
        """The files of one fold of one model."""
        final, last = model.fold_file.format(fold=fold), model.checkpoint_file.format(fold=fold)
        return FoldPaths(self.root, model.name, fold, final, last)


@dataclass(frozen=True)
class FoldPaths:
    """The files of one fold of one model; a fold job writes only these.

    Attributes:
        root: The run folder.
        model: Name of the model.
        fold: From 0.
        final: Name of the finished fold's file, relative to the run folder.
        last: Name of the file to resume from, relative to the run folder.
    """

    root: Path
    model: str
    fold: int
    final: str
    last: str

    @property
    def record(self) -> Path:
        """The fold's own record, which holds the checksums of its files."""
        return RunPaths(self.root).units / f"{self._stem}.json"

    @property
    def lock(self) -> Path:
        """Held by the process that fits the fold."""
        return RunPaths(self.root).units / f"{self._stem}.lock"

    @property
    def beat(self) -> Path:
        """Progress of the worker that fits the fold, while it runs."""
        return RunPaths(self.root).at_work / f"{self._stem}.beat"

    def lines(self, attempt: int) -> Path:
        """The worker's event lines, until the coordinator has copied them."""
        return RunPaths(self.root).at_work / f"{self._stem}.{attempt}.lines"

    @property
    def final_path(self) -> Path:
        """The finished fold's file."""
        return self.root / self.final

    @property
    def last_path(self) -> Path:
        """The file to resume from."""
        return self.root / self.last

    @property
    def previous_path(self) -> Path:
        """The generation of ``last_path`` before the newest."""
        return self.last_path.with_name(f"{self.last_path.name}.prev")

    @property
    def _stem(self) -> str:
        return f"{self.model}_fold{self.fold:02d}"
