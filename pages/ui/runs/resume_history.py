"""Resume history: how often a run was interrupted, what was repeated, whether its bits are exact.

In: the events of a run and its derived state. Out: a badge, a summary, a table of interruptions.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui.shared import frame, readers, words
from trainer.store.reader import RunReader
from trainer.store.resume_record import Interruption, ResumeRecord, resume_record
from trainer.store.run_state import DerivedState


def show(reader: RunReader, derived: DerivedState) -> None:
    """Show the interruptions of a run; nothing for a run that has not started yet."""
    history = resume_record(readers.events(reader))
    if history.attempts == 0:
        return
    so_far = "" if derived.state == "finished" else " so far"
    with st.container(gap="xsmall"):
        st.markdown("**Interruptions**")
        with st.container(horizontal=True, vertical_alignment="center"):
            if history.is_exact:
                st.badge(f"Bit-exact{so_far}", icon=":material/check:", color="green")
            else:
                st.badge("Continued, not bit-exact", icon=":material/warning:", color="orange")
            st.markdown(
                f"{summary(history, derived)} {repeated_text(readers.resume_record(reader))}"
            )
        for remark in history.remarks:
            st.caption(frame.escape(remark))
        if history.interruptions:
            st.table(interruption_table(history), border="horizontal", hide_index=True)


def summary(history: ResumeRecord, derived: DerivedState) -> str:
    """Describe how often the run was interrupted, and how much work was repeated."""
    num = len(history.interruptions)
    repeated_s = sum(one.redone_s for one in history.interruptions)
    times = "once" if num == 1 else f"{num} times"
    cost = f"{words.duration(repeated_s)} of work" if repeated_s >= 0.5 else "no work"
    text = f"Interrupted {times}, {cost} repeated." if num else "Never interrupted."
    if derived.state == "interrupted":  # recorded only when it is resumed
        return f"{text if num else ''} Interrupted now, not resumed yet.".strip()
    return text


def repeated_text(record: ResumeRecord | None) -> str:
    """Compare the points of curves that more than one attempt computed; "" if there are none."""
    if record is None or not record.redone_points:
        return ""
    num, num_unequal = record.redone_points, len(record.unequal_points)
    points = "1 point of the curves was" if num == 1 else f"{num} points of the curves were"
    result = f"with {num_unequal} different results" if num_unequal else "with the same results"
    return f"{points} computed again, {result}."


def interruption_table(history: ResumeRecord) -> pl.DataFrame:
    """Return one row per interruption, oldest first, in Markdown."""
    return pl.DataFrame(
        {
            "Attempt": [str(one.attempt) for one in history.interruptions],
            "Ended": [_end(one) for one in history.interruptions],
            "Where": [_position(one) for one in history.interruptions],
            "Repeated": [words.duration(one.redone_s) for one in history.interruptions],
            "Reason": [_reason(one) for one in history.interruptions],
        }
    )


def _position(one: Interruption) -> str:
    if one.model is None or one.fold is None:
        return words.NOTHING
    return frame.escape(words.position(one.model, one.fold, one.step))


def _end(one: Interruption) -> str:
    """A killed trainer writes nothing: the time is that of the next start, which noticed it."""
    noticed = "noticed " if one.how == "killed" else ""
    return f"{one.how}, {noticed}{words.clock(one.time)}"


def _reason(one: Interruption) -> str:
    return words.NOTHING if one.how == "killed" else frame.escape(one.text)
