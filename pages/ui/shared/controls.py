"""Controls: pause, resume, start over, duplicate. All that they write goes through control.

In: a run and its derived state. Out: buttons; when a pause was requested and when it took effect.
Nothing here waits for the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from pages.ui import notifications, side_process
from pages.ui.shared import frame, live, words
from trainer.config import Config, ConfigError, used_file
from trainer.own_code import approvals
from trainer.own_code.code_files import CodeFile, CodeRefusedError, demand_approved, read_of_run
from trainer.run import RefusedError, control
from trainer.run.transfer import moving
from trainer.run.transfer.moving import TransferError
from trainer.store.checksums import CODE_FOLDER
from trainer.store.durable import StoreError
from trainer.store.names import RunNameError, RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import Command, RunFile, Status
from trainer.store.run_state import DerivedState

SENDER = "dashboard"
MAX_SHOWN_CODE = 200_000  # characters of a file of own code
LONGEST_WAIT_S = 120.0  # a trainer reads commands twice a second; more shows two clocks that differ

_PROBLEM = "controls_problem"
_DONE = "controls_done"
_DUPLICATED = "controls_duplicated"  # name and settings of the run that is duplicated


def run_buttons(reader: RunReader, run_file: RunFile | None, derived: DerivedState) -> None:
    """Show the actions that the run's state allows."""
    if frame.is_read_only():
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if derived.is_active:
            _pause_buttons(reader, derived)
        elif derived.can_resume and reader.paths.has_config and not is_approved(run_file):
            approve_button(reader, run_file)
        elif derived.can_resume and reader.paths.has_config:
            st.button(
                "Resume",
                type="primary",
                icon=":material/play_arrow:",
                key="resume",
                disabled=live.is_launching(reader, derived),
                help="Continues from the last checkpoint. The result is the same, bit for bit, as "
                "without the interruption.",
                on_click=attempt,
                args=(_resume, reader),
            )
        if derived.state == "finished":
            st.page_link("pages/scores.py", label="View scores", icon=":material/monitoring:")
            st.page_link("pages/predict.py", label="Predict gestures", icon=":material/gesture:")
        if not derived.is_active and not live.is_launching(reader, derived):
            start_over_button(reader)
        duplicate_button(run_file)


def is_approved(run_file: RunFile | None) -> bool:
    """Return whether this user has approved all own code of a run on this machine."""
    if run_file is None or not run_file.use:
        return True
    try:
        return not approvals.missing(used_file(entry)[1] for entry in run_file.use)
    except StoreError:
        return False  # named by the dialog


def approve_button(reader: RunReader, run_file: RunFile | None) -> None:
    """Show the button that opens the dialog with the own code of a run."""
    if run_file is not None and st.button(
        "Review and approve code",
        icon=":material/policy:",
        key="read_own_code",
        help="The run comes with Python code that was not approved on this machine. Nothing "
        "executes it before you have approved it.",
    ):
        _approval_dialog(reader, run_file)


@st.dialog("Own code of this run", width="large")
def _approval_dialog(reader: RunReader, run_file: RunFile) -> None:
    try:
        files = read_of_run(reader.root, run_file.use)
    except CodeRefusedError as error:
        st.error(frame.escape(str(error)))
        return
    st.warning(
        "This code came with the run. Once approved, it is executed with your permissions: it can "
        "read, change and delete all your files. Approve it only if you have read or trust it.",
        icon=":material/warning:",
    )
    code_files(files)
    if not is_on_this_machine() or any(len(file.text) > MAX_SHOWN_CODE for file in files):
        st.markdown("Approve it in a terminal on the machine that runs the dashboard:")
        st.code(f"python -m trainer approve {reader.name}", language=None, wrap_lines=True)
    elif st.button(
        "Approve",
        type="primary",
        key="approve_own_code",
        icon=":material/check:",
        on_click=attempt,
        args=(_approve, files),  # the very bytes that are shown
    ):
        st.rerun()


def code_files(files: Sequence[CodeFile]) -> None:
    """Show files of own code, each with its SHA-256."""
    for file in files:
        st.markdown(f"**{frame.escape(file.name)}**  \nSHA-256 {file.sha256}")
        shown = file.text[:MAX_SHOWN_CODE]
        st.code(
            shown,
            language="python",
            line_numbers=True,
            wrap_lines=True,  # nothing is hidden at the right
            height=min(420, 60 + 24 * shown.count("\n")),
        )


def is_on_this_machine() -> bool:
    """Return whether the browser runs on the dashboard's machine: others approve no code."""
    return st.context.ip_address is None


def _approve(files: Sequence[CodeFile]) -> str:
    approvals.approve({file.sha256: file.name for file in files}, "dashboard")
    return f"Approved: {', '.join(file.name for file in files)}."


def show_outcome() -> None:
    """Show the outcome of the last click: refused and why, or done."""
    place = st.container()  # always drawn: a message must not move, and so close, what is below
    problem = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        place.error(frame.escape(problem), icon=":material/block:")
    done = st.session_state.pop(_DONE, None)
    if done is not None:
        st.toast(frame.escape(done), icon=":material/check:")


def attempt(action: Callable[..., str], *args: object) -> None:
    """Run the action of a click; ``show_outcome`` shows its text, or why it was refused."""
    try:
        frame.refuse_read_only()
        st.session_state[_DONE] = action(*args)
    except (
        *(RefusedError, TransferError, StoreError, RunNameError, ConfigError, OSError),
        CodeRefusedError,
    ) as error:
        st.session_state[_PROBLEM] = str(error)


