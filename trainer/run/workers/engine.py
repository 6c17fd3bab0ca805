"""Engines: where folds are fitted when several are fitted side by side.

In: fold jobs. Out: the outcome of each. ``LocalEngine`` is joblib's loky: one process per
worker, each a pool of its own, so that a worker that dies takes no other with it.
"""

from __future__ import annotations

import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from os import getpid
from typing import TYPE_CHECKING, Protocol

from trainer.run.fold_job import FoldKey
from trainer.run.workers.worker import JobOutcome, prepare_process

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor


Work = Callable[..., JobOutcome]  # can be sent to another process, as can its arguments


class EngineError(RuntimeError):
    """Workers that cannot be started or reached, or that are lost over and over."""


class Engine(Protocol):
    """Fits folds in other processes, several at once."""

    def num_workers(self) -> int:
        """Return how many folds can be fitted at once."""

    def is_free_for(self, fold: FoldKey) -> bool:
        """Return whether a worker could begin the fold now."""

    def begin(self, fold: FoldKey, work: Work, *arguments: object) -> None:
        """Start the work on a fold in a free worker."""

    def ended(self, timeout_s: float) -> list[tuple[FoldKey, JobOutcome]]:
        """Wait until a fold ends, at most so long; return those that have ended."""

    def close(self) -> None:
        """End all workers."""


@dataclass
class _Slot:
    """One worker process, started when it is first needed and again after it was lost."""

    executor: ProcessPoolExecutor | None = None
    future: Future[JobOutcome] | None = None
    fold: FoldKey | None = None

    def begin(self, fold: FoldKey, work: Work, *arguments: object) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        with block_interrupts():
            try:
                if self.executor is None:
                    # loky replaces a worker whose memory has grown, between two folds, and warns
                    warnings.filterwarnings(
                        "ignore", "A worker stopped while some jobs", UserWarning
                    )
                    self.executor = ProcessPoolExecutor(
                        max_workers=1, initializer=prepare_process, initargs=(getpid(),)
                    )
                self.future = self.executor.submit(work, *arguments)
            except OSError as error:
                raise EngineError(
                    f"a worker could not be started ({error.strerror or error}). Make room in "
                    f"memory and in /dev/shm, or resume with --workers 1 (WORKERS=1)"
                ) from error
            self.fold = fold

    def take(self) -> tuple[FoldKey, JobOutcome]:
        """Return the outcome of the fold, and be free."""
        assert self.future is not None and self.fold is not None
        future, fold = self.future, self.fold
        self.future = self.fold = None
        try:
            return fold, future.result()
        except BrokenExecutor as error:
            self.end()
            return fold, JobOutcome("lost", _signal_in(str(error)))

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
        """Return how many folds can be fitted at once."""
        return len(self._slots)

    def is_free_for(self, fold: FoldKey) -> bool:
        """Return whether a worker could begin the fold now."""
        return any(slot.future is None for slot in self._slots)

    def begin(self, fold: FoldKey, work: Work, *arguments: object) -> None:
        """Start the work on a fold in a free worker; one whose process exists comes first."""
        free = [slot for slot in self._slots if slot.future is None]
        max(free, key=lambda slot: slot.executor is not None).begin(fold, work, *arguments)

    def ended(self, timeout_s: float) -> list[tuple[FoldKey, JobOutcome]]:
        """Wait until a fold ends, at most so long; return those that have ended."""
        futures = [slot.future for slot in self._slots if slot.future is not None]
        if not futures:
            time.sleep(timeout_s)
        wait(futures, timeout_s, FIRST_COMPLETED)
        return [slot.take() for slot in self._slots if slot.future and slot.future.done()]

    def close(self) -> None:
        """End all workers; what they have committed is on the disk."""
        for slot in self._slots:
            slot.end()


@contextmanager
def block_interrupts() -> Iterator[None]:
    """Block Ctrl-C for processes that start in the body; this one receives it afterwards."""
    if not hasattr(
        signal, "pthread_sigmask"
    ):  # Windows: ``prepare_process`` does it, a moment later
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_in(text: str) -> str:
    """Return the signal in loky's message about a lost worker, "SIGKILL(-9)"; "" without one."""
    found = re.search(r"\{(.*?)\}", text)
    return "" if found is None else found.group(1)
