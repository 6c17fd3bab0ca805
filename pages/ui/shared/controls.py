"""Controls: pause, resume, start over, start a new run. All that they write goes through control.

In: a run and its verdict. Out: buttons; what was asked and when it was answered. Never waits.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.shared import frame, live, words
from trainer.config import ConfigError
from trainer.run import control
from trainer.run.refusal import RefusedError
from trainer.run.transfer.archive import TransferError
from trainer.store.durable import StoreError
from trainer.store.names import RunNameError
from trainer.store.reader import RunReader
from trainer.store.records import Command, Status
from trainer.store.run_state import DerivedState

ASKED_BY = "dashboard"

_PROBLEM = "controls_problem"
_DONE = "controls_done"


def run_buttons(
    reader: RunReader, derived: DerivedState, more: Callable[[], None] = lambda: None
) -> None:
    """Show the actions that this run allows now.

    Args:
        reader: The run.
        derived: On it.
        more: Draws further buttons at the end of the row.
    """
    if frame.is_read_only():
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if derived.is_active:
            _pause_buttons(reader, derived)
        elif derived.can_resume and reader.paths.has_config:
            st.button(
                "Resume",
                type="primary",
                icon=":material/play_arrow:",
                key="resume",
                disabled=live.is_launching(reader, derived),
                help="Goes on from the last checkpoint, to exactly the result it would have had.",
                on_click=attempt,
                args=(_resume, reader),
            )
        if derived.state == "finished":
            st.page_link("pages/scores.py", label="See its scores", icon=":material/monitoring:")
            st.page_link("pages/predict.py", label="Predict with it", icon=":material/gesture:")
        if not derived.is_active and not live.is_launching(reader, derived):
            start_over_button(reader)
        more()


def show_outcome() -> None:
    """Say what the last click came to: refused and why, or done."""
    place = st.container()  # always there: a message must not move, and so close, what is below
    problem = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        place.error(frame.escape(problem), icon=":material/block:")
    done = st.session_state.pop(_DONE, None)
    if done is not None:
        st.toast(frame.escape(done), icon=":material/check:")


def attempt(action: Callable[..., str], *args: object) -> None:
    """Run an action of a click; its answer, or why it was refused, is shown by ``show_outcome``."""
    try:
        frame.refuse_read_only()
        st.session_state[_DONE] = action(*args)
    except (RefusedError, TransferError, StoreError, RunNameError, ConfigError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)


def command_trail(status: Status, command: Command | None) -> str:
    """Say when a pause was asked for, when it was acknowledged and when it took effect."""
    if command is None or command.command != "pause":
        return ""
    wish = "Pause after this fold" if command.after == "fold" else "Pause"
    parts = [f"{wish} asked {words.clock(command.asked_at)} by {command.asked_by}"]
    if status.acknowledged_command != command.id:
        return f"{parts[0]} → not acknowledged yet"
    if status.acknowledged_at is not None:
        wait_s = status.acknowledged_at - command.asked_at
        parts.append(f"acknowledged {words.clock(status.acknowledged_at)} ({wait_s:.1f} s later)")
    if status.state == "paused":
        saved_s = status.heartbeat_at - (status.acknowledged_at or status.heartbeat_at)
        parts.append(f"paused {words.clock(status.heartbeat_at)} ({saved_s:.1f} s later)")
    else:
        parts.append("goes on until the fold is done" if command.after == "fold" else "saving")
    return " → ".join(parts)


def start_over_button(reader: RunReader) -> None:
    """Show the button, and behind it what it means and the button that does it."""
    with st.popover("Start over", icon=":material/restart_alt:", key="start_over"):
        st.markdown(
            f"**{frame.escape(reader.name)}** is moved aside with all its files, and started "
            f"again from nothing with the same settings. Nothing is deleted."
        )
        st.button(
            "Move aside and start again",
            type="primary",
            key="start_over_sure",
            on_click=attempt,
            args=(start_over, reader),
        )


def start_over(reader: RunReader) -> str:
    """Move the run aside and start it again with the settings it has."""
    run_file = reader.run_file()
    moved = control.start_over(reader.root)
    if run_file is None:
        return f"Moved to {moved.name}. It had no configuration to start again with."
    pid = control.start(frame.state_dir(), reader.name, run_file.settings())
    live.expect_trainer(reader.name, pid)
    return f"Started {reader.name} again; the old one is {moved.name}."


def _pause_buttons(reader: RunReader, derived: DerivedState) -> None:
    asked, waits = derived.state == "pausing", _waits_for_fold(reader)
    st.button(
        "Pausing" if asked else "Pause",
        type="primary",
        icon=":material/pause:",
        key="pause",
        disabled=asked,
        help="Saves and stops at the next safe point; a LightGBM segment that is half done is "
        "given up and redone. Nothing else is lost.",
        on_click=attempt,
        args=(_ask, reader, "pause", "now"),
    )
    st.button(
        "Pause after this fold",
        icon=":material/flag:",
        key="pause_after_fold",
        disabled=asked or waits,
        help="Finishes the fold in work first.",
        on_click=attempt,
        args=(_ask, reader, "pause", "fold"),
    )
    if waits:
        st.button(
            "Go on after all",
            icon=":material/undo:",
            key="keep_running",
            help="Takes the pause back while it has not happened.",
            on_click=attempt,
            args=(_ask, reader, "run", "now"),
        )


def _waits_for_fold(reader: RunReader) -> bool:
    command = reader.command()
    return command is not None and command.command == "pause" and command.after == "fold"


def _ask(reader: RunReader, command: str, after: str) -> str:
    control.ask(reader.root, command, ASKED_BY, after)
    return "Asked. The trainer answers at its next safe point."


def _resume(reader: RunReader) -> str:
    live.expect_trainer(reader.name, control.resume(reader.root))
    frame.open_run(reader.name)
    return f"Resuming {reader.name}."
