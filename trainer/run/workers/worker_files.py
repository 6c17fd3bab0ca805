"""Worker files: how the coordinator reads the progress of its workers, and stops them.

In: ``units/at_work``: ``<model>_fold00.beat``, which a worker replaces at every beat, and
``<model>_fold00.<attempt>.lines``, to which it appends lines for the event log and for the log.
Out: its status and its lines. The coordinator copies each line once; those of a killed coordinator
are copied by the next one, which compares contents and so copies none a second time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.store.durable import StoreError, append_text, write_atomic
from trainer.store.file_kinds import open_file, read_file
from trainer.store.names import FoldPaths, RunPaths
from trainer.store.recorder import LOG
from trainer.store.records import WorkerStatus, read_record

PATTERNS = ("*.beat", "*.lines", "*.npy", "stop")  # of all files that are ever in the folder


@dataclass
class WorkerReader:
    """Reads the status and the lines of one worker.

    Attributes:
        paths: The files of the worker's fold.
        attempt: Number of the trainer's start.
        status: The worker's last status; None before the first.
    """

    paths: FoldPaths
    attempt: int
    status: WorkerStatus | None = None
    _offset: int = 0

    def read_status(self) -> bool:
        """Read the newest status; return whether the fold has moved since the last call."""
        try:
            newest = read_record(self.paths.beat, WorkerStatus)
        except (FileNotFoundError, StoreError):
            return False
        if newest.attempt != self.attempt:
            return False  # an earlier start's
        known, now = self.status, time.time()
        has_moved = known is None or (newest.pid, newest.step) != (known.pid, known.step)
        moved_at = now if known is None or has_moved else known.progress_at
        self.status = newest.model_copy(update={"heartbeat_at": now, "progress_at": moved_at})
        return has_moved

    def new_lines(self) -> Iterator[tuple[bytes | None, str]]:
        """Return the lines that the worker has written since the last call.

        Yields:
            An event line and "", or None and a line of the log.
        """
        try:
            with open_file(self.paths.lines(self.attempt)) as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        data = data[: data.rfind(b"\n") + 1]
        for line in data.splitlines(keepends=True):
            self._offset += len(line)
            text = _log_text(line)
            yield (line, "") if text is None else (None, text)

    def remove_files(self) -> None:
        """Remove the worker's status and lines after all of them were copied."""
        self.paths.beat.unlink(missing_ok=True)
        self.paths.lines(self.attempt).unlink(missing_ok=True)


def remove_temporary_files_of(fold: FoldPaths) -> None:
    """Remove the temporary files of a worker that is gone; no other process writes them."""
    for path in (fold.record, fold.final_path, fold.last_path, fold.beat):
        for temporary in path.parent.glob(f".{path.name}.*.tmp"):
            temporary.unlink(missing_ok=True)


def request_stop(paths: RunPaths, attempt: int) -> None:
    """Request all workers of an attempt to save and stop."""
    write_atomic(paths.stop, f"{attempt}\n".encode(), durable=False)


def is_stop_requested(paths: RunPaths, attempt: int) -> bool:
    """Return whether the workers of this attempt, or of a later one, are requested to stop."""
    try:
        return int(read_file(paths.stop)) >= attempt
    except (FileNotFoundError, StoreError, ValueError):
        return False


def collect_lines(paths: RunPaths) -> int:
    """Copy the event lines that a killed coordinator left; return how many were copied.

    The caller holds the run's lock, and the workers of earlier attempts no longer write.
    """
    num_copied = 0
    for left in sorted(paths.at_work.glob("*.lines"), key=_attempt_of):
        lines = [line for line in read_file(left).splitlines(keepends=True) if _is_event(line)]
        known = _lines_of(paths.metrics)
        copied = [line for line in lines if line not in known]
        if copied:
            append_text(paths.metrics, b"".join(copied).decode())
            num_copied += len(copied)
    clear(paths)
    return num_copied


def clear(paths: RunPaths) -> None:
    """Remove everything that workers wrote and read in the folder."""
    for pattern in PATTERNS:
        for path in paths.at_work.glob(pattern):
            with contextlib.suppress(OSError):  # Windows: still open; the next start does it
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.rmdir(paths.at_work)  # noqa: PTH106 - only if it is empty


def _lines_of(path: Path) -> set[bytes]:
    """Return the lines of an event log; each has its time, so no two of a fold are equal."""
    return set(read_file(path).splitlines(keepends=True)) if path.exists() else set()


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
