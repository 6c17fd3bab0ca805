"""History: how often a run was interrupted, where, what was redone, and whether it is exact.

In: the events of ``metrics.jsonl``. Out: ``ResumeRecord``.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.store.reader import Event
from trainer.store.records import Interruption, ResumeRecord

INEXACT = "continued, not bit-exact"  # how a problem that costs the bits begins
POINTS = ("segment", "epoch")
_HOW = {"pause": "paused", "interrupted": "killed", "fail": "failed"}


def resume_record(events: Sequence[Event]) -> ResumeRecord:
    """Return the record of all attempts so far."""
    redone, unequal = _redone_points(events)
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
        is_exact=not unequal and not any(event.text.startswith(INEXACT) for event in events),
        redone_points=redone,
        unequal_points=tuple(unequal),
        remarks=tuple(event.text for event in events if event.event == "problem"),
    )


def _redone_points(events: Sequence[Event]) -> tuple[int, list[str]]:
    """Hold what an attempt computed again against what an earlier one had said of it.

    Returns:
        How many points of the curves were computed more than once, and which came out otherwise.
    """
    said: dict[tuple[str | None, int | None, float], Event] = {}
    redone, unequal = 0, []
    for event in events:
        if event.event not in POINTS or "step" not in event.values:
            continue
        place = (event.model, event.fold, event.values["step"])
        earlier = said.get(place)
        said[place] = event
        if earlier is None or earlier.attempt == event.attempt:
            continue
        redone += 1
        if earlier.values != event.values:
            unequal.append(
                f"{event.model} fold {event.fold}, {event.event} {event.values['step']:g}: attempt "
                f"{event.attempt} has other numbers than attempt {earlier.attempt}"
            )
    return redone, unequal


def _ended_attempt(event: Event) -> int:
    """A kill writes nothing: the next attempt finds it and tells."""
    return event.attempt - 1 if event.event == "interrupted" else event.attempt
