"""Recorder: writes status, events and log of a run or of one fold, with a heartbeat of its own.

In: what the trainer or a worker does. Out: of the trainer ``status.json``, ``metrics.jsonl`` and
``trainer.log``; of a worker ``units/at_work/<model>_fold00.beat`` and ``.<attempt>.lines``, which
the coordinator copies (``worker_files``). The status is replaced at every beat, also during a long
step.
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trainer.store.durable import (
    StoreError,
    append_line,
    append_text,
    cut_torn_line,
    make_folder,
    write_atomic,
)
from trainer.store.event_log import event_line
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.process import BEAT_EVENT, Meter, own_identity, space
from trainer.store.reader import RunReader
from trainer.store.record_types import MAX_ATTEMPT
from trainer.store.records import FoldRecord, Status, WorkerStatus, dump_record, read_record

BEAT_S = 0.5  # a page reads every second, so what it shows is at most 1.5 s old
NEXT_BEAT_S = 3.0  # after a beat the next one is due: six beats, for a slow disk or a busy machine
SLOW_FOLDER = 10.0  # times as rarely if every write goes over a network, as on Google Drive
LOG = "log"  # the key of a worker's line that is meant for the log, not for the event log


def next_attempt(reader: RunReader) -> int:
    """Return the number of this start of the trainer, counted from 1."""
    seen = [event.attempt for event in reader.events()]
    # neither events nor status are synced to the disk, so the folds' records count too
    places: list[tuple[Path, type[Status] | type[FoldRecord]]] = [(reader.paths.status, Status)]
    places += [(path, FoldRecord) for path in reader.paths.units.glob("*.json")]
    for path, kind in places:
        with contextlib.suppress(FileNotFoundError, StoreError):  # damaged: the others are enough
            seen.append(read_record(path, kind).attempt)
    return min(max(seen, default=0) + 1, MAX_ATTEMPT)


class EventRecorder(ABC):
    """Writes a status at every beat, and events; a fold job needs no more of it.

    Attributes:
        attempt: Number of the trainer's start, from 1.
    """

    def __init__(
        self,
        status: Status | WorkerStatus,
        status_path: Path,
        events_path: Path,
        beat_s: float = BEAT_S,
        status_changes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Prepare a recorder; ``start`` writes the first status.

        Args:
            status: The first status.
            status_path: The file that holds it.
            events_path: The file to which events are appended.
            beat_s: Seconds between two beats.
            status_changes: Called before every beat; returns changed fields of the status, which do
                not count as progress.
        """
        self.attempt = status.attempt
        self._latest = status
        self._status_path, self._events_path = status_path, events_path
        self._beat_s = beat_s
        self._status_changes = status_changes
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Cut a torn event line, write the first status and start the heartbeat."""
        make_folder(self._events_path.parent)
        cut_torn_line(self._events_path)
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat; nothing is written after it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Status
        """Change fields of the next status, as far as it has them; counts as progress."""
        known = {key: new for key, new in changes.items() if key in type(self._latest).model_fields}
        with self._guard:
            self._latest = self._latest.model_copy(update={"progress_at": time.time(), **known})

    def beat(self) -> None:
        """Write the status now."""
        self._write_status(self._status_changes())

    def event(
        self,
        event: str,
        model: str | None = None,
        fold: int | None = None,
        values: Mapping[str, float | int] | None = None,
        text: str = "",
    ) -> None:
        """Append one line to the events."""
        append_line(self._events_path, event_line(self.attempt, event, model, fold, values, text))

    def problem(self, text: str) -> None:
        """Write a problem to the events and to the log."""
        self.event("problem", text=text)
        self.log(f"problem: {text}")

    def problems(self, texts: list[str]) -> None:
        """Write problems to the events and to the log, and empty the list."""
        while texts:
            self.problem(texts.pop(0))

    @abstractmethod
    def log(self, text: str) -> None:
        """Write a line to the log."""

    @abstractmethod
    def _measure(self, now: float) -> dict[str, Any]:
        """Return the fields of the status that are measured at each beat."""

    def _write_status(self, changes: dict[str, Any]) -> None:
        with self._guard:
            now = time.time()
            measured = self._measure(now)
            self._latest = self._latest.model_copy(
                update={"heartbeat_at": now, **measured, **changes}
            )
            write_atomic(self._status_path, dump_record(self._latest), durable=False)

    def _heartbeat(self) -> None:
        while not self._stopped.wait(self._beat_s):
            self._beat_once()

    def _beat_once(self) -> None:
        with contextlib.suppress(StoreError):  # a full disk ends the fold where it saves, not here
            self.beat()


class Recorder(EventRecorder):
    """The recorder of the trainer; only the process that holds the run's lock has one."""

    def __init__(
        self,
        paths: RunPaths,
        attempt: int,
        echo: Callable[[str], None],
        on_beat: Callable[[Status], None] = lambda _: None,
        has_system_lock: bool = True,
        status_changes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Prepare a recorder.

        Args:
            paths: The run's files.
            attempt: Number of this start of the trainer, from 1.
            echo: Shows a log line on the terminal.
            on_beat: Called with the status at every beat.
            has_system_lock: Whether the run is held by a system lock, not by an owner file alone.
            status_changes: As in ``EventRecorder``.
        """
        pace = 1.0 if has_system_lock else SLOW_FOLDER
        self.paths = paths
        self._echo = echo
        self._on_beat = on_beat
        self._next_beat_s = NEXT_BEAT_S * pace
        self._meter: Meter | None = None
        identity, now = own_identity(), time.time()
        first = Status(
            run=paths.root.name,
            state="running",
            host=identity.host,
            boot_id=identity.boot_id,
            pid=identity.pid,
            process_started=identity.started,
            attempt=attempt,
            heartbeat_at=now,
            next_heartbeat_at=now + self._next_beat_s,
            progress_at=now,
            lock_kind="system" if has_system_lock else "owner file",
        )
        super().__init__(first, paths.status, paths.metrics, BEAT_S * pace, status_changes)

    @property
    def status(self) -> Status:
        """Return the latest status."""
        assert isinstance(self._latest, Status)
        return self._latest

    def relay(self, line: bytes) -> None:
        """Append an event line that a worker wrote, unchanged."""
        append_text(self.paths.metrics, line.decode())

    def log(self, text: str, is_shown: bool = True) -> None:
        """Write a line to the log and, unless the caller shows it, to the terminal."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        append_text(self.paths.log, f"{stamp} {text}\n")
        if is_shown:
            self._echo(text)

    def close(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Status
        """Stop the heartbeat and write the last status: these changes are final."""
        self.stop()
        self.update(**self._status_changes() | changes)
        self._write_status({})

    def restore(self, previous: Status | None, reason: str) -> None:
        """Stop and write the previous status again: a refused start changes nothing."""
        if previous is None:
            self.close(state="failed", error=reason, message="Refused.", eta_s=None)
            return
        self.stop()
        write_atomic(self.paths.status, dump_record(previous), durable=False)

    def _write_status(self, changes: dict[str, Any]) -> None:
        super()._write_status(changes)
        self._on_beat(self.status)

    def _measure(self, now: float) -> dict[str, Any]:
        """Return memory, with that of the workers on this machine, disk, and the next beat."""
        found = space(self.paths.root)
        workers_mb = sum(worker.used_memory_mb or 0 for worker in self._workers_here())
        return {
            "next_heartbeat_at": now + self._next_beat_s,
            **found,
            "used_memory_mb": found["used_memory_mb"] + workers_mb,
        }

    def _beat_once(self) -> None:
        try:
            self.beat()
            self._meter = self._meter or Meter()
            if self._meter.is_due():
                pids = tuple(worker.pid for worker in self._workers_here())
                self.event(BEAT_EVENT, values=self._meter.read(self.paths.root, pids))
        except StoreError as error:
            self._echo(str(error))  # a full disk ends the run where it saves, not here

    def _workers_here(self) -> list[WorkerStatus]:
        return [worker for worker in self.status.workers if worker.host == self.status.host]


class WorkerRecorder(EventRecorder):
    """The recorder of a worker; only the worker that fits the fold has one."""

    def __init__(self, paths: FoldPaths, attempt: int) -> None:
        """Prepare a recorder.

        Args:
            paths: The fold's files.
            attempt: Number of the trainer's start, from 1.
        """
        identity, now = own_identity(), time.time()
        first = WorkerStatus(
            model=paths.model,
            fold=paths.fold,
            attempt=attempt,
            host=identity.host,
            pid=identity.pid,
            heartbeat_at=now,
            progress_at=now,
        )
        super().__init__(first, paths.beat, paths.lines(attempt))

    def log(self, text: str) -> None:
        """Write a line that the coordinator copies to the log."""
        append_line(self._events_path, {LOG: text})

    def _measure(self, now: float) -> dict[str, Any]:
        import psutil

        used = psutil.Process().memory_info()
        own = used.rss - getattr(used, "shared", 0)  # arrays that all workers read count once
        return {"used_memory_mb": own >> 20}
