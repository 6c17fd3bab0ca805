"""Toasts: a short message on every page when a fold is done or a run ends.

In: the state folder. Out: toasts, one per change and browser tab; none when a tab is opened. The
Train page shows the same permanently.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.ui.shared import frame, readers, words
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state

RECENT_S = 600.0  # a run with an older status is not checked, unless it was active before

ENDED = {
    "finished": "finished",
    "paused": "paused",
    "failed": "failed",
    "interrupted": "ended unexpectedly",
    "stalled": "has stalled",
}
FOLD_ICON = ":material/flag:"

_SEEN = "toasts_seen"


@dataclass(frozen=True)
class Seen:
    """The last known state of a run.

    Attributes:
        state: Its derived state.
        attempt: Which start of the trainer.
        num_done: How many folds are done; None while the trainer starts and has not counted.
    """

    state: str
    attempt: int
    num_done: int | None


def announce(watched: str | None) -> None:
    """Show a toast for each run that has ended and each fold that is done since the last call.

    Args:
        watched: The run whose folds are shown on the page and need no toast, or None.
    """
    before: dict[str, Seen] = st.session_state.get(_SEEN, {})
    now = look(before)
    for name, seen in now.items():
        text = _change(RunReader(frame.state_dir() / name), before.get(name), seen, watched)
        if text:
            icon = words.STATE_ICONS[seen.state] if seen.state in ENDED else FOLD_ICON
            st.toast(frame.escape(text), icon=icon, duration="long")
    st.session_state[_SEEN] = {**before, **now}


def has_news() -> bool:
    """Return whether anything has changed since the last call of ``announce``."""
    before: dict[str, Seen] = st.session_state.get(_SEEN, {})
    return any(before.get(name) != seen for name, seen in look(before).items())


def look(before: Mapping[str, Seen]) -> dict[str, Seen]:
    """Return the present state of the runs that may have changed since."""
    found = {}
    for reader in list_runs(frame.state_dir()):
        seen = before.get(reader.name)
        was_active = seen is not None and seen.state in ("running", "pausing", "stalled")
        if was_active or _is_recent(reader):
            derived = derive_state(reader)
            if derived.status is not None:
                status = derived.status
                num_done = status.done_units if status.total_units else None
                found[reader.name] = Seen(derived.state, status.attempt, num_done)
    return found


def _is_recent(reader: RunReader) -> bool:
    try:
        return time.time() - reader.paths.status.stat().st_mtime < RECENT_S
    except OSError:
        return False


def _change(reader: RunReader, before: Seen | None, now: Seen, watched: str | None) -> str:
    """Return the text for a change between two states, or ""."""
    if before is None:
        return ""
    has_changed = (before.state, before.attempt) != (now.state, now.attempt)
    if now.state in ENDED and has_changed:
        return f"{reader.name} {ENDED[now.state]}."
    if reader.name == watched or None in (before.num_done, now.num_done):
        return ""
    return _fold_text(reader) if now.num_done != before.num_done else ""


def _fold_text(reader: RunReader) -> str:
    """Name the fold that was done last, with its score."""
    done = [event for event in readers.events(reader) if event.event == "fold"]
    last = done[-1] if done else None
    if last is None or last.model is None or last.fold is None:
        return ""
    score = words.score(last.values.get("score"))
    marks = ", ".join(mark.title.lower() for mark in words.marks(readers.run_file(reader, [])))
    mark = f" ({marks})" if marks else ""
    return f"{reader.name}: {words.fold_name(last.model, last.fold)} done, score {score}{mark}."
