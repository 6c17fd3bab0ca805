"""Parts on Dask: each part of the recordings is one task, on whichever worker is free.

In: parts. Out: the rows of each, in their order, the same as if computed in this process. Parts of
a lost worker are computed by another; a part that loses one worker after the other ends the run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from trainer.data.sequences import FloatArray
from trainer.models.monitor import Paused
from trainer.run.inputs.parts import PartTask, make_part
from trainer.run.machine import reuse_freed_memory
from trainer.run.workers.dask_cluster import POLL_S, DaskEngine, connect
from trainer.run.workers.engine import EngineError
from trainer.run.workers.worker import worker_stop_signal
from trainer.run.workers.worker_files import clear, request_stop
from trainer.store.durable import make_folder
from trainer.store.names import RunPaths

if TYPE_CHECKING:
    from distributed import Future

LOOK_S = 0.5  # between two looks at which workers there are
AHEAD = 2  # parts a worker has at once: the one it computes and the next, so that it never waits
STOP_S = 1.0  # a worker polls its stop signal four times a second
Pending = tuple[PartTask, "Future[FloatArray | None]"]


@dataclass
class DaskPartMaker:
    """Computes parts on Dask's workers.

    Attributes:
        paths: The run's files.
        attempt: Of the trainer that holds the run.
        engine: ``dask`` or ``dask://HOST:PORT``.
        most: Parts that are worked on at once at the most, or None.
        num_local: Workers of a cluster on this machine.
        log: Writes a line to the log.
        report_problem: Records that a worker was lost.
    """

    paths: RunPaths
    attempt: int
    engine: str
    most: int | None
    num_local: int
    log: Callable[[str], None]
    report_problem: Callable[[str], None]
    _found: DaskEngine | None = None

    def make(self, tasks: Sequence[PartTask], poll: Callable[[], None]) -> Generator[FloatArray]:
        """Yield the rows of each part, in the order of the tasks.

        Args:
            tasks: The parts.
            poll: Called often; may raise to stop.

        Raises:
            EngineError: Dask's workers cannot be reached, or are lost over and over.
        """
        if not tasks:
            return
        found = self._connect()
        waiting, begun = deque(tasks), deque[Pending]()
        known, next_look = found.workers(), 0.0
        try:
            while waiting or begun:
                if time.monotonic() >= next_look:
                    known, next_look = self._look(found, known), time.monotonic() + LOOK_S
                while waiting and self._is_room(begun, len(known)):
                    begun.append(self._begin(found, waiting.popleft()))
                if begun and _is_done(begun[0][1]):
                    task, future = begun.popleft()
                    made = _result(task, future)
                    if made is None:  # its worker was terminated, this trainer was not
                        begun.appendleft(self._begin(found, task))
                    else:
                        yield made
                else:
                    time.sleep(POLL_S)
                poll()
        finally:
            if begun:
                self._stop([future for _, future in begun])

    def close(self) -> None:
        """Release the workers; those of a cluster of our own end."""
        if self._found is not None:
            self._found.close()
            self._found = None

    def _connect(self) -> DaskEngine:
        if self._found is None:
            self._found = connect(self.engine, self.most, self.num_local)
            self.log(f"parts on {self.engine}: {self._found.num_workers()} workers")
        return self._found

    def _begin(self, found: DaskEngine, task: PartTask) -> Pending:
        future = found.client.submit(
            make_part_for,
            self.paths.root.resolve(),
            self.attempt,
            task,
            key=f"{task.kind}-{uuid4().hex}",  # never taken for an earlier one
            pure=False,
        )
        return task, future

    def _is_room(self, begun: deque[Pending], num_workers: int) -> bool:
        """Return whether another part may be begun; computed rows that wait count too."""
        at_once = AHEAD * max(1, num_workers)
        num_working = sum(not _is_done(future) for _, future in begun)
        return num_working < (at_once if self.most is None else self.most) and (
            len(begun) < 2 * at_once
        )

    def _look(self, found: DaskEngine, known: frozenset[str]) -> frozenset[str]:
        """Return the present workers, and report those that are gone."""
        there = found.workers()
        for address in sorted(known - there):
            others = (
                "Its parts are computed by another" if there else "There is no other: start one"
            )
            self.report_problem(f"parts: the worker at {address} is gone. {others}")
        return there

    def _stop(self, futures: Sequence[Future[FloatArray | None]]) -> None:
        """Stop the workers that compute parts which are no longer needed."""
        make_folder(self.paths.at_work)
        request_stop(self.paths, self.attempt)
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline and not all(map(_is_done, futures)):
            time.sleep(POLL_S)
        for future in futures:
            if not _is_done(future):
                future.cancel()  # type: ignore[no-untyped-call]
        clear(self.paths)


def make_part_for(root: Path, attempt: int, task: PartTask) -> FloatArray | None:
    """Return the rows of a part, in a worker; None where a stop was requested.

    Args:
        root: The run folder.
        attempt: Of the trainer that holds the run.
        task: The part.
    """
    reuse_freed_memory()
    stop = worker_stop_signal(RunPaths(root), attempt)

    def poll() -> None:
        if stop.is_set():
            raise Paused

    try:
        return make_part(task, poll)
    except Paused:
        return None


def _is_done(future: Future[FloatArray | None]) -> bool:
    return bool(future.done())  # type: ignore[no-untyped-call]


def _result(task: PartTask, future: Future[FloatArray | None]) -> FloatArray | None:
    """Return the rows of a part; None where its worker was stopped."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise EngineError(
            f"part {task.name!r}: one worker after the other was lost over it ({error}). Write "
            f"smaller parts, or give the workers more memory, then resume"
        ) from error
    except CancelledError as error:
        raise EngineError(f"Dask's scheduler is gone ({error}). Start it, then resume") from error