def command_trail(status: Status, command: Command | None) -> str:
    """Describe when a pause was requested, acknowledged and took effect."""
    if command is None or command.command != "pause":
        return ""
    wish = "Pause after this fold" if command.after == "fold" else "Pause"
    parts = [f"{wish} requested {words.clock(command.asked_at)} by {command.asked_by}"]
    if status.acknowledged_command != command.id:
        return f"{parts[0]} → not acknowledged yet"
    if status.acknowledged_at is not None:
        wait_s = status.acknowledged_at - command.asked_at
        later = _later(wait_s) if wait_s <= LONGEST_WAIT_S else ""
        parts.append(f"acknowledged {words.clock(status.acknowledged_at)}{later}")
    if status.state == "paused":
        later = _later(status.heartbeat_at - (status.acknowledged_at or status.heartbeat_at))
        parts.append(f"paused {words.clock(status.heartbeat_at)}{later}")
    else:
        parts.append("finishing the fold" if command.after == "fold" else "saving")
    return " → ".join(parts)


def _later(seconds: float) -> str:
    """Return the time between two entries in words; "" where their clocks differ."""
    return f" ({seconds:.1f} s later)" if seconds >= 0.0 else ""


def start_over_button(reader: RunReader) -> None:
    """Show the button, which opens an explanation with the button that confirms."""
    with st.popover("Start over", icon=":material/restart_alt:", key="start_over"):
        st.markdown(
            f"**{frame.escape(reader.name)}** is renamed with all its files, and a new run with "
            f"the same name and settings starts from the beginning. Nothing is deleted."
        )
        st.button(
            "Rename and start again",
            type="primary",
            key="start_over_sure",
            on_click=attempt,
            args=(start_over, reader),
        )


def start_over(reader: RunReader) -> str:
    """Rename the run and start it again with the same settings."""
    run_file = reader.run_file()
    use = () if run_file is None else run_file.use
    demand_approved(reader.root, use)
    notify = notifications.hand_over(frame.state_dir(), reader.root)
    moved = moving.start_over(reader.root)
    if run_file is None:
        return f"Renamed to {moved.name}. It had no configuration to start again with."
    folds_file = RunPaths(moved.absolute()).folds if run_file.folds.file_sha256 else None
    copies = [moved / CODE_FOLDER / used_file(entry)[0] for entry in use]
    settings = run_file.settings()
    pid = control.start(frame.state_dir(), reader.name, settings, folds_file, copies, notify)
    live.expect_trainer(reader.root, pid)
    return f"Started {reader.name} again; the earlier run is now {moved.name}."


def example_button() -> None:
    """Show the button that opens the run which ships with the project."""
    st.button(
        "Open an example run",
        icon=":material/visibility:",
        key="open_example",
        help="A finished quick run, to look at Scores, Features and Predict before the first "
        "training.",
        on_click=attempt,
        args=(_open_example,),
    )


def _open_example() -> str:
    with st.spinner("Opening the example run …"):
        name = side_process.open_example(frame.state_dir())
    frame.open_run(name)
    return "Opened the example run."


def duplicate_button(
    run_file: RunFile | None, label: str = "Duplicate", key: str = "duplicate"
) -> bool:
    """Show the button that fills the start form from a run; return whether it was clicked."""
    return run_file is not None and st.button(
        label,
        icon=":material/content_copy:",
        key=key,
        help="Fills the form for a new run on the Train page with the settings of this one.",
        on_click=_duplicate,
        args=(run_file,),
    )


def duplicated_run() -> tuple[str, Config] | None:
    """Return name and settings of the run that is being duplicated, or None."""
    found: tuple[str, Config] | None = st.session_state.get(_DUPLICATED)
    return found


def stop_duplicating() -> None:
    """Forget the run that is being duplicated; call it in a callback."""
    st.session_state.pop(_DUPLICATED, None)


def _duplicate(run_file: RunFile) -> None:
    st.session_state[_DUPLICATED] = (run_file.run, run_file.settings())


def _pause_buttons(reader: RunReader, derived: DerivedState) -> None:
    is_pausing, waits = derived.state == "pausing", _waits_for_fold(reader)
    st.button(
        "Pausing" if is_pausing else "Pause",
        type="primary",
        icon=":material/pause:",
        key="pause",
        disabled=is_pausing,
        help="Saves and stops at the next safe point. At most the work since the last checkpoint "
        "is repeated on Resume.",
        on_click=attempt,
        args=(_send, reader, "pause", "now"),
    )
    st.button(
        "Pause after this fold",
        icon=":material/flag:",
        key="pause_after_fold",
        disabled=is_pausing or waits,
        help="Finishes the current fold first.",
        on_click=attempt,
        args=(_send, reader, "pause", "fold"),
    )
    if waits:
        st.button(
            "Cancel pause",
            icon=":material/undo:",
            key="keep_running",
            help="The run continues after this fold.",
            on_click=attempt,
            args=(_send, reader, "run", "now"),
        )


def _waits_for_fold(reader: RunReader) -> bool:
    command = reader.command()
    return command is not None and command.command == "pause" and command.after == "fold"


def _send(
    reader: RunReader, command: Literal["pause", "run"], after: Literal["now", "fold"]
) -> str:
    control.send_command(reader.root, command, SENDER, after)
    return "Sent. The trainer reacts at its next safe point."


def _resume(reader: RunReader) -> str:
    notify = notifications.hand_over(frame.state_dir(), reader.root)
    live.expect_trainer(reader.root, control.resume(reader.root, notify))
    frame.open_run(reader.name)
    return f"Resuming {reader.name}."
