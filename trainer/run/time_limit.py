"""The time limit: how long a session lasts, and when to pause so that there is time to save.

In: ``--time-limit`` and, on Kaggle and Colab, the age of the session. Out: ``TimeLimit``.
"""

from __future__ import annotations

import math
import os
import re
import time
from dataclasses import dataclass

RESERVE_S = 30.0  # kept free before a time limit, beyond what was measured
HOSTED_LIMIT_S = 11.5 * 3600  # Kaggle and Colab end a session after 12 h
SHORT_LIMIT_S = 8.5 * 3600  # Kaggle ends a session with a TPU, and a scored one, after 9 h
MAX_LIMIT_S = 8760 * 3600.0
BEFORE_END_S = 1800.0  # for saving what was not, and for Kaggle to keep the output
SHORT_SESSIONS = ("TPU_NAME", "TPU_WORKER_ID", "KAGGLE_IS_COMPETITION_RERUN")
TIME_LIMIT = "time limit"  # the reason of the pause
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
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if seconds > MAX_LIMIT_S:
        raise DurationError(f"time limit: expected at most 8760h, a year; got {text[:80]!r}")
    return seconds


def is_hosted() -> bool:
    """Return whether this is a Kaggle or Colab session."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ or "COLAB_RELEASE_TAG" in os.environ


def hosted_limit_s() -> float | None:
    """Return the seconds until a hosted session should pause, half an hour before its end.

    The session began with the machine's first process, not with the trainer. Where that process is
    older than any such session, its age is no evidence: Kaggle's limit then counts from now;
    Colab's paid sessions can be that old, and their end is unknown, so there is no limit.
    """
    is_short = any(name in os.environ for name in SHORT_SESSIONS)
    limit_s = SHORT_LIMIT_S if is_short else HOSTED_LIMIT_S
    age_s = session_age_s()
    if age_s > limit_s + BEFORE_END_S:
        return None if "COLAB_RELEASE_TAG" in os.environ else limit_s
    return max(0.0, limit_s - age_s)


def session_age_s() -> float:
    """Return the age of the machine's first process in seconds; 0 where it cannot be seen."""
    import psutil

    try:
        return max(0.0, time.time() - float(psutil.Process(1).create_time()))
    except psutil.Error:
        return 0.0


@dataclass
class TimeLimit:
    """The end of a session, with a margin that is measured while the trainer works.

    The margin is a reserve and twice the longest step and the longest save so far.

    Attributes:
        ends_at: End of the session on the monotonic clock; infinity without a limit.
        reserve_s: Part of the margin that is not measured.
    """

    ends_at: float = math.inf
    reserve_s: float = 0.0
    longest_step_s: float = 0.0
    longest_save_s: float = 0.0

    @classmethod
    def begin(cls, seconds: float | None) -> TimeLimit:
        """Return a limit that begins now; a short one reserves a quarter of itself at most."""
        if seconds is None:
            return cls()
        return cls(time.monotonic() + seconds, min(RESERVE_S, seconds / 4))

    @property
    def pauses_at(self) -> float:
        """Return when to pause, on the monotonic clock."""
        return self.ends_at - self.reserve_s - 2.0 * (self.longest_step_s + self.longest_save_s)

    @property
    def pauses_at_epoch_s(self) -> float | None:
        """Return when to pause, in seconds since 1970; None without a limit."""
        if math.isinf(self.ends_at):
            return None
        return time.time() + self.pauses_at - time.monotonic()

    def reason(self) -> str | None:
        """Return ``TIME_LIMIT`` once it is time to pause."""
        return TIME_LIMIT if time.monotonic() >= self.pauses_at else None

    def note_step(self, seconds: float) -> None:
        """Record how long it took from one safe point to the next."""
        self.longest_step_s = max(self.longest_step_s, seconds)

    def note_save(self, seconds: float) -> None:
        """Record how long a save took."""
        self.longest_save_s = max(self.longest_save_s, seconds)
