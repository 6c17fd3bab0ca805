"""How long a run takes: an estimate before it begins, and the time left while it runs.

In: the configuration, the size of the recordings, folds of earlier runs; steps as they are done.
Out: seconds per model, at most.

The constants of the models were measured on 2 cores of an EPYC (Zen 3), one thread a model;
`watch`, `asl` and simulated recordings of 16 and 81 subjects agree within a third. An earlier run
on the same recordings shows how much faster or slower this machine is.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.models import registry
from trainer.models.base import DataSize
from trainer.store.records import FoldRecord, RunFile

StepsLeft = tuple[str, int | None]  # a model, and the steps of a fold; None where not known yet
NUM_FEATURES_OF = {"acc": 260, "rot": 1490, "thm": 140, "tof": 800}  # about, per sensor group


def seconds_per_fold(config: Config, size: DataSize) -> dict[str, float]:
    """Return about how long one fold of each model takes, without early stopping."""
    chosen = registry.choose_settings(config, size)
    return {model.name: model.estimate_s(chosen, size) for model in registry.select(config.models)}


def pace(config: Config, size: DataSize, folds: Sequence[FoldRecord]) -> dict[str, float]:
    """Return how many times longer than estimated the folds of a run took, per model.

    Args:
        config: Of that run.
        size: Of its recordings.
        folds: Its folds; those that have not begun do not count.

    Returns:
        Only the models that have begun; 1.0 is as estimated.
    """
    estimated = seconds_per_fold(config, size)
    found: dict[str, float] = {}
    for model, seconds in estimated.items():
        begun = [fold for fold in folds if fold.model == model and fold.step and fold.total_steps]
        expected_s = sum(seconds * fold.step / fold.total_steps for fold in begun)
        if expected_s > 0.0:
            found[model] = sum(fold.seconds for fold in begun) / expected_s
    return found


def size_of(run: RunFile) -> DataSize:
    """Return how large the recordings of a run are; the number of features is an estimate."""
    return DataSize(
        num_sequences=run.recordings.num_sequences,
        num_rows=run.recordings.num_rows,
        num_classes=len(run.labels.gestures),
        num_features=guess_num_features(run.recordings.groups),
        has_optional_sensors=has_optional_sensors(run.recordings.groups),
    )


def guess_num_features(groups: Sequence[str]) -> int:
    """Return about how many features these sensor groups give."""
    return sum(NUM_FEATURES_OF[group] for group in groups)


def has_optional_sensors(groups: Sequence[str]) -> bool:
    """Return whether there are thermopiles or time of flight among these sensor groups."""
    return bool({"thm", "tof"} & set(groups))


def format_duration(seconds: float) -> str:
    """Write an estimated duration, no finer than the estimate."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


@dataclass
class StepTimer:
    """Seconds per step of each model, measured while folds are fitted.

    The first steps of one model also correct the estimates of those that have not begun.

    Attributes:
        seconds_per_step: What was measured, per model, newest last.
        num_steps: Steps of a fold, per model that has begun.
        estimated_s: Seconds of a fold of each model, as estimated before the run.
        later: Model and steps of the folds after the present one; None for a whole fold.
    """

    seconds_per_step: dict[str, list[float]] = field(default_factory=dict)
    num_steps: dict[str, int] = field(default_factory=dict)
    estimated_s: Mapping[str, float] = field(default_factory=dict)
    later: Sequence[StepsLeft] = ()
    _model: str | None = None
    _step: int = 0
    _since: float = 0.0

    def begin(self, model: str, step: int) -> None:
        """Start to time a fold of a model at a step."""
        self._model, self._step, self._since = model, step, time.monotonic()

    def note(self, step: int, total: int) -> None:
        """Record that the fold has reached a step of a total."""
        if self._model is None or step <= self._step:
            return
        now = time.monotonic()
        per_step = (now - self._since) / (step - self._step)
        self.seconds_per_step.setdefault(self._model, []).append(per_step)
        self.num_steps[self._model] = total
        self._step, self._since = step, now

    def seconds_left(self, work: Sequence[StepsLeft], num_workers: int = 1) -> float | None:
        """Return the seconds that (model, steps) pairs will take, or None where one is unknown.

        Args:
            work: In the order in which it is done.
            num_workers: Workers; each takes the next fold as soon as it is free.
        """
        free_at = [0.0] * num_workers
        for model, steps in work:
            seconds = self._seconds(model, steps)
            if seconds is None:
                return None
            if seconds > 0.0:
                free_at[free_at.index(min(free_at))] += seconds
        return max(free_at)

    def _seconds(self, model: str, steps: int | None) -> float | None:
        total = self.num_steps.get(model)
        steps = total if steps is None else steps
        measured = self._step_s(model)
        if steps == 0 or (measured is not None and steps is not None):
            return steps * (measured or 0.0)
        pace, estimated_s = self._pace(), self.estimated_s.get(model)
        if pace is None or estimated_s is None:
            return None
        return pace * estimated_s * (1.0 if steps is None or total is None else steps / total)

    def _step_s(self, model: str) -> float | None:
        """Return the usual seconds of a step; the very first ones include the set-up."""
        known = self.seconds_per_step.get(model)
        return statistics.median_low(known[-200:]) if known else None

    def _pace(self) -> float | None:
        """Return how many times longer than estimated the steps of this start take."""
        paces = [
            step_s * self.num_steps[model] / self.estimated_s[model]
            for model in self.num_steps.keys() & self.estimated_s.keys()
            if (step_s := self._step_s(model)) is not None
        ]
        return statistics.fmean(paces) if paces else None
