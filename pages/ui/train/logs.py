"""Log: the end of the trainer's log, errors and warnings first.

In: a run. Out: lines as they were written, never as markup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import streamlit as st

from pages.ui.shared import readers
from trainer.store.durable import StoreError
from trainer.store.file_kinds import open_file, read_file
from trainer.store.reader import RunReader

NUM_LINES = 200
NUM_PROBLEMS = 20
HEIGHT_PX = 320
SHORT = 12  # lines that need no scrolling
PROBLEM = re.compile(
    r"\b(error|exception|traceback|critical|fatal|warning|damaged|problem)\b|Error\b", re.I
)
STAMP = re.compile(r"\d{4}-\d\d-\d\d ")  # begins each line that the trainer logs


def show(reader: RunReader, is_closed: bool) -> None:
    """Show the log: errors and warnings first, then its last lines.

    Args:
        reader: The run.
        is_closed: Whether only the folded list is shown: the page has the last error elsewhere.
    """
    lines = readers.log_tail(reader, NUM_LINES)
    _head(reader)
    if not lines:
        st.caption("The log is empty.")
        return
    found = [] if is_closed else problems(lines)
    if found:
        st.caption(f"Lines with errors or warnings: {len(found)}")
        st.code("\n".join(found[-NUM_PROBLEMS:]), language=None, wrap_lines=True)
    with (
        st.expander(
            f"Last {len(lines)} lines", expanded=not (found or is_closed), icon=":material/notes:"
        ),
        st.container(height=height(lines), border=False, autoscroll=True),
    ):
        st.code("\n".join(lines), language=None, wrap_lines=True)


def problems(lines: list[str]) -> list[str]:
    """Return the lines with an error or a warning, oldest first."""
    return [line for line in lines if PROBLEM.search(line)]


def final_traceback(lines: list[str]) -> list[str]:
    """Return the traceback at the end of the log; empty where the trainer logged more after it."""
    begins = [i for i, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    found = lines[begins[-1] :] if begins else []
    return [] if any(STAMP.match(line) for line in found[1:]) else found


def height(lines: list[str]) -> int | Literal["content"]:
    """Return the height of a box with these lines; a long one scrolls."""
    return HEIGHT_PX if len(lines) > SHORT else "content"


def _can_be_read(path: Path) -> bool:
    try:
        with open_file(path):
            return True
    except (FileNotFoundError, StoreError):
        return False


def _head(reader: RunReader) -> None:
    """Show the heading and the download of the whole log."""
    with st.container(
        horizontal=True,
        wrap=False,
        horizontal_alignment="distribute",
        vertical_alignment="center",
    ):
        st.subheader("Log", anchor=False, width="content")
        if _can_be_read(reader.paths.log):
            st.download_button(
                "Download log",
                data=lambda: read_file(reader.paths.log),
                file_name=f"{reader.name}.log",
                mime="text/plain",
                key="download_log",
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
                width="content",
            )
