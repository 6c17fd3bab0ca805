"""A worker: fits one fold of one model in a process of its own, and writes that fold's files only.

In: a ``FoldJob``, which says where everything lies. Out: a ``JobOutcome``; the fold itself is in
its file. The same function runs under joblib's loky and as a Dask task.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Literal

from trainer.config import Config
from trainer.folds import FoldError
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.eta import Speedometer
from trainer.run.fold_job import do_unit, finished_block
from trainer.run.machine import pin, reuse_freed_memory
from trainer.run.stop_signal import POLL_S, TimeLimit
from trainer.run.units import unit_work
from trainer.run.workers.shared_arrays import Shared, SharedDataset
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.locks import LockedError
from trainer.store.names import RunPaths
from trainer.store.recorder import WorkerRecorder
from trainer.store.records import Status, read_record
from trainer.store.worker_files import is_stop_requested

LOOK_S = 2.0  # between two looks at the coordinator's heartbeat
FORSAKEN_S = 60.0  # no heartbeat of the coordinator for so long: the worker saves and stops
PARENT_LOOK_S = 0.5  # where the system does not tell that the parent has died
PR_SET_PDEATHSIG = 1  # prctl(2): a signal for this process when its parent dies

_was_terminated = threading.Event()  # by a SIGTERM of this worker's own
_one_at_a_time = threading.Lock()  # torch's threads and switches belong to the whole process


@dataclass(frozen=True)
class FoldJob:
    """One fold of one model, and where everything for it lies.

    Attributes:
        root: The run folder.
        model: "lgbm" or "torch".
        fold: From 0.
        attempt: Of the trainer that holds the run.
        key: Of what the run is made from.
        config: The run's configuration.
        shared: The material.
    """

    root: Path
    model: str
    fold: int
    attempt: int
    key: str
    config: Config
    shared: Shared

    @property
    def unit(self) -> tuple[str, int]:
        """Return model and fold."""
        return self.model, self.fold


@dataclass(frozen=True)
class JobOutcome:
    """How a worker came back from a fold.

    Attributes:
        kind: "done": the fold's file is there; "paused": what was done is saved; "taken": somebody
            else works on the fold; "failed": with ``error``; "lost": the worker is gone.
        text: What happened, in words.
        error: What ended it.
    """

    kind: Literal["done", "paused", "taken", "failed", "lost"]
    text: str = ""
    error: Exception | None = None


@dataclass
class WorkerSwitch:
    """Knows whether the coordinator wants the fold to stop, or is gone.

    Attributes:
        paths: The run's files.
        attempt: Of the trainer that holds the run.
        limit: Learns how long steps and saves take; the coordinator's limit decides.
    """

    paths: RunPaths
    attempt: int
    limit: TimeLimit | None = field(default_factory=lambda: TimeLimit(math.inf, 0.0))
    _is_set: bool = False
    _next_poll: float = 0.0
    _next_look: float = field(default_factory=lambda: time.monotonic() + LOOK_S)
    _beat: float = 0.0
    _beat_seen: float = field(default_factory=time.monotonic)

    def is_set(self) -> bool:
        """Return whether to stop at this safe point; cheap."""
        now = time.monotonic()
        if not self._is_set and now >= self._next_poll:
            self._next_poll = now + POLL_S
            is_told = _was_terminated.is_set() or is_stop_requested(self.paths, self.attempt)
            self._is_set = is_told or self._is_forsaken(now)
        return self._is_set

    def _is_forsaken(self, now: float) -> bool:
        """Return whether the coordinator's heart has stopped, or another one has taken over."""
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_S
        try:
            status = read_record(self.paths.status, Status)
        except (OSError, StoreError):
            return now - self._beat_seen > FORSAKEN_S
        if status.attempt > self.attempt:
            return True
        if status.heartbeat_at != self._beat:
            self._beat, self._beat_seen = status.heartbeat_at, now
        return now - self._beat_seen > FORSAKEN_S


def settle(parent: int) -> None:
    """Let this process die with the coordinator, and not of the terminal's Ctrl-C.

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
    threading.Thread(target=_die_with, args=(parent,), name="parent", daemon=True).start()


def fit_unit(task: FoldJob) -> JobOutcome:
    """Fit one fold from wherever it is; its file is the result."""
    with _one_at_a_time:
        try:
            return _fit(task)
        except Paused:
            _was_terminated.clear()
            return JobOutcome("paused")
        except LockedError as error:
            return JobOutcome("taken", str(error))
        except Exception as error:  # everything that ends a fold ends the run: told there
            trace = "".join(traceback.format_exception(error)).rstrip()
            return JobOutcome("failed", trace, _portable(error))


def _fit(task: FoldJob) -> JobOutcome:
    pin(task.config.exact)
    reuse_freed_memory()
    paths = RunPaths(task.root)
    unit = paths.fold(registry.get(task.model), task.fold)
    switch = WorkerSwitch(paths, task.attempt)
    if switch.is_set():
        return JobOutcome("paused")
    store, block = finished_block(unit, task.attempt, None, task.key)
    with WorkerRecorder(unit, task.attempt) as recorder:

        def tell(store: FoldFiles) -> None:
            while store.problems:
                problem = store.problems.pop(0)
                recorder.event("problem", text=problem)
                recorder.log(f"problem: {problem}")
            limit = switch.limit
            if limit is not None:
                recorder.update(
                    longest_step_s=limit.longest_step_s, longest_save_s=limit.longest_save_s
                )

        tell(store)
        if block is None:
            _load_libraries(task.model)
            dataset = _material(task.shared)
            work = unit_work(unit, dataset, dataset.table, task.config, task.key)
            do_unit(work, store, recorder, switch, Speedometer(), tell)
        tell(store)
    return JobOutcome("done")


def _load_libraries(model: str) -> None:
    """Import what fits the model now, so that it is not counted as the fold's time."""
    importlib.import_module("lightgbm" if model == "lgbm" else "trainer.models.network.fold")


@lru_cache(maxsize=1)
def _material(shared: Shared) -> SharedDataset:
    """Return what this process has opened already; another run's is forgotten."""
    return SharedDataset(shared)


def _portable(error: Exception) -> Exception:
    """Return the error where it is sure to survive the way back, else its words."""
    is_plain = isinstance(error, StoreError | FoldError)
    return error if is_plain else RuntimeError(f"{type(error).__name__}: {error}")


def _on_terminate(number: int, frame: FrameType | None) -> None:
    _was_terminated.set()


def _die_with(parent: int) -> None:
    import psutil

    while os.getppid() == parent and psutil.pid_exists(parent):  # Windows keeps a dead parent's pid
        time.sleep(PARENT_LOOK_S)
    os._exit(1)
