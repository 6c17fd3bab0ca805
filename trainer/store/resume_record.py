"""Resume record: how often a run was interrupted, where, what was redone, and whether it is exact.

In: the events of ``metrics.jsonl``. Out: ``ResumeRecord``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trainer.store.event_log import CURVE_EVENTS, Event
from trainer.store.record_types import Attempt, Count, Fold, Name, Seconds, Text, Time
from trainer.store.records import Record

INEXACT = "continued, not bit-exact"  # how a problem begins after which the bits may differ
_HOW = {"pause": "paused", "interrupted": "killed", "fail": "failed"}


class Interruption(BaseModel):
    """One end of an attempt that was not the end of the run."""

    model_config = ConfigDict(frozen=True)

    attempt: Attempt
    how: Literal["paused", "killed", "failed"]
    time: Time
    model: Name | None = None
    fold: Fold | None = None
    step: Count | None = None
    redone_s: Seconds = 0.0
    text: Text = ""


class ResumeRecord(Record):
    """``resume_record.json``: the attempts of a finished run.

    Attributes:
        attempts: Starts of the trainer.
        interruptions: Ends of attempts that were not the end of the run.
        is_exact: Whether no event shows bits other than those of an uninterrupted run.
        redone_points: Segments and epochs that more than one attempt computed, so that their
            numbers could be compared.
        unequal_points: Those of them whose numbers differ, in words.
        remarks: What was damaged, missing or different, in words.
    """

    attempts: Attempt
    interruptions: tuple[Interruption, ...]
    is_exact: bool
    redone_points: Count = 0
    unequal_points: tuple[Text, ...] = ()
    remarks: tuple[Text, ...]


def resume_record(events: Sequence[Event]) -> ResumeRecord:
    """Return the record of all attempts so far."""
    redone, unequal = _redone_points(events)
    return ResumeRecord(
        attempts=max((event.attempt for event in events), default=0),
        interruptions=tuple(_interruption(event) for event in events if event.event in _HOW),
        is_exact=not unequal and not any(event.text.startswith(INEXACT) for event in events),
        redone_points=redone,
        unequal_points=tuple(unequal),
        remarks=tuple(event.text for event in events if event.event == "problem"),
    )


def _interruption(event: Event) -> Interruption:
    is_kill = event.event == "interrupted"  # a killed attempt writes nothing: the next one does
    return Interruption.model_validate(
        {
            "attempt": max(0, event.attempt - 1) if is_kill else event.attempt,
            "how": _HOW[event.event],
            "time": event.time,
            "model": event.model,
            "fold": event.fold,
            "step": None if "step" not in event.values else int(event.values["step"]),
            "redone_s": event.values.get("redone_s", 0.0),
            "text": event.text,
        }
    )


def _redone_points(events: Sequence[Event]) -> tuple[int, list[str]]:
    """Compare the points that an attempt computed again with those of the attempt before.

    Returns:
        How many points were computed more than once, and in words those whose numbers differ.
    """
    points: dict[tuple[str | None, int | None, float], Event] = {}
    redone, unequal = 0, []
    for event in events:
        if event.event not in CURVE_EVENTS or "step" not in event.values:
            continue
        place = (event.model, event.fold, event.values["step"])
        before = points.get(place)
        points[place] = event
        if before is None or before.attempt == event.attempt:
            continue
        redone += 1
        if before.values != event.values:
            unequal.append(
                f"{event.model} fold {event.fold}, {event.event} {event.values['step']:g}: attempt "
                f"{event.attempt} has other numbers than attempt {before.attempt}"
            )
    return redone, unequal
