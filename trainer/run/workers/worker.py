"""A worker: fits folds in a process of its own, and writes those folds' files only.

In: a ``FoldJob`` and where its training data is. Out: a ``JobOutcome``; the fold itself is in its
file. The same function runs in a process of this machine and as a Dask task.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import FrameType
from typing import Literal

from trainer.child_process import end_with
from trainer.folds import FoldError
from trainer.models import registry
from trainer.models.libraries import ModelError
from trainer.models.monitor import Paused
from trainer.own_code.code_files import CodeRefusedError
from trainer.own_code.loader import describe_error, load_approved
from trainer.run.estimate import StepTimer
from trainer.run.fold_job import FoldJob, open_fold, run_fold
from trainer.run.inputs.dataset import TrainingData
from trainer.run.machine import pin, reuse_freed_memory
from trainer.run.stop_signal import POLL_S, StopSignal
from trainer.run.workers.shared_arrays import SharedArrays
from trainer.run.workers.worker_files import is_stop_requested
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.locks import LockedError
from trainer.store.names import RunPaths
from trainer.store.recorder import WorkerRecorder
from trainer.store.records import Status, read_record

LOOK_S = 2.0  # between two looks at the coordinator's heartbeat
ORPHANED_S = 60.0  # without a heartbeat of the coordinator, after which a worker saves and stops
PR_SET_PDEATHSIG = 1  # prctl(2): a signal for this process when its parent dies

_was_terminated = threading.Event()  # by a SIGTERM to this worker
_one_at_a_time = threading.Lock()  # torch's threads and switches belong to the whole process


@dataclass(frozen=True)
class JobOutcome:
    """How a worker ended a fold job.

    Attributes:
        kind: "done": the fold's file is written; "paused": the newest checkpoint is saved; "taken":
            another process works on the fold; "failed": with ``error``; "lost": the worker is gone.
        text: What happened, in words.
        error: What ended it.
    """

    kind: Literal["done", "paused", "taken", "failed", "lost"]
    text: str = ""
    error: Exception | None = None


@dataclass
class CoordinatorSource:
    """The coordinator as a source of a worker's stop signal: its request, or its absence.

    Attributes:
        paths: The run's files.
        attempt: Of the trainer that holds the run.
    """

    paths: RunPaths
    attempt: int
    _next_poll: float = 0.0
    _next_look: float = field(default_factory=lambda: time.monotonic() + LOOK_S)
    _beat: float = 0.0
    _beat_seen: float = field(default_factory=time.monotonic)

    def __call__(self) -> str | None:
        """Return why to stop, or None."""
        if _was_terminated.is_set():
            return "signal SIGTERM"
        now = time.monotonic()
        if now < self._next_poll:
            return None
        self._next_poll = now + POLL_S
        if is_stop_requested(self.paths, self.attempt):
            return "requested by the coordinator"
        return "the coordinator is gone" if self._is_orphaned(now) else None

    def _is_orphaned(self, now: float) -> bool:
        """Return whether the coordinator's heartbeat has stopped, or another has taken over."""
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_S
        try:
            status = read_record(self.paths.status, Status)
        except (OSError, StoreError):
            return now - self._beat_seen > ORPHANED_S
        if status.attempt > self.attempt:
            return True
        if status.heartbeat_at != self._beat:
            self._beat, self._beat_seen = status.heartbeat_at, now
        return now - self._beat_seen > ORPHANED_S


def worker_stop_signal(paths: RunPaths, attempt: int) -> StopSignal:
    """Return the stop signal of a worker."""
    return StopSignal(sources=[CoordinatorSource(paths, attempt)])


def prepare_process(parent: int) -> None:
    """Let this process end with the coordinator, and ignore the terminal's Ctrl-C.

    Args:
        parent: The coordinator's pid.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _on_terminate)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    end_with(parent)  # where the system sends no signal when the parent dies


def fit_fold_job(job: FoldJob, shared: SharedArrays) -> JobOutcome:
    """Fit one fold from wherever it is; its file is the result."""
    return run_job(lambda: _fit(job, shared))


def run_job(work: Callable[[], JobOutcome]) -> JobOutcome:
    """Do what a coordinator has sent to this process, after what it does already."""
    with _one_at_a_time:
        try:
            return work()
        except Paused:
            _was_terminated.clear()
            return JobOutcome("paused")
        except LockedError as error:
            return JobOutcome("taken", str(error))
        except Exception as error:  # raised again by the coordinator, where it ends the run
            trace = "".join(traceback.format_exception(error)).rstrip()
            return JobOutcome("failed", trace, _portable(error))


def _fit(job: FoldJob, shared: SharedArrays) -> JobOutcome:
    pin(job.config.exact)
    registry.use_own(load_approved(job.code))
    reuse_freed_memory()
    stop = worker_stop_signal(RunPaths(job.root), job.attempt)
    if stop.is_set():
        return JobOutcome("paused")
    files, result = open_fold(job, None)
    with WorkerRecorder(job.paths, job.attempt) as recorder:

        def report(files: FoldFiles) -> None:
            recorder.problems(files.problems)
            recorder.update(
                longest_step_s=stop.limit.longest_step_s, longest_save_s=stop.limit.longest_save_s
            )

        report(files)
        if result is None:
            registry.get(job.model).import_libraries()
            run_fold(job, _open(shared), files, recorder, stop, StepTimer(), report)
        report(files)
    return JobOutcome("done")


@lru_cache(maxsize=1)
def _open(shared: SharedArrays) -> TrainingData:
    """Return what this process has opened before; another run's is closed."""
    return shared.open()


def _portable(error: Exception) -> Exception:
    """Return the error where it can be pickled for certain, else its text."""
    is_plain = isinstance(error, StoreError | FoldError | ModelError | CodeRefusedError)
    return error if is_plain else RuntimeError(describe_error(error))


def _on_terminate(number: int, frame: FrameType | None) -> None:
    _was_terminated.set()
