"""Ending: how a trainer ended that did not finish, and what it told of on its way.

In: a run and its verdict. Out: a card with the signal or exit code and the last lines it wrote; the
problems it went on from; the record of all interruptions.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui.shared import frame, live, logs, readers, words
from trainer.store.reader import RunReader
from trainer.store.resume_record import Interruption, ResumeRecord, resume_record
from trainer.store.run_state import DerivedState

NUM_LINES = 8
NUM_PROBLEMS = 3
GOOD_CODES = (None, 0, 3)  # not ended or not known, finished, paused


def card(reader: RunReader, derived: DerivedState) -> None:
    """Show how the trainer ended; nothing where it works, paused or finished."""
    if not is_bad(reader, derived):
        return
    code, lines = live.exit_code(reader, derived), reader.log_tail(logs.NUM_LINES)
    traceback = logs.final_traceback(lines)
    with st.container(border=True, gap="xsmall"):
        st.markdown("**How it ended**")
        if code is not None:
            st.markdown(frame.escape(words.exit_text(code)))
        elif derived.state == "interrupted":
            st.markdown("Its exit code is not known here: another process started it.")
        if lines:
            st.caption("Its last error" if traceback else "The last lines it wrote")
            shown = traceback or lines[-NUM_LINES:]
            st.code("\n".join(shown), language=None, wrap_lines=True, height=logs.height(shown))


def is_bad(reader: RunReader, derived: DerivedState) -> bool:
    """Return whether the last trainer ended, and neither finished nor paused."""
    if derived.is_active or live.is_launching(reader, derived):
        return False
    has_died = live.exit_code(reader, derived) not in GOOD_CODES
    return derived.state in ("interrupted", "failed") or has_died


def problems(reader: RunReader) -> None:
    """Show what the present attempt told of and went on from, such as a damaged file."""
    events = readers.events(reader)
    attempt = max((event.attempt for event in events), default=0)
    told = [event for event in events if event.event == "problem" and event.attempt == attempt]
    for event in told[-NUM_PROBLEMS:]:
        text = f"{words.clock(event.time)}  {event.text}"
        st.warning(frame.escape(text), icon=":material/warning:")
    if len(told) > NUM_PROBLEMS:
        st.caption(f"{len(told) - NUM_PROBLEMS} more are in the resume record on the page Runs.")


def record(reader: RunReader, derived: DerivedState) -> None:
    """Show how often the run was interrupted, where, what was redone, and whether it is exact."""
    history = resume_record(readers.events(reader))
    if history.attempts == 0:
        return
    so_far = "" if derived.state == "finished" else " so far"
    with st.container(gap="xsmall"):
        st.markdown("**Resume record**")
        with st.container(horizontal=True, vertical_alignment="center"):
            if history.is_exact:
                st.badge(f"Exact{so_far}", icon=":material/check:", color="green")
            else:
                st.badge("Continued, not bit-exact", icon=":material/warning:", color="orange")
            st.markdown(f"{summary(history, derived)} {redone_text(readers.resume_record(reader))}")
        for remark in history.remarks:
            st.caption(frame.escape(remark))
        if history.interruptions:
            st.table(record_table(history), border="horizontal", hide_index=True)


def summary(history: ResumeRecord, derived: DerivedState) -> str:
    """Say how often the run was interrupted, and what that cost; the next start tells of a kill."""
    num = len(history.interruptions)
    redone_s = sum(one.redone_s for one in history.interruptions)
    times = "once" if num == 1 else f"{num} times"
    cost = f"{words.duration(redone_s)} of work redone" if redone_s >= 0.5 else "nothing redone"
    text = f"Interrupted {times}, {cost} in all." if num else "Never interrupted."
    if derived.state == "interrupted":
        return f"{text if num else ''} Interrupted now, not resumed yet.".strip()
    return text


def redone_text(record: ResumeRecord | None) -> str:
    """Say what came of the points that more than one attempt computed; "" where there are none."""
    if record is None or not record.redone_points:
        return ""
    num, others = record.redone_points, len(record.unequal_points)
    points = "1 point of the curves was" if num == 1 else f"{num} points of the curves were"
    result = "the same numbers came out" if not others else f"{others} came out otherwise"
    return f"{points} computed again: {result}."


def record_table(history: ResumeRecord) -> pl.DataFrame:
    """Return one row per interruption, oldest first, in Markdown."""
    return pl.DataFrame(
        {
            "Attempt": [str(one.attempt) for one in history.interruptions],
            "Ended": [_how(one) for one in history.interruptions],
            "Where": [_where(one) for one in history.interruptions],
            "Redone": [words.duration(one.redone_s) for one in history.interruptions],
            "Why": [_why(one) for one in history.interruptions],
        }
    )


def _where(one: Interruption) -> str:
    if one.model is None or one.fold is None:
        return words.NOTHING
    return words.place(one.model, one.fold, one.step)


def _how(one: Interruption) -> str:
    """A killed trainer writes nothing: the time is the next start's, which found it."""
    found = "found " if one.how == "killed" else ""
    return f"{one.how}, {found}{words.clock(one.time)}"


def _why(one: Interruption) -> str:
    return words.NOTHING if one.how == "killed" else frame.escape(one.text)
