"""Study controls: state, progress, pause and resume of a study.

In: a study's folder and its derived state. Out: a line, buttons, and a new run of the page where
the study has changed. All writing goes through trainer.study.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import controls, frame, words
from trainer.run import control
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState, derive_state
from trainer.study import launch
from trainer.study.trials import StudyPaths, list_studies, study_of_run

WATCH_S = 2.0
EXPLAINED = ("failed", "interrupted", "stalled")  # states whose reason is shown
LAUNCH_S = 60.0  # until a launched process has written its first status, on a busy machine

_WATCHED = "study_watched"  # what the page showed of the study when it was drawn
_LAUNCHED = "study_launched"  # name of the study, pid of its process, and when


def strip(run: str) -> None:
    """Show the study that a run belongs to, or that is active; nothing where there is none."""
    root = study_of_run(frame.state_dir(), run)
    if root is None:
        active = (each for each in list_studies(frame.state_dir()) if _is_active(each))
        root = next(active, None)
    if root is None:
        return
    derived = derive_state(RunReader(root))
    with st.container(border=True):
        head(root, derived, words.reason(derived) if derived.state in EXPLAINED else "")
        watch(root, progress)
        with st.container(horizontal=True):
            buttons(root, derived, is_over=derived.state == "finished")
            st.page_link("pages/runs.py", label="Compare its trials", icon=":material/table:")


def head(root: Path, derived: DerivedState, text: str) -> None:
    """Show the name, the state and a sentence."""
    state = "launching" if _is_launching(root, derived) else derived.state
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(frame.escape(f"Study {root.name}"), anchor=False, width="content")
        st.badge(
            state.capitalize(), icon=words.STATE_ICONS[state], color=words.STATE_COLOURS[state]
        )
        st.markdown(frame.escape(text))


def progress(derived: DerivedState) -> None:
    """Show how many trials are done, the time left and what is trained now."""
    status = derived.status
    if status is None or not status.total_units:
        return
    begun = min(status.done_units, status.total_units)
    text = f"{begun} of {status.total_units} trials done"
    if derived.is_active and status.eta_s is not None:
        text += f", about {words.duration(status.eta_s)} left"
    if derived.is_active:
        text += f". Now: {status.message}"
    st.progress(begun / status.total_units, text=frame.escape(text))


def buttons(root: Path, derived: DerivedState, is_over: bool) -> None:
    """Show the actions that the study's state allows."""
    if frame.is_read_only():
        return
    if derived.is_active:
        st.button(
            "Pause study",
            icon=":material/pause:",
            key="study_pause",
            disabled=derived.state == "pausing",
            help="The present run saves and stops at the next safe point.",
            on_click=controls.attempt,
            args=(_pause, root),
        )
    elif not is_over:
        st.button(
            "Resume study",
            type="primary",
            icon=":material/play_arrow:",
            key="study_resume",
            disabled=_is_launching(root, derived),
            help="Continues the present trial inside its fold, then the trials that would have "
            "come.",
            on_click=controls.attempt,
            args=(_resume, root),
        )


def watch(root: Path, show: Callable[[DerivedState], None] = lambda _: None) -> None:
    """Run the page again where the study has changed; call once per page.

    Args:
        root: The study's folder.
        show: Draws the part that changes every few seconds, here.
    """
    is_live = bool(st.session_state.get("is_live", True))
    seen = _seen(root)
    st.fragment(_look, run_every=WATCH_S if is_live else None)(root, seen, show)


def expect(name: str, pid: int) -> None:
    """Show a study as launching for a while; call it in a callback."""
    st.session_state[_LAUNCHED] = (name, pid, time.time())


def _look(root: Path, seen: list[object], show: Callable[[DerivedState], None]) -> None:
    is_first = st.session_state.get(_WATCHED) is not seen  # belongs to the run of the page itself
    st.session_state[_WATCHED] = seen
    if not is_first and _seen(root) != seen:
        st.rerun()
    show(derive_state(RunReader(root)))


def _seen(root: Path) -> list[object]:
    derived = derive_state(RunReader(root))
    status = derived.status
    num_over = None if status is None else (status.done_units, status.total_units)
    num_begun = len(list(StudyPaths(root).trials.glob("*.json")))
    return [derived.state, _is_launching(root, derived), num_over, num_begun]


def _is_launching(root: Path, derived: DerivedState) -> bool:
    name, pid, launched_at = st.session_state.get(_LAUNCHED, ("", 0, 0.0))
    if name != root.name or derived.is_active or time.time() - launched_at > LAUNCH_S:
        return False
    if control.exit_code(pid) is not None:
        return False
    return derived.status is None or derived.status.heartbeat_at < launched_at


def _is_active(root: Path) -> bool:
    return derive_state(RunReader(root)).is_active


def _pause(root: Path) -> str:
    launch.pause(root, controls.SENDER)
    return "Sent. The study reacts at the next safe point of its run."


def _resume(root: Path) -> str:
    notify = notifications.hand_over(frame.state_dir(), root)
    expect(root.name, launch.resume(root, notify))
    frame.follow_newest()
    return f"Resuming study {root.name}."
