"""At work: what a worker says while it fits a fold, and how the coordinator takes it over.

In: what one fold reports, in a process of its own. Out: ``units/at_work/<unit>.beat``, replaced at
every beat, and ``<unit>.<attempt>.lines``, appended: lines of history as ``metrics.jsonl`` will
have them, and lines of the log. The coordinator copies each once; what a killed one left, the next
one takes over, and tells by content what was copied already.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.store.durable import (
    StoreError,
    append_line,
    append_text,
    cut_torn_line,
    make_folder,
    write_atomic,
)
from trainer.store.identity import own_identity
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.recorder import BEAT_S, event_line
from trainer.store.records import WorkerStatus, dump_record, read_record

LOG = "log"  # the key of a line that is for the log, not for the history
ENDINGS = ("*.beat", "*.lines", "*.npy", "stop")  # all that is ever in the folder


class WorkerRecorder:
    """Writes what a worker says of its fold; only the worker on the fold has one."""

    def __init__(self, paths: FoldPaths, attempt: int) -> None:
        """Prepare it.

        Args:
            paths: The unit's files.
            attempt: Of the trainer that holds the run.
        """
        self.attempt = attempt
        self._paths = paths
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True)
        identity, now = own_identity(), time.time()
        self._status = WorkerStatus(
            model=paths.model,
            fold=paths.fold,
            attempt=attempt,
            host=identity.host,
            pid=identity.pid,
            heartbeat_at=now,
            progress_at=now,
        )

    def __enter__(self) -> WorkerRecorder:
        """Cut a line that a killed worker left half-written, and begin to beat."""
        make_folder(self._lines.parent)
        cut_torn_line(self._lines)
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop beating."""
        self._stopped.set()
        self._thread.join()

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Status
        """Change what the next beat says, as far as a worker says it; counts as progress."""
        own = {name: new for name, new in changes.items() if name in WorkerStatus.model_fields}
        with self._guard:
            self._status = self._status.model_copy(update={"progress_at": time.time(), **own})

    def beat(self) -> None:
        """Write the status now."""
        import psutil

        used = psutil.Process().memory_info()
        used_mb = (used.rss - getattr(used, "shared", 0)) >> 20  # what all workers read counts once
        with self._guard:
            self._status = self._status.model_copy(
                update={"heartbeat_at": time.time(), "used_memory_mb": used_mb}
            )
            write_atomic(self._paths.beat, dump_record(self._status), durable=False)

    def event(
        self,
        event: str,
        model: str | None = None,
        fold: int | None = None,
        values: Mapping[str, float | int] | None = None,
        text: str = "",
    ) -> None:
        """Append one line to the history."""
        append_line(self._lines, event_line(self.attempt, event, model, fold, values, text))

    def log(self, text: str) -> None:
        """Append a line to the log."""
        append_line(self._lines, {LOG: text})

    def problems(self, texts: list[str]) -> None:
        """Write problems to history and log, and empty the list."""
        while texts:
            text = texts.pop(0)
            self.event("problem", text=text)
            self.log(f"problem: {text}")

    @property
    def _lines(self) -> Path:
        return self._paths.lines(self.attempt)

    def _beat_forever(self) -> None:
        while not self._stopped.wait(BEAT_S):
            with contextlib.suppress(StoreError):  # a full disk ends the fold where it saves
                self.beat()


@dataclass
class WorkerListener:
    """Hears one worker: the coordinator's end.

    Attributes:
        paths: The unit's files.
        attempt: Of the trainer that holds the run.
        status: What the worker said last; None before its first word.
    """

    paths: FoldPaths
    attempt: int
    status: WorkerStatus | None = None
    _offset: int = 0

    def look(self) -> bool:
        """Read the newest status; return whether the fold has moved since the last look."""
        try:
            said = read_record(self.paths.beat, WorkerStatus)
        except (FileNotFoundError, StoreError):
            return False
        if said.attempt != self.attempt:
            return False  # of an earlier one
        known, now = self.status, time.time()
        has_moved = known is None or (said.pid, said.step) != (known.pid, known.step)
        moved_at = now if known is None or has_moved else known.progress_at
        self.status = said.model_copy(update={"heartbeat_at": now, "progress_at": moved_at})
        return has_moved

    def new_lines(self) -> Iterator[tuple[bytes | None, str]]:
        """Return what the worker has written since the last call.

        Yields:
            A line of history and "", or None and a line of the log.
        """
        try:
            with self.paths.lines(self.attempt).open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        data = data[: data.rfind(b"\n") + 1]
        for line in data.splitlines(keepends=True):
            self._offset += len(line)
            text = _log_text(line)
            yield (line, "") if text is None else (None, text)

    def forget(self) -> None:
        """Remove what the worker said: all of it is taken over."""
        self.paths.beat.unlink(missing_ok=True)
        self.paths.lines(self.attempt).unlink(missing_ok=True)


def remove_temporary_files_of(unit: FoldPaths) -> None:
    """Remove the temporary files of a worker that is gone; nobody else writes these files."""
    for path in (unit.record, unit.final_path, unit.last_path, unit.beat):
        for litter in path.parent.glob(f".{path.name}.*.tmp"):
            litter.unlink(missing_ok=True)


def request_stop(paths: RunPaths, attempt: int) -> None:
    """Ask all workers of an attempt to save and stop."""
    write_atomic(paths.stop, f"{attempt}\n".encode(), durable=False)


def is_stop_requested(paths: RunPaths, attempt: int) -> bool:
    """Return whether the workers of an attempt are asked to stop; of a later one, they are too."""
    try:
        return int(paths.stop.read_text()) >= attempt
    except (OSError, ValueError):
        return False


def collect_lines(paths: RunPaths) -> int:
    """Copy the lines of history that a killed coordinator left; return how many there were.

    Nobody may be at work: the run's lock is held, and earlier attempts' workers write no more.
    """
    num_taken = 0
    for left in sorted(paths.at_work.glob("*.lines"), key=_attempt_of):
        lines = [line for line in left.read_bytes().splitlines(keepends=True) if _is_event(line)]
        known = _lines_of(paths.metrics)
        taken = [line for line in lines if line not in known]
        if taken:
            append_text(paths.metrics, b"".join(taken).decode())
            num_taken += len(taken)
    clear(paths)
    return num_taken


def clear(paths: RunPaths) -> None:
    """Remove what workers said and were given."""
    for pattern in ENDINGS:
        for path in paths.at_work.glob(pattern):
            with contextlib.suppress(OSError):  # Windows: still open somewhere; the next start does
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.rmdir(paths.at_work)  # noqa: PTH106 - only where nothing is left in it


def _lines_of(path: Path) -> set[bytes]:
    """Return the lines of a history; each has its time, so no two of one unit are equal."""
    return set(path.read_bytes().splitlines(keepends=True)) if path.exists() else set()


def _attempt_of(path: Path) -> tuple[int, str]:
    attempt = path.name.split(".")[-2]
    return int(attempt) if attempt.isdecimal() else 0, path.name


def _is_event(line: bytes) -> bool:
    return line.endswith(b"\n") and _log_text(line) is None and _parsed(line) is not None


def _log_text(line: bytes) -> str | None:
    value = _parsed(line)
    return str(value[LOG]) if value is not None and LOG in value else None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
