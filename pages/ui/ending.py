"""Ending: how a trainer ended that did not finish, and what it told of on its way.

In: a run and its verdict. Out: a card with the signal or exit code and the last lines it wrote; the
problems it went on from; the record of all interruptions.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui import frame, live, readers, words
from trainer.store.history import resume_record
from trainer.store.reader import RunReader
from trainer.store.records import Interruption, ResumeRecord
from trainer.store.verdict import Verdict

NUM_LINES = 8
NUM_PROBLEMS = 3
GOOD_CODES = (None, 0, 3)  # not ended or not known, finished, paused


def card(reader: RunReader, verdict: Verdict) -> None:
    """Show how the trainer ended; nothing where it works, paused or finished."""
    code, lines = live.exit_code(reader, verdict), reader.log_tail(NUM_LINES)
    is_bad = verdict.state in ("interrupted", "failed") or code not in GOOD_CODES
    if not is_bad or live.is_launching(reader, verdict) or (code is None and not lines):
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**How it ended**")
        if code is not None:
            st.markdown(frame.escape(words.exit_text(code)))
        if lines:
            st.caption("The last lines it wrote")
            st.code("\n".join(lines), language=None, wrap_lines=True)


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


def record(reader: RunReader) -> None:
    """Show how often the run was interrupted, where, what was redone, and whether it is exact."""
    history = resume_record(readers.events(reader))
    if history.attempts == 0:
        return
    with st.container(gap="xsmall"):
        st.markdown("**Resume record**")
        with st.container(horizontal=True, vertical_alignment="center"):
            if history.is_exact:
                st.badge("Exact", icon=":material/check:", color="green")
            else:
                st.badge("Continued, not bit-exact", icon=":material/warning:", color="orange")
            st.markdown(summary(history))
        for remark in history.remarks:
            st.caption(frame.escape(remark))
        if history.interruptions:
            st.table(record_table(history), border="horizontal", hide_index=True)


def summary(history: ResumeRecord) -> str:
    """Say in one sentence how often the run was started and interrupted, and what that cost."""
    num = len(history.interruptions)
    if num == 0:
        return "Never interrupted."
    redone_s = sum(one.redone_s for one in history.interruptions)
    times = "once" if num == 1 else f"{num} times"
    cost = f"{words.duration(redone_s)} of work redone" if redone_s >= 0.5 else "nothing redone"
    return f"Interrupted {times}, {cost} in all."


def record_table(history: ResumeRecord) -> pl.DataFrame:
    """Return one row per interruption, oldest first, in Markdown."""
    return pl.DataFrame(
        {
            "Attempt": [str(one.attempt) for one in history.interruptions],
            "Ended": [f"{one.how}, {words.clock(one.time)}" for one in history.interruptions],
            "Where": [_where(one) for one in history.interruptions],
            "Redone": [words.duration(one.redone_s) for one in history.interruptions],
            "Why": [frame.escape(one.text) for one in history.interruptions],
        }
    )


def _where(one: Interruption) -> str:
    if one.model is None or one.fold is None:
        return words.NOTHING
    return words.place(one.model, one.fold, one.step)
