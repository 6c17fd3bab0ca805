"""Chronicle: what happened to a run, in order: starts, pauses, kills, errors, folds, the end.

In: the events of its history. Out: a table for people.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.shared import words
from trainer.store.event_log import Event

WORDS = {
    "start": "Started",
    "resume": "Fold resumed",
    "fold": "Fold done",
    "pause": "Paused",
    "interrupted": "Cut off, found now",
    "problem": "Problem",
    "fail": "Failed",
    "finish": "Finished",
}


def show(events: Sequence[Event]) -> None:
    """Show what happened, the newest first; nothing is loaded until somebody opens it."""
    if not events:
        return
    box = st.expander(
        "What happened", icon=":material/history:", key="chronicle", on_change="rerun"
    )
    if box.open:
        box.dataframe(
            table(events), hide_index=True, alt="What happened to this run, the newest first"
        )


def table(events: Sequence[Event]) -> pl.DataFrame:
    """Return Time, Attempt, What, Where, Details, the newest first."""
    told = [event for event in reversed(events) if event.event in WORDS]
    return pl.DataFrame(
        {
            "Time": [words.clock(event.time) for event in told],
            "Attempt": [event.attempt for event in told],
            "What": [WORDS[event.event] for event in told],
            "Where": [_where(event) for event in told],
            "Details": [_details(event) for event in told],
        }
    )


def _where(event: Event) -> str:
    if event.model is None or event.fold is None:
        return ""
    step = event.values.get("step")
    return words.place(event.model, event.fold, None if step is None else int(step))


def _details(event: Event) -> str:
    if event.event == "fold":
        score, seconds = event.values.get("score"), event.values.get("seconds")
        return f"score {words.score(score)}, {words.duration(seconds)}"
    redone_s = event.values.get("redone_s", 0.0)
    redone = f"{words.duration(redone_s)} of work to redo" if redone_s >= 0.5 else ""
    return "; ".join(part for part in (event.text, redone) if part)
