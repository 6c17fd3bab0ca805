"""A fold job: one fold of one model, from wherever it is to done.

In: a ``FoldJob``, training data, the fold's files. Out: a ``FoldResult``, committed as one file.
The same code runs in the coordinator's process and in workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.config import Config
from trainer.models import registry
from trainer.models.base import Checkpoint, FoldResult, Model
from trainer.own_code.code_files import CodeFile
from trainer.plain_data import DamagedDataError, part, reading
from trainer.run.estimate import StepTimer
from trainer.run.fold_result_file import (
    FoldBlock,
    decode,
    dump_block,
    encode,
    load_block,
    score_row,
)
from trainer.run.inputs.dataset import TrainingData
from trainer.run.machine import enough_memory
from trainer.run.stop_signal import StopSignal
from trainer.store.fold_files import FoldFiles
from trainer.store.locks import acquire
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.recorder import EventRecorder
from trainer.store.records import FoldRecord, ModelState, ScoreRow

FoldKey = tuple[str, int]  # model and fold


@dataclass(frozen=True)
class FoldJob:
    """One fold of one model; small, so that it can be sent to a worker.

    Attributes:
        root: The run folder.
        model: The model's name.
        fold: From 0.
        attempt: Of the trainer that holds the run.
        key: Of what the run is made from; files of another key belong to another run.
        config: The run's configuration.
        code: Own code of the run, approved by the coordinator.
    """

    root: Path
    model: str
    fold: int
    attempt: int
    key: str
    config: Config
    code: tuple[CodeFile, ...] = ()

    @property
    def fold_key(self) -> FoldKey:
        """Return model and fold."""
        return self.model, self.fold

    @property
    def paths(self) -> FoldPaths:
        """Return the fold's files."""
        return RunPaths(self.root).fold(registry.get(self.model), self.fold)


def open_fold(job: FoldJob, state: ModelState | None) -> tuple[FoldFiles, FoldResult | None]:
    """Open a fold's files, and return its result; None where it is not done or damaged.

    Args:
        job: The fold.
        state: The model's state file, where it can be read.
    """
    paths = job.paths
    files = FoldFiles.open(paths, job.attempt, state)
    data = files.load_final()
    if data is None:
        return files, None
    model = registry.get(job.model)
    try:
        block = load_block(model, data)
        registry.open_packed(model, block.result.packed)
    except DamagedDataError as error:
        files.problems.append(f"{paths.final}: {error}; the fold is redone")
        return files, None
    if (block.model, block.fold, block.key) != (job.model, job.fold, job.key):
        files.problems.append(
            f"{paths.final}: holds {block.model} fold {block.fold} of "
            f"{'this run' if block.key == job.key else 'another run'}; the fold is redone"
        )
        return files, None
    return files, block.result


def run_fold(
    job: FoldJob,
    data: TrainingData,
    files: FoldFiles,
    recorder: EventRecorder,
    stop: StopSignal,
    timer: StepTimer,
    on_commit: Callable[[FoldFiles], None],
) -> FoldResult:
    """Fit a fold from its newest checkpoint and commit it.

    Args:
        job: The fold.
        data: What it is fitted on.
        files: Its files, opened by ``open_fold``.
        recorder: Receives status, history and log.
        stop: Whether to pause.
        timer: Measures seconds per step.
        on_commit: Called after every commit of the files.

    Raises:
        Paused: A stop was requested; the newest checkpoint is saved.
        ModelError: There is too little memory.
    """
    model = registry.get(job.model)
    checkpoint = _newest_checkpoint(model, files, job.key)

    def fit(checkpoint: Checkpoint | None) -> tuple[FoldResult, ScoreRow]:
        progress = _first_record(model, files.record, checkpoint)
        monitor = FoldMonitor(model, job, files, recorder, stop, timer, on_commit, progress)
        _announce(model, job, recorder, progress, checkpoint is not None)
        timer.begin(job.model, progress.step)
        with enough_memory(model, f"fold {job.fold}"):
            result = model.fit(task, job.config, job.config.seed, job.fold, monitor, checkpoint)
        score = score_row(task.label_idx[task.valid_idx], result.proba_NK, task.num_targets)
        done = monitor.timed().model_copy(update={"score": score, "best_step": result.best_step})
        block = FoldBlock(job.model, job.fold, job.key, result)
        files.commit_final(dump_block(model, block), done)
        return result, score

    lock = acquire(job.paths.lock, settle_s=0.0)  # this process, or its coordinator, holds the run
    try:
        task = data.task(model, job.fold)
        try:
            result, score = fit(checkpoint)
        except DamagedDataError as error:
            if checkpoint is None:
                raise
            recorder.log(f"{files.paths.last}: {error}; the fold starts over")
            result, score = fit(None)
    finally:
        lock.release()
    on_commit(files)
    values = {"score": score.score, "seconds": files.record.seconds}
    recorder.event("fold", job.model, job.fold, values)
    recorder.log(
        f"{job.model} fold {job.fold} done: score {score.score:.4f}, best {model.step_title} "
        f"{result.best_step}, {files.record.seconds:.0f} s"
    )
    return result


