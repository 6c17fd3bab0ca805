"""Engines: where folds are fitted when several are fitted side by side.

In: units of work. Out: how each came back. ``LocalEngine`` is joblib's loky: one process per
worker, each a pool of its own, so that a worker that dies takes no other with it.
"""

from __future__ import annotations

import re
import signal
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from os import getpid
from typing import TYPE_CHECKING, Protocol

from trainer.run.workers.worker import FoldJob, JobOutcome, fit_unit, settle

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

Unit = tuple[str, int]  # model and fold


class EngineError(RuntimeError):
    """Workers that cannot be had, or that are lost over and over."""


class Engine(Protocol):
    """Fits units of work somewhere, several at once."""

    def num_workers(self) -> int:
        """Return how many units can be fitted at once."""

    def is_free_for(self, unit: Unit) -> bool:
        """Return whether a worker could begin the unit now."""

    def begin(self, task: FoldJob) -> None:
        """Let a free worker fit a unit."""

    def ended(self, timeout_s: float) -> list[tuple[Unit, JobOutcome]]:
        """Wait until a unit comes back, at most so long; return those that have."""

    def close(self) -> None:
        """End all workers."""


@dataclass
class _Slot:
    """One worker process, started when it is first needed and again after it was lost."""

    executor: ProcessPoolExecutor | None = None
    future: Future[JobOutcome] | None = None
    unit: Unit | None = None

    def begin(self, task: FoldJob) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        with block_interrupts():
            if self.executor is None:
                # loky replaces a worker whose memory has grown, between two folds, and warns of it
                warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
                self.executor = ProcessPoolExecutor(
                    max_workers=1, initializer=settle, initargs=(getpid(),)
                )
            self.future, self.unit = self.executor.submit(fit_unit, task), task.unit

    def take(self) -> tuple[Unit, JobOutcome]:
        """Return how the unit came back, and be free."""
        assert self.future is not None and self.unit is not None
        future, unit = self.future, self.unit
        self.future = self.unit = None
        try:
            return unit, future.result()
        except BrokenExecutor as error:
            self.end()
            return unit, JobOutcome("lost", _signal_in(str(error)))

    def end(self) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=True)
            self.executor = None


class LocalEngine:
    """Worker processes on this machine."""

    def __init__(self, num_workers: int) -> None:
        """Start none yet."""
        self._slots = [_Slot() for _ in range(num_workers)]

    def num_workers(self) -> int:
        """Return how many units can be fitted at once."""
        return len(self._slots)

    def is_free_for(self, unit: Unit) -> bool:
        """Return whether a worker could begin the unit now."""
        return any(slot.future is None for slot in self._slots)

    def begin(self, task: FoldJob) -> None:
        """Let a free worker fit a unit; the one that has been at work before comes first."""
        free = [slot for slot in self._slots if slot.future is None]
        max(free, key=lambda slot: slot.executor is not None).begin(task)

    def ended(self, timeout_s: float) -> list[tuple[Unit, JobOutcome]]:
        """Wait until a unit comes back, at most so long; return those that have."""
        futures = [slot.future for slot in self._slots if slot.future is not None]
        if not futures:
            time.sleep(timeout_s)
        wait(futures, timeout_s, FIRST_COMPLETED)
        return [slot.take() for slot in self._slots if slot.future and slot.future.done()]

    def close(self) -> None:
        """End all workers; what they were asked to do is on the disk."""
        for slot in self._slots:
            slot.end()


@contextmanager
def block_interrupts() -> Iterator[None]:
    """Let processes that start in the body never hear a Ctrl-C; this one hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: ``settle`` does it, a moment later
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_in(text: str) -> str:
    """Return what loky says of a lost worker's end: "SIGKILL(-9)", or "" where it does not know."""
    found = re.search(r"\{(.*?)\}", text)
    return "" if found is None else found.group(1)
