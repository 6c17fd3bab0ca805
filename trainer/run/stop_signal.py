"""The stop signal: whether to pause at this safe point, and why.

In: sources, each of which returns a reason to stop or None: ``command.json``, an interrupt, the
time limit, the lease; of a worker its coordinator. Out: ``StopSignal.is_set``, which folds and
features poll, and the reason. To pause is to save and exit: see DESIGN.md section 6.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from trainer.run.time_limit import TimeLimit
from trainer.store.durable import StoreError
from trainer.store.records import Command, read_record

POLL_S = 0.25  # least time between two reads of command.json

StopSource = Callable[[], str | None]  # returns the reason to stop, or None; may raise


@dataclass
class StopSignal:
    """Whether to pause; the trainer and its heartbeat poll it, from two threads.

    Attributes:
        sources: Polled in this order until one returns a reason.
        limit: Records how long steps and saves take; one of the sources where there is a limit.
        commands: The commands to the run, where this process reads them.
        reason: Why to stop; None while there is no reason.
    """

    sources: Sequence[StopSource] = ()
    limit: TimeLimit = field(default_factory=TimeLimit)
    commands: CommandFile | None = None
    reason: str | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def is_set(self) -> bool:
        """Return whether to stop at this safe point; cheap."""
        if self.reason is None:
            with self._guard:
                for source in self.sources:
                    self.reason = self.reason or source()
        return self.reason is not None

    @property
    def stops_after_fold(self) -> bool:
        """Return whether no other fold is to begin, though those that are being fitted may end."""
        return self.commands is not None and self.commands.after_fold is not None

    def is_set_between_folds(self) -> bool:
        """Return whether to stop now that a fold is done."""
        if not self.is_set() and self.commands is not None and self.commands.after_fold is not None:
            self.reason = f"requested by {self.commands.after_fold.asked_by}, after this fold"
        return self.reason is not None

    def status_changes(self) -> dict[str, Any]:
        """Poll, and return what the run's status must show of it."""
        changes: dict[str, Any] = {"state": "pausing"} if self.is_set() else {}
        if self.commands is not None and self.commands.acknowledged is not None:
            changes["acknowledged_command"] = self.commands.acknowledged
            changes["acknowledged_at"] = self.commands.acknowledged_at
        return changes


@dataclass
class CommandFile:
    """``command.json`` as a source of the stop signal.

    Attributes:
        path: The file.
        ignored: Id of a command that was meant for an earlier attempt.
        after_fold: A request to pause once the running folds are done.
        acknowledged: Id of the newest command that was read.
        acknowledged_at: When it was read, in seconds since 1970.
    """

    path: Path
    ignored: str | None = None
    after_fold: Command | None = None
    acknowledged: str | None = None
    acknowledged_at: float | None = None
    _next_poll: float = 0.0
    _modified: tuple[int, int] | None = None

    def __call__(self) -> str | None:
        """Return the reason to pause where a command requests it; acknowledge every command."""
        now = time.monotonic()
        if now < self._next_poll:
            return None
        self._next_poll = now + POLL_S
        command = self._read_new()
        if command is None or command.id == self.ignored:
            return None
        self.acknowledged, self.acknowledged_at = command.id, time.time()
        self.after_fold = None
        if command.command == "run":
            return None
        if command.after == "fold":
            self.after_fold = command
            return None
        return f"requested by {command.asked_by}"

    def _read_new(self) -> Command | None:
        try:
            stat = self.path.stat()
            if (stat.st_mtime_ns, stat.st_size) == self._modified:
                return None
            command = read_record(self.path, Command)
        except (OSError, StoreError):
            return None  # absent or damaged: the page shows a command that is not acknowledged
        self._modified = (stat.st_mtime_ns, stat.st_size)
        return command


class Interrupts:
    """Ctrl-C and SIGTERM as a source of the stop signal; a second one ends the process at once.

    That is as safe as the first: every file on the disk is whole.
    """

    def __init__(self) -> None:
        """Handle no signal yet."""
        self._number: int | None = None

    def __call__(self) -> str | None:
        """Return the signal that came, or None."""
        return None if self._number is None else f"signal {signal.Signals(self._number).name}"

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals while the body runs, and ignore that the terminal was closed."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._handle) for number in numbers}
        if sys.platform != "win32":
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            os._exit(128 + number)
        self._number = number
