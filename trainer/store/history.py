"""History: how often a run was interrupted, where, what was redone, and whether it is exact.

In: the events of ``metrics.jsonl``. Out: ``ResumeRecord``.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.store.reader import Event
from trainer.store.records import Interruption, ResumeRecord

INEXACT = "continued, not bit-exact"  # how a problem that costs the bits begins
_HOW = {"pause": "paused", "interrupted": "killed", "fail": "failed"}


def resume_record(events: Sequence[Event]) -> ResumeRecord:
    """Return the record of all attempts so far."""
    return ResumeRecord(
        attempts=max((event.attempt for event in events), default=0),
        interruptions=tuple(
            Interruption.model_validate(
                {
                    "attempt": _ended_attempt(event),
                    "how": _HOW[event.event],
                    "time": event.time,
                    "model": event.model,
                    "fold": event.fold,
                    "step": None if "step" not in event.values else int(event.values["step"]),
                    "redone_s": event.values.get("redone_s", 0.0),
                    "text": event.text,
                }
            )
            for event in events
            if event.event in _HOW
        ),
        is_exact=not any(event.text.startswith(INEXACT) for event in events),
        remarks=tuple(event.text for event in events if event.event == "problem"),
    )


def _ended_attempt(event: Event) -> int:
    """A kill writes nothing: the next attempt finds it and tells."""
    return event.attempt - 1 if event.event == "interrupted" else event.attempt
