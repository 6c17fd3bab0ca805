"""Logs: the end of the trainer's log, what went wrong first.

In: a run. Out: lines as they were written, never as markup.
"""

from __future__ import annotations

import re
from typing import Literal

import streamlit as st

from trainer.store.reader import RunReader

NUM_LINES = 200
NUM_PROBLEMS = 20
HEIGHT_PX = 320
SHORT = 12  # lines that need no scrolling
PROBLEM = re.compile(
    r"\b(error|exception|traceback|critical|fatal|warning|damaged|problem)\b|Error\b", re.I
)


def show(reader: RunReader, is_told: bool) -> None:
    """Show the log: problems first, then its last lines.

    Args:
        reader: The run.
        is_told: Whether the page says already how the run ended; the log then stays closed.
    """
    lines = reader.log_tail(NUM_LINES)
    st.subheader("Log", anchor=False)
    if not lines:
        st.caption("The trainer has not printed anything yet.")
        return
    found = [] if is_told else problems(lines)
    if found:
        st.caption(f"Lines that speak of a problem: {len(found)}")
        st.code("\n".join(found[-NUM_PROBLEMS:]), language=None, wrap_lines=True)
    with (
        st.expander(
            f"Last {len(lines)} lines", expanded=not (found or is_told), icon=":material/notes:"
        ),
        st.container(height=_height(lines), border=False, autoscroll=True),
    ):
        st.code("\n".join(lines), language=None, wrap_lines=True)


def problems(lines: list[str]) -> list[str]:
    """Return the lines that speak of a problem, oldest first."""
    return [line for line in lines if PROBLEM.search(line)]


def _height(lines: list[str]) -> int | Literal["content"]:
    return HEIGHT_PX if len(lines) > SHORT else "content"
