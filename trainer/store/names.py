"""Names: every path inside a run folder, and what a run may be called.

In: a run folder. Out: paths. All paths inside the folder's files are relative to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

ModelName = Literal["lgbm", "torch"]


class RunNameError(ValueError):
    """A run name that cannot be used."""


def check_run_name(name: str) -> str:
    """Return the name if a run may have it.

    Raises:
        RunNameError: It does not match ``[a-z0-9][a-z0-9._-]{0,63}``.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunNameError(
            f"run name: expected 1 to 64 of a-z 0-9 . _ - starting with a letter or digit; "
            f"got {name!r}. Choose another with --run NAME"
        )
    return name


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
        """The configuration's copy, from which it is read where it is damaged or gone."""
        return self.root / "config.json.prev"

    @property
    def has_config(self) -> bool:
        """Whether the configuration was written: it or its copy is there."""
        return self.config.exists() or self.config_copy.exists()

    @property
    def status(self) -> Path:
        """What the trainer says it is doing."""
        return self.root / "status.json"

    @property
    def command(self) -> Path:
        """What people ask of the trainer."""
        return self.root / "command.json"

    @property
    def notes(self) -> Path:
        """Title and note that people gave the run."""
        return self.root / "notes.json"

    @property
    def lock(self) -> Path:
        """Held by the trainer while it lives."""
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
        """How the finished run came to its end."""
        return self.root / "resume_record.json"

    @property
    def importance(self) -> Path:
        """Feature importance over the folds."""
        return self.root / "feature_importance.csv"

    @property
    def units(self) -> Path:
        """Each unit's own record and lock."""
        return self.root / "units"

    @property
    def at_work(self) -> Path:
        """What workers say while they are at work; empty otherwise."""
        return self.units / "at_work"

    @property
    def stop(self) -> Path:
        """Tells the workers of the attempt that is written in it to stop."""
        return self.at_work / "stop"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.root / "trainer.log"

    def model_state(self, model: str) -> Path:
        """The record of one model's folds."""
        return self.root / f"{model}_state.json"

    def bundle(self, model: str) -> Path:
        """All that prediction needs of one model."""
        return self.root / f"{model}_bundle.pkl"

    def unit(self, model: str, fold: int) -> FoldPaths:
        """The files of one fold of one model."""
        stem = f"fold{fold:02d}"
        if model == "lgbm":
            final, last = f"lgbm_{stem}.pkl", f"lgbm_{stem}_last.pkl"
        else:
            final, last = f"torch_models/{stem}.pt", f"torch_models/{stem}_last.pth"
        return FoldPaths(self.root, model, fold, final, last)


@dataclass(frozen=True)
class FoldPaths:
    """The files of one unit of work: one fold of one model. It writes only these.

    Attributes:
        root: The run folder.
        model: "lgbm" or "torch".
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
        """The unit's own record, which names the checksums of its files."""
        return RunPaths(self.root).units / f"{self._stem}.json"

    @property
    def lock(self) -> Path:
        """Held by whoever works on the unit."""
        return RunPaths(self.root).units / f"{self._stem}.lock"

    @property
    def beat(self) -> Path:
        """What the worker on it says of itself, while it is at work."""
        return RunPaths(self.root).at_work / f"{self._stem}.beat"

    def lines(self, attempt: int) -> Path:
        """The worker's lines of history, until the coordinator has taken them over."""
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
    def _stem(self) -> str:
        return f"{self.model}_fold{self.fold:02d}"
