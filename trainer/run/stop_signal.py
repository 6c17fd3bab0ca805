"""When to stop: a command, a signal or the clock, seen at safe points.

In: ``command.json``, SIGINT, SIGTERM, a time limit. Out: one question, "stop now?", and why.
Pause is a polite crash: save, say so, exit.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from trainer.store.durable import StoreError
from trainer.store.records import Command, read_record

POLL_S = 0.25  # at most so often is command.json looked at
RESERVE_S = 30.0  # kept free before a time limit, beyond what was measured
HOSTED_LIMIT_S = 11.5 * 3600  # Kaggle and Colab end a session after 12 h
SHORT_LIMIT_S = 8.5 * 3600  # Kaggle ends a session with a TPU, and a scored one, after 9 h
BEFORE_END_S = 1800.0  # for saving what was not, and for Kaggle to keep the output
SHORT_SESSIONS = ("TPU_NAME", "TPU_WORKER_ID", "KAGGLE_IS_COMPETITION_RERUN")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class DurationError(ValueError):
    """A time limit that cannot be read."""


def parse_time_limit(text: str) -> float | None:
    """Return a time limit in seconds; None is no limit.

    Args:
        text: Such as ``90s``, ``45m``, ``11.5h``, ``1h30m``; ``auto`` is what is left of the
            session on Kaggle and Colab, and none elsewhere; ``none``.

    Raises:
        DurationError: Anything else.
    """
    if text == "none":
        return None
    if text == "auto":
        return hosted_limit_s() if is_hosted() else None
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DurationError(
            f"time limit: expected auto, none or a duration such as 90s, 45m, 1h30m; got {text!r}"
        )
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def is_hosted() -> bool:
    """Return whether this is a Kaggle or Colab session."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ or "COLAB_RELEASE_TAG" in os.environ


def hosted_limit_s() -> float | None:
    """Return the seconds until a hosted session should pause, half an hour before its end.

    The session began with the machine's first process, not with the trainer: what was installed
    and tried before counts. Where that process is older than any such session, it says nothing:
    Kaggle's limit then counts from now; Colab's paid sessions, which may be so old, end nobody
    knows when, so there is none.
    """
    is_short = any(name in os.environ for name in SHORT_SESSIONS)
    limit_s = SHORT_LIMIT_S if is_short else HOSTED_LIMIT_S
    age_s = session_age_s()
    if age_s > limit_s + BEFORE_END_S:
        return None if "COLAB_RELEASE_TAG" in os.environ else limit_s
    return max(0.0, limit_s - age_s)


def session_age_s() -> float:
    """Return for how many seconds the machine's first process has lived."""
    import psutil

    try:
        return max(0.0, time.time() - float(psutil.Process(1).create_time()))
    except psutil.Error:
        return 0.0  # not seen: the trainer's own start is all that is known


@dataclass
class TimeLimit:
    """A pause that the trainer asks of itself while there is still time to save.

    The margin is learnt: the longest step and the longest save so far, twice, and a reserve.

    Attributes:
        ends_at: When the session ends, on the monotonic clock.
        reserve_s: Kept free whatever was measured.
    """

    ends_at: float
    reserve_s: float
    longest_step_s: float = 0.0
    longest_save_s: float = 0.0

    @classmethod
    def begin(cls, seconds: float) -> TimeLimit:
        """Return a limit that begins now; a short one keeps a quarter of itself free at most."""
        return cls(time.monotonic() + seconds, min(RESERVE_S, seconds / 4))

    @property
    def pauses_at(self) -> float:
        """Return when to stop, on the monotonic clock."""
        return self.ends_at - self.reserve_s - 2.0 * (self.longest_step_s + self.longest_save_s)

    def note_step(self, seconds: float) -> None:
        """Learn how long it takes from one safe point to the next."""
        self.longest_step_s = max(self.longest_step_s, seconds)

    def note_save(self, seconds: float) -> None:
        """Learn how long a save takes."""
        self.longest_save_s = max(self.longest_save_s, seconds)


def pauses_at(switch: StopSwitch, now: float) -> float | None:
    """Return when the time limit will pause the run, in seconds since 1970."""
    limit = switch.limit
    return None if limit is None else now + limit.pauses_at - time.monotonic()


@dataclass
class StopSwitch:
    """Knows whether somebody wants the run to pause; asked by the trainer and by its heartbeat.

    Attributes:
        command_path: The run's ``command.json``.
        ignore_command: Id of a command that an earlier attempt has answered.
        limit: When to pause for the time limit, or None.
        on_request: Called with the command's id or None when a request is first seen.
        reason: Why to stop, in words; None while there is no reason.
        demand_held: Raises where the run is no longer this trainer's.
    """

    command_path: Path
    ignore_command: str | None = None
    limit: TimeLimit | None = None
    on_request: Callable[[str | None], None] = lambda _: None
    reason: str | None = None
    demand_held: Callable[[], None] = lambda: None
    _signal: int | None = None
    _next_poll: float = 0.0
    _modified: tuple[int, int] | None = None
    _after_fold: Command | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM pause while the body runs; a second one ends the process at once.

        That is as safe as the first: whatever is on the disk is whole.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread hears signals
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        if sys.platform != "win32":
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # terminal closed
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def is_set(self) -> bool:
        """Return whether to stop at this safe point; cheap."""
        if self.reason is None:
            with self._guard:
                self._look()
        return self.reason is not None

    @property
    def ends_after_fold(self) -> bool:
        """Return whether no other fold is to begin, though those at work may end."""
        return self._after_fold is not None

    def is_set_between_folds(self) -> bool:
        """Return whether to stop now that a fold is done."""
        if not self.is_set() and self._after_fold is not None:
            asked_by = self._after_fold.asked_by
            self._request(f"asked by {asked_by}, after this fold", self._after_fold.id)
        return self.reason is not None

    def _look(self) -> None:
        now = time.monotonic()
        if self.reason is not None:
            return
        self.demand_held()
        if self._signal is not None:
            self._request(f"signal {signal.Signals(self._signal).name}", None)
        elif self.limit is not None and now >= self.limit.pauses_at:
            self._request("time limit", None)
        elif now >= self._next_poll:
            self._next_poll = now + POLL_S
            self._read_command()

    def _read_command(self) -> None:
        try:
            stat = self.command_path.stat()
            if (stat.st_mtime_ns, stat.st_size) == self._modified:
                return
            command = read_record(self.command_path, Command)
        except (OSError, StoreError):
            return  # nothing asked, or damaged: the page shows a command that is not answered
        self._modified = (stat.st_mtime_ns, stat.st_size)
        if command.id == self.ignore_command:
            return
        if command.command == "run":
            self._after_fold = None
            self.on_request(command.id)
        elif command.after == "fold":
            self._after_fold = command
            self.on_request(command.id)
        else:
            self._request(f"asked by {command.asked_by}", command.id)

    def _request(self, reason: str, command_id: str | None) -> None:
        self.reason = reason
        self.on_request(command_id)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = number
