"""Outcome: how a trainer ended that neither finished nor paused, and problems that it survived.

In: a run and its derived state. Out: a card with the signal or exit code and the last lines of the
log; warnings of the present attempt.
"""

from __future__ import annotations

import streamlit as st

from pages.ui.shared import frame, live, readers, words
from pages.ui.train import logs
from trainer.models import registry
from trainer.store.reader import RunReader
from trainer.store.records import RunFile
from trainer.store.run_state import DerivedState

NUM_LINES = 8
NUM_PROBLEMS = 3
GOOD_CODES = (None, 0, 3)  # running or not known, finished, paused


def card(reader: RunReader, derived: DerivedState) -> None:
    """Show how the trainer ended; nothing while it runs, and if it paused or finished."""
    if not is_bad(reader, derived):
        return
    code, lines = live.exit_code(reader, derived), readers.log_tail(reader, logs.NUM_LINES)
    traceback = logs.final_traceback(lines)
    with st.container(border=True, gap="xsmall"):
        st.markdown("**How the trainer ended**")
        if code is not None:
            st.markdown(frame.escape(words.exit_text(code)))
        elif derived.state == "interrupted":
            st.markdown("Its exit code is not known here: another process started it.")
        if lines:
            st.caption("Its last error" if traceback else "Its last log lines")
            shown = traceback or lines[-NUM_LINES:]
            st.code("\n".join(shown), language=None, wrap_lines=True, height=logs.height(shown))


def is_bad(reader: RunReader, derived: DerivedState) -> bool:
    """Return whether the last trainer ended, and neither finished nor paused."""
    if derived.is_active or live.is_launching(reader, derived):
        return False
    has_died = live.exit_code(reader, derived) not in GOOD_CODES
    return derived.state in ("interrupted", "failed") or has_died


def left_out(run_file: RunFile | None) -> None:
    """Show the models that the run was made without, because a library could not be imported."""
    for text in registry.describe_left_out({} if run_file is None else run_file.left_out):
        st.info(frame.escape(words.capital(text)), icon=":material/info:")


def problems(reader: RunReader) -> None:
    """Show damage of the event log, and problems after which the present attempt continued."""
    events, num_lines = readers.events(reader), readers.num_unreadable_lines(reader)
    if num_lines:
        lines = "1 line is no event" if num_lines == 1 else f"{num_lines:,} lines are no events"
        st.warning(
            f"metrics.jsonl: {lines}. Points of the curves or events are missing.",
            icon=":material/warning:",
        )
    attempt = max((event.attempt for event in events), default=0)
    found = [event for event in events if event.event == "problem" and event.attempt == attempt]
    for event in found[-NUM_PROBLEMS:]:
        text = f"{words.clock(event.time)}  {event.text}"
        st.warning(frame.escape(text), icon=":material/warning:")
    if len(found) > NUM_PROBLEMS:
        st.caption(f"{len(found) - NUM_PROBLEMS} more are listed on the page Runs.")
