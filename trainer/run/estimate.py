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
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.models import registry
from trainer.models.base import DataSize
from trainer.store.records import FoldRecord, RunFile

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

    Attributes:
        seconds_per_step: What was measured, per model, newest last.
    """

    seconds_per_step: dict[str, list[float]] = field(default_factory=dict)
    _model: str | None = None
    _step: int = 0
    _since: float = 0.0

    def begin(self, model: str, step: int) -> None:
        """Start to time a fold of a model at a step."""
        self._model, self._step, self._since = model, step, time.monotonic()

    def note(self, step: int) -> None:
        """Record that the fold has reached a step."""
        if self._model is None or step <= self._step:
            return
        now = time.monotonic()
        per_step = (now - self._since) / (step - self._step)
        self.seconds_per_step.setdefault(self._model, []).append(per_step)
        self._step, self._since = step, now

    def seconds_left(self, work: Sequence[tuple[str, int]], num_workers: int = 1) -> float | None:
        """Return the seconds that (model, steps) pairs will take, or None where one is unknown.

        Args:
            work: In the order in which it is done.
            num_workers: Workers; each takes the next fold as soon as it is free.
        """
        free_at = [0.0] * num_workers
        for model, steps in work:
            if steps == 0:
                continue
            known = self.seconds_per_step.get(model)
            if not known:
                return None
            first = free_at.index(min(free_at))
            free_at[first] += steps * statistics.median(known[-200:])
        return max(free_at)
