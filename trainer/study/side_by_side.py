"""Runs side by side: each worker of a Dask cluster trains a whole run of a study at a time.

In: the runs that are left, an engine. Out: run folders, finished or further on. A run's folds are
fitted one after the other in its worker, as they would be here, so its bits are the same; only
studies of seeds and grids are trained like this: the values of a search depend on earlier trials.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.config import Config
from trainer.own_code.code_files import CodeFile
from trainer.run import RefusedError
from trainer.run.control import is_in_use
from trainer.run.execution import KNOWN_ERRORS, execute, last_status
from trainer.run.inputs.folds_file import FoldsFile
from trainer.run.pipeline import Limits
from trainer.run.stop_signal import StopSignal
from trainer.run.workers.coordinator import MAX_LOSSES, TAKEN_MAX_S, TAKEN_WAIT_S
from trainer.run.workers.engine import Engine, EngineError
from trainer.run.workers.worker import CoordinatorSource, JobOutcome, run_job
from trainer.run.workers.worker_files import clear, request_stop
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder

LOOK_S = 0.5  # between two looks at the runs


@dataclass(frozen=True)
class RunJob:
    """One run of a study, for a worker.

    Attributes:
        root: The run's folder.
        config: Its configuration.
        code: Its own code.
        folds_file: Its folds, where they are those of a file.
        study: The study's folder.
        attempt: Of the study.
        time_limit_s: Seconds until the run pauses by itself, or None.
    """

    root: Path
    config: Config
    code: tuple[CodeFile, ...]
    folds_file: FoldsFile | None
    study: Path
    attempt: int
    time_limit_s: float | None


def train_run(job: RunJob) -> JobOutcome:
    """Train a run from wherever it is, in a worker."""
    source = CoordinatorSource(RunPaths(job.study), job.attempt)
    limits = Limits(time_limit_s=job.time_limit_s, stop_sources=(source,))

    def train() -> JobOutcome:
        try:
            outcome = execute(
                *(job.root, job.config, limits, lambda _: None),
                folds_file=job.folds_file,
                code=job.code,
            )
        except RefusedError as error:
            if is_in_use(RunReader(job.root)):
                return JobOutcome("taken", str(error))
            return JobOutcome("failed", str(error), error)
        except KNOWN_ERRORS as error:
            return JobOutcome("failed", "".join(traceback.format_exception(error)), error)
        return JobOutcome("done" if outcome == "finished" else "paused")

    return run_job(train)


@dataclass
class SideBySide:
    """The runs of one start of a study, numbered from 0 in the order of work.

    Attributes:
        root: The study's folder.
        model: A model of the runs, for the choice of a worker with a GPU.
        waiting: The numbers of the runs that are left.
        make_job: Returns the job of a run that begins.
        on_done: Called with the number of a run that is finished.
        recorder: Status, history and log of the study.
        stop: Whether to pause.
        engine: The workers.
        reason: Why the study pauses, or "".
    """

    root: Path
    model: str
    waiting: list[int]
    make_job: Callable[[int], RunJob]
    on_done: Callable[[int], None]
    recorder: Recorder
    stop: StopSignal
    engine: Engine
    reason: str = ""
    _running: dict[int, RunJob] = field(default_factory=dict)
    _losses: Counter[int] = field(default_factory=Counter)
    _taken_since: dict[int, float] = field(default_factory=dict)
    _not_before: dict[int, float] = field(default_factory=dict)
    _error: Exception | None = None

    def run(self) -> None:
        """Train them all, or until a stop is requested.

        Raises:
            Exception: The error that ended a run; the others have saved and stopped first.
        """
        paths = RunPaths(self.root)
        try:
            while self._running or (self.waiting and not self._is_stopping()):
                self._begin_more()
                for (_, number), outcome in self.engine.ended(LOOK_S):
                    self._take_back(number, outcome)
                self._show()
                if self._is_stopping():
                    request_stop(paths, self.recorder.attempt)
        except BaseException:
            request_stop(paths, self.recorder.attempt)
            raise
        finally:
            self.engine.close()
        clear(paths)
        if self._error is not None:
            raise self._error

    def _is_stopping(self) -> bool:
        if self.stop.is_set():
            self.reason = self.reason or self.stop.reason or ""
        return bool(self.reason) or self._error is not None

    def _begin_more(self) -> None:
        now = time.monotonic()
        for number in [one for one in self.waiting if self._not_before.get(one, 0.0) <= now]:
            if self._is_stopping() or not self.engine.is_free_for((self.model, number)):
                return
            self._running[number] = self.make_job(number)
            self.waiting.remove(number)
            self.engine.begin((self.model, number), train_run, self._running[number])

    def _take_back(self, number: int, outcome: JobOutcome) -> None:
        job = self._running.pop(number)
        if outcome.kind == "done":
            self.on_done(number)
            return
        self.waiting.insert(0, number)
        if outcome.kind == "failed":
            self._error = self._error or outcome.error or EngineError(outcome.text)
        elif outcome.kind == "lost":
            self._note_loss(number, job)
        elif outcome.kind == "taken":
            self._note_taken(number, outcome.text)
        elif not self._is_stopping():  # by a command to the run, or by its own time limit
            status = last_status(job.root)
            self.reason = f"run {job.root.name}: {status.message if status else 'paused'}"

    def _note_loss(self, number: int, job: RunJob) -> None:
        self._losses[number] += 1
        text = f"run {job.root.name}: its worker is gone"
        if self._losses[number] < MAX_LOSSES:
            self.recorder.problem(f"{text}. Another worker continues from the last checkpoint")
        elif self._error is None:
            self._error = EngineError(
                f"{text}; {MAX_LOSSES} workers were lost there. Make room (smaller runs, or more "
                f"memory), then continue"
            )

    def _note_taken(self, number: int, text: str) -> None:
        """Wait until a worker of an earlier start releases the run."""
        now = time.monotonic()
        self._not_before[number] = now + TAKEN_WAIT_S
        if now - self._taken_since.setdefault(number, now) > TAKEN_MAX_S and self._error is None:
            self._error = RefusedError(text)

    def _show(self) -> None:
        """Show in the study's status what is trained now."""
        statuses = [last_status(job.root) for job in self._running.values()]
        known = [status for status in statuses if status is not None]
        self.recorder.update(
            message=", ".join(f"{status.run}: {status.message}" for status in known),
            progress_at=max([status.progress_at for status in known], default=time.time()),
        )
