"""One unit of work: a fold of a model, from wherever it is to done.

In: the unit's files and a way to fit it. Out: a ``FoldBlock``, committed as one file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from trainer.models import registry
from trainer.models.base import Checkpoint, FoldResult, Model
from trainer.models.monitor import Monitor
from trainer.run.eta import Speedometer
from trainer.run.fold_result_file import FoldBlock, decode, dump_block, encode, load_block
from trainer.run.stop_signal import TimeLimit
from trainer.store.codec import CodecError
from trainer.store.fold_files import FoldFiles
from trainer.store.locks import acquire
from trainer.store.names import FoldPaths
from trainer.store.recorder import EventRecorder
from trainer.store.records import FoldRecord, ModelState, ScoreRow


class Stopping(Protocol):
    """Who knows whether a unit is to stop: the run's switch, or a worker's."""

    @property
    def limit(self) -> TimeLimit | None:
        """What learns how long a step and a save take."""

    def is_set(self) -> bool:
        """Return whether to stop at this safe point; cheap."""


@dataclass(frozen=True)
class UnitWork:
    """What there is to do for one fold of one model.

    Attributes:
        model: The model.
        paths: Its files.
        fit: Fits the fold from a checkpoint or from the start; raises ``Paused``.
        score: Scores the validation block.
        save_interval_s: Between two saves inside an epoch.
        key: Of what the run is made from; files of another key are not its own.
    """

    model: Model
    paths: FoldPaths
    fit: Callable[[Monitor, Checkpoint | None], FoldResult]
    score: Callable[[FoldResult], ScoreRow]
    save_interval_s: float
    key: str


@dataclass
class FoldMonitor:
    """Turns what a fold reports into files, status and history."""

    model: Model
    store: FoldFiles
    recorder: EventRecorder
    switch: Stopping
    speed: Speedometer
    on_commit: Callable[[FoldFiles], None]
    save_interval_s: float
    key: str
    progress: FoldRecord
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)
    _stepped: float = field(default_factory=time.monotonic)

    def should_stop(self) -> bool:
        """Return whether somebody asked to pause."""
        return self.switch.is_set()

    def advance(self, step: int, total: int) -> None:
        """Show the step; the heartbeat writes it."""
        self.speed.note(step)
        self.progress = self.progress.model_copy(update={"step": step, "total_steps": total})
        now = time.monotonic()
        unsaved_s = now - self._saved
        if self.switch.limit is not None:
            self.switch.limit.note_step(now - self._stepped)
        self._stepped = now
        self.recorder.update(
            step=step,
            total_steps=total,
            pause_costs_s=0.0 if self.model.saves_on_pause else unsaved_s,
            kill_costs_s=unsaved_s,
        )

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Append a point of the fold's curves."""
        step = values.get("step", values.get("epoch", self.progress.step))
        unit = self.store.paths
        self.recorder.event(event, unit.model, unit.fold, {**values, "step": step})

    def is_save_due(self) -> bool:
        """Return whether the save interval is over; saving changes no number."""
        return time.monotonic() - self._saved >= self.save_interval_s

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep the point to resume from."""
        began = time.monotonic()
        self.store.commit_last(
            encode(self.model, {"key": self.key, "state": checkpoint}), self.timed()
        )
        self._saved = time.monotonic()
        if self.switch.limit is not None:
            self.switch.limit.note_save(self._saved - began)
        self.recorder.update(pause_costs_s=0.0, kill_costs_s=0.0)
        self.on_commit(self.store)

    def timed(self) -> FoldRecord:
        """Return the progress with the seconds worked so far."""
        now = time.monotonic()
        seconds = self.progress.seconds + now - self._since
        self._since = now
        self.progress = self.progress.model_copy(update={"seconds": round(seconds, 3)})
        return self.progress


def finished_block(
    paths: FoldPaths, attempt: int, state: ModelState | None, key: str
) -> tuple[FoldFiles, FoldResult | None]:
    """Open a unit and return its finished fold, None where it is not done or damaged.

    Args:
        paths: The unit's files.
        attempt: Of the trainer that holds the run.
        state: The model's state file, where it can be read.
        key: Of what the run is made from.
    """
    store = FoldFiles.open(paths, attempt, state)
    data = store.load_final()
    if data is None:
        return store, None
    try:
        block = load_block(registry.get(paths.model), data)
    except CodecError as error:
        store.problems.append(f"{paths.final}: {error}; the fold is redone")
        return store, None
    if (block.model, block.fold, block.key) != (paths.model, paths.fold, key):
        store.problems.append(
            f"{paths.final}: holds {block.model} fold {block.fold} of "
            f"{'this run' if block.key == key else 'another run'}; the fold is redone"
        )
        return store, None
    return store, block.result


def do_unit(
    work: UnitWork,
    store: FoldFiles,
    recorder: EventRecorder,
    switch: Stopping,
    speed: Speedometer,
    on_commit: Callable[[FoldFiles], None],
) -> FoldResult:
    """Fit a fold from its newest checkpoint and commit it.

    Raises:
        Paused: Somebody asked to stop; what was done is saved.
    """
    paths = work.paths
    checkpoint = _newest_checkpoint(work.model, store, work.key)
    progress = _beginning(work.model, store.record, checkpoint)
    monitor = FoldMonitor(
        *(work.model, store, recorder, switch, speed, on_commit),
        *(work.save_interval_s, work.key, progress),
    )
    _announce(recorder, paths, progress, checkpoint is not None)
    speed.begin(paths.model, progress.step)
    lock = acquire(paths.lock, settle_s=0.0)  # whoever works on it holds the run
    try:
        result = work.fit(monitor, checkpoint)
        score = work.score(result)
        done = monitor.timed().model_copy(update={"score": score, "best_step": result.best_step})
        block = FoldBlock(paths.model, paths.fold, work.key, result)
        store.commit_final(dump_block(work.model, block), done)
    finally:
        lock.release()
    on_commit(store)
    recorder.event(
        "fold", paths.model, paths.fold, {"score": score.score, "seconds": store.record.seconds}
    )
    recorder.log(
        f"{paths.model} fold {paths.fold} done: score {score.score:.4f}, best at "
        f"{result.best_step}, {store.record.seconds:.0f} s"
    )
    return result


def _newest_checkpoint(model: Model, store: FoldFiles, key: str) -> Checkpoint | None:
    data = store.load_last()
    if data is None:
        return None
    try:
        saved: Checkpoint = decode(model, data)
    except CodecError as error:
        store.problems.append(f"{store.paths.last}: {error}; the fold starts over")
        return None
    if saved.get("key") != key:
        store.problems.append(f"{store.paths.last}: of another run; the fold starts over")
        return None
    checkpoint: Checkpoint = saved["state"]
    return checkpoint


def _beginning(model: Model, record: FoldRecord, checkpoint: Checkpoint | None) -> FoldRecord:
    """Return the record to go on from: of an earlier generation, its step is an earlier one."""
    if checkpoint is None:
        return FoldRecord(model=record.model, fold=record.fold)
    step = model.steps_done(checkpoint)
    return record.model_copy(
        update={"done": False, "step": step, "resumed_at": (*record.resumed_at, step)}
    )


def _announce(
    recorder: EventRecorder, paths: FoldPaths, progress: FoldRecord, is_resumed: bool
) -> None:
    recorder.update(
        stage=paths.model,
        model=paths.model,
        fold=paths.fold,
        step=progress.step,
        total_steps=progress.total_steps,
        step_name=registry.get(paths.model).step_name,
        message=f"{paths.model} fold {paths.fold}",
    )
    if is_resumed:
        recorder.event("resume", paths.model, paths.fold, {"step": progress.step})
        recorder.log(f"{paths.model} fold {paths.fold} resumes at step {progress.step}")
    else:
        recorder.log(f"{paths.model} fold {paths.fold} begins")
    recorder.beat()  # a kill in the next moment is told with this fold's name
