"""Toasts: a word when a fold, a pause or a run ends while people look elsewhere.

In: the state folder. Out: toasts, each change told once per tab; nothing at the first look. The
same facts stay on the pages: a toast vanishes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.ui.shared import frame, readers, words
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state

RECENT_S = 600.0  # a run whose status is older has nothing new to tell, unless it was seen at work

ENDINGS = {
    "finished": "finished",
    "paused": "paused",
    "failed": "failed",
    "interrupted": "stopped without a word",
    "stalled": "has stalled",
}
FOLD_ICON = ":material/flag:"

_SEEN = "toasts_seen"


@dataclass(frozen=True)
class Seen:
    """What was last known of a run.

    Attributes:
        state: Of the verdict.
        attempt: Which start of the trainer.
        num_done: How many folds are done; None while the trainer loads and has not counted.
    """

    state: str
    attempt: int
    num_done: int | None


def announce(watched: str | None) -> None:
    """Tell what ended since the last look.

    Args:
        watched: The run whose board is on the page: its folds need no toast. None: no board.
    """
    before: dict[str, Seen] = st.session_state.get(_SEEN, {})
    now = look(before)
    for name, seen in now.items():
        text = _change(RunReader(frame.state_dir() / name), before.get(name), seen, watched)
        if text:
            icon = words.STATE_ICONS[seen.state] if seen.state in ENDINGS else FOLD_ICON
            st.toast(frame.escape(text), icon=icon, duration="long")
    st.session_state[_SEEN] = {**before, **now}


def has_news() -> bool:
    """Return whether ``announce`` would see something else than at its last look."""
    before: dict[str, Seen] = st.session_state.get(_SEEN, {})
    return any(before.get(name) != seen for name, seen in look(before).items())


def look(before: Mapping[str, Seen]) -> dict[str, Seen]:
    """Return what is known of the runs that may have changed."""
    found = {}
    for reader in list_runs(frame.state_dir()):
        seen = before.get(reader.name)
        was_at_work = seen is not None and seen.state in ("running", "pausing", "stalled")
        if was_at_work or _is_recent(reader):
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
    """Say what ended between two looks, or ""."""
    if before is None:
        return ""
    is_other_end = (before.state, before.attempt) != (now.state, now.attempt)
    if now.state in ENDINGS and is_other_end:
        return f"{reader.name} {ENDINGS[now.state]}."
    if reader.name == watched or None in (before.num_done, now.num_done):
        return ""
    return _fold_text(reader) if now.num_done != before.num_done else ""


def _fold_text(reader: RunReader) -> str:
    """Say which fold was done last."""
    done = [event for event in readers.events(reader) if event.event == "fold"]
    if not done or done[-1].model is None or done[-1].fold is None:
        return ""
    last = done[-1]
    score = words.score(last.values.get("score"))
    mark = f" ({words.SIMULATED.lower()})" if frame.is_simulated(reader) else ""
    return f"{reader.name}: {words.MODELS[last.model]}, fold {last.fold} done, score {score}{mark}."
