"""Recorder: the one writer of status, history and log, with a heartbeat of its own.

In: what the trainer does. Out: ``status.json`` at every beat, also while a long step runs,
``metrics.jsonl``, ``trainer.log``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.store.durable import (
    StoreError,
    append_line,
    append_text,
    cut_torn_line,
    write_atomic,
)
from trainer.store.identity import own_identity
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, Status, dump_record, read_record
from trainer.store.resources import BEAT_EVENT, Meter, space

BEAT_S = 0.5  # a page looks every second, so what it shows is at most 1.5 s old
PROMISE_S = 3.0  # "the next beat comes within": six beats, for a slow disk or a busy machine
SLOW_FOLDER = 10.0  # times as rarely where every write goes over a network, as on Google Drive


def next_attempt(reader: RunReader) -> int:
    """Return the number of this start of the trainer, counted from 1."""
    seen = [event.attempt for event in reader.events()]
    # neither the history nor the status is flushed to the disk, so the units' records count too
    places: list[tuple[Path, type[Status] | type[FoldRecord]]] = [(reader.paths.status, Status)]
    places += [(path, FoldRecord) for path in reader.paths.units.glob("*.json")]
    for path, kind in places:
        with contextlib.suppress(FileNotFoundError, StoreError):  # damaged: the others know
            seen.append(read_record(path, kind).attempt)
    return max(seen, default=0) + 1


class Recorder:
    """Writes what the trainer says of itself; only the process that holds the lock has one."""

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
            attempt: Which start of the trainer this is, from 1.
            echo: Shows a log line to whoever started the trainer.
            on_beat: Given the status at every beat.
            has_system_lock: Whether the run is held by the system, not by an owner file alone.
            status_changes: Called before every beat; returns fields of the status to change.
        """
        self._pace = 1.0 if has_system_lock else SLOW_FOLDER
        self.paths = paths
        self.attempt = attempt
        self._echo = echo
        self._on_beat = on_beat
        self._status_changes = status_changes
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True)
        identity = own_identity()
        now = time.time()
        self._status = Status(
            run=paths.root.name,
            state="running",
            host=identity.host,
            boot_id=identity.boot_id,
            pid=identity.pid,
            process_started=identity.started,
            attempt=attempt,
            heartbeat_at=now,
            next_heartbeat_at=now + PROMISE_S * self._pace,
            progress_at=now,
            lock_kind="system" if has_system_lock else "owner file",
        )

    @property
    def status(self) -> Status:
        """Return what was last said."""
        return self._status

    def start(self) -> None:
        """Cut a torn history line, write the first status and begin to beat."""
        self.paths.root.mkdir(parents=True, exist_ok=True)
        cut_torn_line(self.paths.metrics)
        self.beat()
        self._thread.start()

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Status
        """Change what the next beat says; counts as progress."""
        with self._guard:
            self._status = self._status.model_copy(update={"progress_at": time.time(), **changes})

    def beat(self) -> None:
        """Write the status now."""
        changes = self._status_changes()
        with self._guard:
            now = time.time()
            self._status = self._status.model_copy(
                update={
                    "heartbeat_at": now,
                    "next_heartbeat_at": now + PROMISE_S * self._pace,
                    **self._space(),
                    **changes,
                }
            )
            write_atomic(self.paths.status, dump_record(self._status), durable=False)
        self._on_beat(self._status)

    def _space(self) -> dict[str, int]:
        """Return memory and disk, with the memory of the workers on this machine."""
        found = space(self.paths.root)
        own = [at for at in self._status.workers if at.host == self._status.host]
        return found | {
            "used_memory_mb": found["used_memory_mb"] + sum(at.used_memory_mb or 0 for at in own)
        }

    def event(
        self,
        event: str,
        model: str | None = None,
        fold: int | None = None,
        values: dict[str, float | int] | None = None,
        text: str = "",
    ) -> None:
        """Append one line to the history."""
        append_line(self.paths.metrics, event_line(self.attempt, event, model, fold, values, text))

    def problem(self, text: str) -> None:
        """Write a problem to history and log."""
        self.event("problem", text=text)
        self.log(f"problem: {text}")

    def problems(self, texts: list[str]) -> None:
        """Write problems to history and log, and empty the list."""
        while texts:
            self.problem(texts.pop(0))

    def relay(self, line: bytes) -> None:
        """Append a line of history that a worker wrote, as it is."""
        append_text(self.paths.metrics, line.decode())

    def log(self, text: str) -> None:
        """Write a line to the log and show it."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        append_text(self.paths.log, f"{stamp} {text}\n")
        self._echo(text)

    def close(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Status
        """Stop beating and write the last status."""
        self._stop()
        last_changes = self._status_changes()
        self._status_changes = dict
        self.update(**last_changes | changes)
        self.beat()

    def stand_down(self, previous: Status | None, reason: str) -> None:
        """Stop beating and leave the run as it was: nothing was done, so nothing has changed."""
        if previous is None:
            self.close(state="failed", error=reason, message="Refused.", eta_s=None)
            return
        self._stop()
        write_atomic(self.paths.status, dump_record(previous), durable=False)

    def fall_silent(self) -> None:
        """Stop beating and write nothing more: the run is another trainer's now."""
        self._stop()

    def _stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat_forever(self) -> None:
        meter = Meter()
        while not self._stopped.wait(BEAT_S * self._pace):
            try:
                self.beat()
                if meter.is_due():
                    here = [at for at in self._status.workers if at.host == self._status.host]
                    pids = tuple(at.pid for at in here)
                    self.event(BEAT_EVENT, values=meter.read(self.paths.root, pids))
            except StoreError as error:
                self._echo(str(error))  # a full disk ends the run where it saves, not here


def event_line(
    attempt: int,
    event: str,
    model: str | None,
    fold: int | None,
    values: Mapping[str, float | int] | None,
    text: str,
) -> dict[str, Any]:
    """Return one line of ``metrics.jsonl``."""
    line: dict[str, Any] = {"event": event, "time": time.time(), "attempt": attempt}
    if model is not None:
        line |= {"model": model, "fold": fold}
    if values:
        line["values"] = {key: _finite(value) for key, value in values.items()}
    if text:
        line["text"] = text
    return line


def _finite(value: float | int) -> float | int | None:
    """JSON has no NaN or infinity: null says that there is no number."""
    return value if value == value and abs(value) != float("inf") else None
