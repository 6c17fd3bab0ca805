"""Event log: starts, pauses, kills, errors and finished folds of a run, in order.

In: the events of the run. Out: a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.shared import panels, words
from trainer.store.event_log import Event

EVENTS = {
    "start": "Started",
    "resume": "Fold resumed",
    "fold": "Fold done",
    "pause": "Paused",
    "interrupted": "Killed, noticed now",
    "problem": "Problem",
    "fail": "Failed",
    "finish": "Finished",
}


def show(events: Sequence[Event]) -> None:
    """Show the events, the newest first; nothing is loaded until the list is opened."""
    if not events:
        return
    box = st.expander("Event log", icon=":material/history:", key="event_log", on_change="rerun")
    if box.open:
        with box:
            panels.table("Events of this run, the newest first", table(events), "events", {})


def table(events: Sequence[Event]) -> pl.DataFrame:
    """Return Time, Attempt, Event, Where, Details, the newest first."""
    shown = [event for event in reversed(events) if event.event in EVENTS]
    return pl.DataFrame(
        {
            "Time": [words.clock(event.time) for event in shown],
            "Attempt": [event.attempt for event in shown],
            "Event": [EVENTS[event.event] for event in shown],
            "Where": [_where(event) for event in shown],
            "Details": [_details(event) for event in shown],
        }
    )


def _where(event: Event) -> str:
    if event.model is None or event.fold is None:
        return ""
    step = event.values.get("step")
    return words.position(event.model, event.fold, None if step is None else int(step))


def _details(event: Event) -> str:
    if event.event == "fold":
        score, seconds = event.values.get("score"), event.values.get("seconds")
        return f"score {words.score(score)}, {words.duration(seconds)}"
    redone_s = event.values.get("redone_s", 0.0)
    repeated = f"{words.duration(redone_s)} of work to repeat" if redone_s >= 0.5 else ""
    return "; ".join(part for part in (event.text, repeated) if part)
