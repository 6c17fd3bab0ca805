"""Side by side: the coordinator of folds that are fitted by several workers at once.

In: an engine, the units that are left, a way to describe each. Out: units done, in whatever order;
status and history of the run as the sum of what the workers say. The workers write the files of
their own units; everything else is written here or by whoever made this coordinator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.eta import Speedometer
from trainer.run.stop_signal import StopSwitch
from trainer.run.workers.engine import Engine, EngineError, Unit
from trainer.run.workers.worker import FoldJob, JobOutcome
from trainer.store.durable import StoreError
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord, read_record
from trainer.store.worker_files import (
    WorkerReader,
    collect_lines,
    remove_temporary_files_of,
    request_stop,
)

LOOK_S = 0.2  # between two looks at the workers
MAX_LOSSES = 3  # of one unit without progress; before the last it is fitted alone
TAKEN_WAIT_S = 1.0  # until a unit is tried again that another process still holds
TAKEN_MAX_S = 180.0  # longer than a lease that nobody renews


@dataclass
class _Running:
    """A unit that a worker is fitting.

    Attributes:
        listener: Hears the worker.
        speed: Times it.
        begun_at: The record's generation when the worker got it.
        generation: The newest that was seen.
        is_timed: Whether its first step was seen.
    """

    listener: WorkerReader
    speed: Speedometer
    begun_at: int
    generation: int
    is_timed: bool = False


@dataclass
class SideBySide:
    """Fits the units that are left, several at once.

    Attributes:
        paths: The run's files.
        recorder: Status, history, log.
        switch: Whether to stop.
        engine: The workers.
        waiting: The units that are left, in the order of work.
        task: Describes a unit to a worker.
        on_commit: Called with a unit whose record has changed.
        on_done: Called with a unit that is done.
        max_units: How many units may be begun, or None.
        speed: Seconds per step, of all workers.
    """

    paths: RunPaths
    recorder: Recorder
    switch: StopSwitch
    engine: Engine
    waiting: list[Unit]
    task: Callable[[Unit], FoldJob]
    on_commit: Callable[[FoldRecord], None]
    on_done: Callable[[Unit], None]
    max_units: int | None
    speed: Speedometer
    _running: dict[Unit, _Running] = field(default_factory=dict)
    _losses: dict[Unit, int] = field(default_factory=dict)
    _taken_since: dict[Unit, float] = field(default_factory=dict)
    _not_before: dict[Unit, float] = field(default_factory=dict)
    _begun: set[Unit] = field(default_factory=set)
    _error: Exception | None = None
    _is_stopping: bool = False

    def run(self) -> None:
        """Fit them all.

        Raises:
            Paused: Somebody asked to stop; what was done is saved.
            Exception: Whatever ended a unit; the others were stopped and saved first.
        """
        try:
            while self._running or self._may_begin():
                self._begin_more()
                for unit, ending in self.engine.ended(LOOK_S):
                    self._take_back(unit, ending)
                for running in self._running.values():
                    self._listen(running)
                self._show()
                self._stop_if_asked()
        finally:
            self.engine.close()
        collect_lines(self.paths)  # what late workers of an earlier start have said, too
        if self._error is not None:
            raise self._error
        if self.waiting:
            if not self.switch.is_set_between_folds():
                self.switch.reason = f"after {len(self._begun)} folds, as told"
            raise Paused

    def seconds_left(self, work_of: Callable[[Unit], tuple[str, int]]) -> float | None:
        """Return how long what is left will take with the workers that are there.

        Args:
            work_of: Model and steps that are left of a unit that is not being fitted.
        """
        work = [
            (unit[0], max(1, said.total_steps - said.step))
            if (said := running.listener.status) is not None and said.total_steps
            else work_of(unit)
            for unit, running in self._running.items()
        ]
        work += [work_of(unit) for unit in self.waiting]
        return self.speed.seconds_left(work, self.engine.num_workers())

    def _may_begin(self) -> bool:
        """Return whether a unit may still be begun in this start of the trainer."""
        is_over = self._is_stopping or self.switch.ends_after_fold
        return not is_over and any(self._is_allowed(unit) for unit in self.waiting)

    def _is_allowed(self, unit: Unit) -> bool:
        return self.max_units is None or unit in self._begun or len(self._begun) < self.max_units

    def _begin_more(self) -> None:
        while self._may_begin() and self._is_room():
            unit = self._next()
            if unit is None:
                return
            self.waiting.remove(unit)
            attempt = self.recorder.attempt
            listener = WorkerReader(self._fold_paths(unit), attempt)
            speed = Speedometer(self.speed.seconds_per_step)
            generation = self._generation(unit)
            self._running[unit] = _Running(listener, speed, generation, generation)
            self._begun.add(unit)
            self.engine.begin(self.task(unit))

    def _is_room(self) -> bool:
        """Return whether another unit may be fitted now: one that lost two workers goes alone."""
        is_alone = any(losses >= MAX_LOSSES - 1 for losses in self._losses.values())
        return not (is_alone and self._running)

    def _next(self) -> Unit | None:
        now = time.monotonic()
        for unit in self.waiting:
            is_due = self._is_allowed(unit) and self._not_before.get(unit, 0.0) <= now
            if is_due and self.engine.is_free_for(unit):
                return unit
        return None

    def _stop_if_asked(self) -> None:
        is_asked = self.switch.is_set() or self._error is not None
        if is_asked and not self._is_stopping:
            self._is_stopping = True
            request_stop(self.paths, self.recorder.attempt)

    def _take_back(self, unit: Unit, ending: JobOutcome) -> None:
        running = self._running.pop(unit)
        self._listen(running)
        if ending.kind != "failed":
            running.listener.remove_files()
        if ending.kind == "done":
            self._losses.pop(unit, None)
            self.on_done(unit)
            return
        self.waiting.insert(0, unit)
        if ending.kind == "lost":
            remove_temporary_files_of(running.listener.paths)
            self._note_loss(unit, running, ending.text)
        elif ending.kind == "taken":
            self._note_taken(unit, ending.text)
        elif ending.kind == "failed":
            self._note_failure(ending)
        elif not self._is_stopping and not self.switch.is_set():
            self.recorder.log(f"{_name(unit)}: its worker was told to end; another goes on with it")

    def _note_loss(self, unit: Unit, running: _Running, how: str) -> None:
        """Tell that a worker is gone, and give up where that leads nowhere."""
        has_progressed = self._generation(unit) > running.begun_at
        losses = self._losses[unit] = 1 if has_progressed else self._losses.get(unit, 0) + 1
        said = running.listener.status
        who = "its worker" if said is None else f"its worker (pid {said.pid} on {said.host})"
        was = f"was ended by {how}" if how else "is gone"
        likely = ""
        if "SIGKILL" in how:
            likely = "; the system does that when memory runs out"
        text = f"{_name(unit)}: {who} {was}{likely}"
        if losses < MAX_LOSSES:
            self._problem(f"{text}. Another worker goes on from the last checkpoint")
        elif self._error is None:
            self._error = EngineError(
                f"{text}. {MAX_LOSSES} workers were lost there without getting further, the last "
                f"of them alone. Make room (a smaller run, or more memory), then resume"
            )

    def _note_taken(self, unit: Unit, text: str) -> None:
        """Wait for a worker of an earlier start to let go of a unit."""
        now = time.monotonic()
        since = self._taken_since.setdefault(unit, now)
        self._not_before[unit] = now + TAKEN_WAIT_S
        if now - since > TAKEN_MAX_S and self._error is None:
            self._error = StoreError(f"{text}. It is not this run's: end it, then resume")

    def _note_failure(self, ending: JobOutcome) -> None:
        if self._error is None and ending.error is not None:
            self._error = ending.error
            self._error.add_note(f"in a worker:\n{ending.text}")

    def _fold_paths(self, unit: Unit) -> FoldPaths:
        return self.paths.fold(registry.get(unit[0]), unit[1])

    def _problem(self, text: str) -> None:
        self.recorder.event("problem", text=text)
        self.recorder.log(f"problem: {text}")

    def _generation(self, unit: Unit) -> int:
        try:
            return read_record(self._fold_paths(unit).record, FoldRecord).generation
        except (FileNotFoundError, StoreError):
            return 0

    def _listen(self, running: _Running) -> None:
        """Take over what a worker has said since the last look."""
        listener = running.listener
        has_moved = listener.read_status()
        for line, log in listener.new_lines():
            if line is None:
                self.recorder.log(log)
            else:
                self.recorder.relay(line)
        said = listener.status
        if said is None:
            return
        if self.switch.limit is not None:
            self.switch.limit.note_step(said.longest_step_s)
            self.switch.limit.note_save(said.longest_save_s)
        if has_moved:
            if not running.is_timed and said.total_steps:
                running.speed.begin(said.model, said.step)
                running.is_timed = True
            running.speed.note(said.step)
            self.recorder.update(
                stage=said.model,
                model=said.model,
                fold=said.fold,
                step=said.step,
                total_steps=said.total_steps,
                step_name=said.step_name,
            )
        record = self._changed_record(running)
        if record is not None:
            self.on_commit(record)

    def _changed_record(self, running: _Running) -> FoldRecord | None:
        """Return a unit's record where the worker has committed since the last look."""
        try:
            record = read_record(running.listener.paths.record, FoldRecord)
        except (FileNotFoundError, StoreError):
            return None
        if record.generation <= running.generation:
            return None
        running.generation = record.generation
        return record

    def _show(self) -> None:
        """Say in the run's status which worker does what."""
        workers = tuple(
            running.listener.status
            for running in self._running.values()
            if running.listener.status is not None
        )
        self.recorder.update(
            progress_at=self.recorder.status.progress_at,  # showing is no progress
            workers=workers,
            message=" and ".join(_name((said.model, said.fold)) for said in workers),
            pause_costs_s=sum(said.pause_costs_s for said in workers),
            kill_costs_s=sum(said.kill_costs_s for said in workers),
        )


def _name(unit: Unit) -> str:
    return f"{unit[0]} fold {unit[1]}"