@dataclass
class FoldMonitor:
    """Writes what a fold reports to files, status and history; see ``trainer.models.monitor``."""

    model: Model
    job: FoldJob
    files: FoldFiles
    recorder: EventRecorder
    stop: StopSignal
    timer: StepTimer
    on_commit: Callable[[FoldFiles], None]
    progress: FoldRecord
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)
    _stepped: float = field(default_factory=time.monotonic)

    def should_stop(self) -> bool:
        """Return whether to stop at this safe point."""
        return self.stop.is_set()

    def advance(self, step: int, total: int) -> None:
        """Show the step; the heartbeat writes it."""
        self.timer.note(step, total)
        self.progress = self.progress.model_copy(update={"step": step, "total_steps": total})
        now = time.monotonic()
        unsaved_s = now - self._saved
        self.stop.limit.note_step(now - self._stepped)
        self._stepped = now
        self.recorder.update(
            step=step,
            total_steps=total,
            eta_s=self.timer.seconds_left([(self.job.model, total - step), *self.timer.later]),
            pause_costs_s=0.0 if self.model.saves_on_pause else unsaved_s,
            kill_costs_s=unsaved_s,
        )

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Append a point of the fold's curves to the history."""
        step = values.get("step", values.get("epoch", self.progress.step))
        self.recorder.event(event, self.job.model, self.job.fold, {**values, "step": step})

    def is_save_due(self) -> bool:
        """Return whether the save interval is over; saving changes no number."""
        return time.monotonic() - self._saved >= self.job.config.network.save_interval_s

    def save(self, checkpoint: Checkpoint) -> None:
        """Commit the point to resume from."""
        began = time.monotonic()
        data = encode(self.model, {"key": self.job.key, "state": checkpoint})
        self.files.commit_last(data, self.timed())
        self._saved = time.monotonic()
        self.stop.limit.note_save(self._saved - began)
        self.recorder.update(pause_costs_s=0.0, kill_costs_s=0.0)
        self.on_commit(self.files)

    def timed(self) -> FoldRecord:
        """Return the progress with the seconds worked so far."""
        now = time.monotonic()
        seconds = self.progress.seconds + now - self._since
        self._since = now
        self.progress = self.progress.model_copy(update={"seconds": round(seconds, 3)})
        return self.progress


def _newest_checkpoint(model: Model, files: FoldFiles, key: str) -> Checkpoint | None:
    data = files.load_last()
    if data is None:
        return None
    try:
        saved = decode(model, data)
        with reading("checkpoint"):
            checkpoint: Checkpoint = part(saved, "state", dict)
            is_of_run = part(saved, "key", str) == key
            model.steps_done(checkpoint)
    except DamagedDataError as error:
        files.problems.append(f"{files.paths.last}: {error}; the fold starts over")
        return None
    if not is_of_run:
        files.problems.append(f"{files.paths.last}: of another run; the fold starts over")
        return None
    return checkpoint


def _first_record(model: Model, record: FoldRecord, checkpoint: Checkpoint | None) -> FoldRecord:
    """Return the record to continue from; an earlier generation has an earlier step."""
    if checkpoint is None:
        return FoldRecord(model=record.model, fold=record.fold)
    step = model.steps_done(checkpoint)
    return record.model_copy(
        update={"done": False, "step": step, "resumed_at": (*record.resumed_at, step)}
    )


def _announce(
    model: Model,
    job: FoldJob,
    recorder: EventRecorder,
    progress: FoldRecord,
    is_resumed: bool,
) -> None:
    """Report that the fold begins; written at once, so that a kill is attributed to it."""
    recorder.update(
        stage=job.model,
        model=job.model,
        fold=job.fold,
        step_name=model.step_name,
        step=progress.step,
        total_steps=progress.total_steps,
        message=f"{job.model} fold {job.fold}",
    )
    if is_resumed:
        recorder.event("resume", job.model, job.fold, {"step": progress.step})
        recorder.log(f"{job.model} fold {job.fold} resumes at {model.step_name} {progress.step}")
    else:
        recorder.log(f"{job.model} fold {job.fold} begins")
    recorder.beat()
