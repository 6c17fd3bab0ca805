"""The coordinator of folds that are fitted by several workers at once.

In: an engine, the folds that are left. Out: folds done, in any order; status and history of the
run, made of what the workers report. Workers write the files of their own folds; everything else is
written by the coordinator's process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.estimate import StepsLeft, StepTimer
from trainer.run.fold_job import FoldJob, FoldKey
from trainer.run.stop_signal import StopSignal
from trainer.run.workers.engine import Engine, EngineError
from trainer.run.workers.shared_arrays import SharedArrays
from trainer.run.workers.worker import JobOutcome, fit_fold_job
from trainer.run.workers.worker_files import (
    WorkerReader,
    collect_lines,
    remove_temporary_files_of,
    request_stop,
)
from trainer.store.durable import StoreError
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord, read_record

LOOK_S = 0.2  # between two looks at the workers
MAX_LOSSES = 3  # of one fold without progress; before the last it is fitted alone
TAKEN_WAIT_S = 1.0  # until a fold is tried again that another process still holds
TAKEN_MAX_S = 180.0  # longer than a lease that is not renewed


@dataclass
class _RunningFold:
    """A fold that a worker is fitting.

    Attributes:
        reader: Reads what the worker reports.
        timer: Measures its seconds per step.
        begun_at: Generation of the fold's record when the worker got it.
        generation: The newest that was seen.
        is_timed: Whether its first step was seen.
    """

    reader: WorkerReader
    timer: StepTimer
    begun_at: int
    generation: int
    is_timed: bool = False


@dataclass
class Coordinator:
    """Fits the folds that are left, several at once.

    Attributes:
        paths: The run's files.
        recorder: Status, history, log.
        stop: Whether to pause.
        engine: The workers.
        shared: The training data, for the workers.
        waiting: The folds that are left, in the order of work.
        make_job: Returns the job of a fold.
        on_commit: Called with the record of a fold that has changed.
        on_done: Called with a fold that is done.
        steps_left: Returns model and steps left of a fold that is not being fitted.
        max_folds: How many folds may be begun, or None.
        timer: Seconds per step, of all workers.
    """

    paths: RunPaths
    recorder: Recorder
    stop: StopSignal
    engine: Engine
    shared: SharedArrays
    waiting: list[FoldKey]
    make_job: Callable[[FoldKey], FoldJob]
    on_commit: Callable[[FoldRecord], None]
    on_done: Callable[[FoldKey], None]
    steps_left: Callable[[FoldKey], StepsLeft]
    max_folds: int | None
    timer: StepTimer
    _running: dict[FoldKey, _RunningFold] = field(default_factory=dict)
    _losses: dict[FoldKey, int] = field(default_factory=dict)
    _taken_since: dict[FoldKey, float] = field(default_factory=dict)
    _not_before: dict[FoldKey, float] = field(default_factory=dict)
    _begun: set[FoldKey] = field(default_factory=set)
    _error: Exception | None = None
    _is_stopping: bool = False

    def run(self) -> None:
        """Fit them all.

        Raises:
            Paused: A stop was requested; the newest checkpoints are saved.
            Exception: The error that ended a fold; the others were stopped and saved first.
        """
        try:
            while self._running or self._may_begin():
                self._begin_more()
                for fold, outcome in self.engine.ended(LOOK_S):
                    self._take_back(fold, outcome)
                for running in self._running.values():
                    self._listen(running)
                self._show()
                self._stop_if_requested()
        finally:
            self.engine.close()
        collect_lines(self.paths)  # of late workers of an earlier start, too
        if self._error is not None:
            raise self._error
        if self.waiting:
            if not self.stop.is_set_between_folds():
                num = len(self._begun)
                self.stop.reason = f"after {num} fold{'s' * (num != 1)}, as requested"
            raise Paused

    def _seconds_left(self) -> float | None:
        """Return how long the folds that are left will take with the present workers."""
        work = [
            (fold[0], max(1, status.total_steps - status.step))
            if (status := running.reader.status) is not None and status.total_steps
            else self.steps_left(fold)
            for fold, running in self._running.items()
        ]
        work += map(self.steps_left, self.waiting)
        return self.timer.seconds_left(work, self.engine.num_workers())

    def _may_begin(self) -> bool:
        """Return whether a fold may still be begun in this start of the trainer."""
        is_over = self._is_stopping or self.stop.stops_after_fold
        return not is_over and any(self._is_allowed(fold) for fold in self.waiting)

    def _is_allowed(self, fold: FoldKey) -> bool:
        return self.max_folds is None or fold in self._begun or len(self._begun) < self.max_folds

    def _begin_more(self) -> None:
        while self._may_begin() and self._is_room():
            fold = self._next()
            if fold is None:
                return
            self.waiting.remove(fold)
            attempt = self.recorder.attempt
            reader = WorkerReader(self._fold_paths(fold), attempt)
            timer = replace(self.timer)  # the same measurements
            generation = self._generation(fold)
            self._running[fold] = _RunningFold(reader, timer, generation, generation)
            self._begun.add(fold)
            self.engine.begin(fold, fit_fold_job, self.make_job(fold), self.shared)

    def _is_room(self) -> bool:
        """Return whether another fold may begin: one that lost two workers is fitted alone."""
        is_alone = any(losses >= MAX_LOSSES - 1 for losses in self._losses.values())
        return not (is_alone and self._running)

    def _next(self) -> FoldKey | None:
        now = time.monotonic()
        for fold in self.waiting:
            is_due = self._is_allowed(fold) and self._not_before.get(fold, 0.0) <= now
            if is_due and self.engine.is_free_for(fold):
                return fold
        return None

    def _stop_if_requested(self) -> None:
        is_requested = self.stop.is_set() or self._error is not None
        if is_requested and not self._is_stopping:
            self._is_stopping = True
            request_stop(self.paths, self.recorder.attempt)

    def _take_back(self, fold: FoldKey, outcome: JobOutcome) -> None:
        running = self._running.pop(fold)
        self._listen(running)
        if outcome.kind != "failed":
            running.reader.remove_files()
        if outcome.kind == "done":
            self._losses.pop(fold, None)
            self.on_done(fold)
            return
        self.waiting.insert(0, fold)
        if outcome.kind == "lost":
            remove_temporary_files_of(running.reader.paths)
            self._note_loss(fold, running, outcome.text)
        elif outcome.kind == "taken":
            self._note_taken(fold, outcome.text)
        elif outcome.kind == "failed":
            self._note_failure(outcome)
        elif not self._is_stopping and not self.stop.is_set():
            self.recorder.log(f"{_name(fold)}: its worker was terminated; another continues")

    def _note_loss(self, fold: FoldKey, running: _RunningFold, how: str) -> None:
        """Report that a worker is gone; end the run after too many losses without progress."""
        has_progressed = self._generation(fold) > running.begun_at
        losses = self._losses[fold] = 1 if has_progressed else self._losses.get(fold, 0) + 1
        status = running.reader.status
        who = "its worker" if status is None else f"its worker (pid {status.pid} on {status.host})"
        was = f"was ended by {how}" if how else "is gone"
        likely = ""
        if "SIGKILL" in how:
            likely = "; the system does that when memory runs out"
        text = f"{_name(fold)}: {who} {was}{likely}"
        if losses < MAX_LOSSES:
            self.recorder.problem(f"{text}. Another worker continues from the last checkpoint")
        elif self._error is None:
            self._error = EngineError(
                f"{text}. {MAX_LOSSES} workers were lost there without progress, the last of them "
                f"alone. Make room (a smaller run, or more memory), then resume"
            )

    def _note_taken(self, fold: FoldKey, text: str) -> None:
        """Wait until a worker of an earlier start releases a fold."""
        now = time.monotonic()
        since = self._taken_since.setdefault(fold, now)
        self._not_before[fold] = now + TAKEN_WAIT_S
        if now - since > TAKEN_MAX_S and self._error is None:
            self._error = StoreError(f"{text}. It is not this run's: end it, then resume")

    def _note_failure(self, outcome: JobOutcome) -> None:
        if self._error is None and outcome.error is not None:
            self._error = outcome.error
            self._error.add_note(f"in a worker:\n{outcome.text}")

    def _fold_paths(self, fold: FoldKey) -> FoldPaths:
        return self.paths.fold(registry.get(fold[0]), fold[1])

    def _generation(self, fold: FoldKey) -> int:
        try:
            return read_record(self._fold_paths(fold).record, FoldRecord).generation
        except (FileNotFoundError, StoreError):
            return 0

    def _listen(self, running: _RunningFold) -> None:
        """Read what a worker has reported since the last look."""
        reader = running.reader
        has_moved = reader.read_status()
        for line, log in reader.new_lines():
            if line is None:
                self.recorder.log(log)
            else:
                self.recorder.relay(line)
        status = reader.status
        if status is None:
            return
        self.stop.limit.note_step(status.longest_step_s)
        self.stop.limit.note_save(status.longest_save_s)
        if has_moved:
            if not running.is_timed and status.total_steps:
                running.timer.begin(status.model, status.step)
                running.is_timed = True
            running.timer.note(status.step, status.total_steps)
            self.recorder.update(
                stage=status.model,
                model=status.model,
                fold=status.fold,
                step_name=status.step_name,
                step=status.step,
                total_steps=status.total_steps,
            )
        record = self._changed_record(running)
        if record is not None:
            self.on_commit(record)

    def _changed_record(self, running: _RunningFold) -> FoldRecord | None:
        """Return a fold's record where the worker has committed since the last look."""
        try:
            record = read_record(running.reader.paths.record, FoldRecord)
        except (FileNotFoundError, StoreError):
            return None
        if record.generation <= running.generation:
            return None
        running.generation = record.generation
        return record

    def _show(self) -> None:
        """Show in the run's status which worker does what."""
        workers = tuple(
            running.reader.status
            for running in self._running.values()
            if running.reader.status is not None
        )
        self.recorder.update(
            progress_at=self.recorder.status.progress_at,  # showing is no progress
            workers=workers,
            eta_s=self._seconds_left(),
            message=" and ".join(_name((status.model, status.fold)) for status in workers),
            pause_costs_s=sum(status.pause_costs_s for status in workers),
            kill_costs_s=sum(status.kill_costs_s for status in workers),
        )


def _name(fold: FoldKey) -> str:
    return f"{fold[0]} fold {fold[1]}"
