"""Study controls: state, progress, pause and resume of a study.

In: a study's folder and its derived state. Out: a line and buttons. All writing goes through
trainer.study.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui import notifications
from pages.ui.shared import controls, frame, live, words
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState, derive_state
from trainer.study import launch
from trainer.study.trials import list_studies, study_of_run

EXPLAINED = ("failed", "interrupted", "stalled")  # states whose reason is shown


def strip(run: str | None) -> Callable[[], None]:
    """Show the study that a run belongs to, or that is active; nothing where there is none.

    Returns:
        Draws the part that changes every few seconds.
    """
    root = None if run is None else study_of_run(frame.state_dir(), run)
    if root is None:
        active = (each for each in list_studies(frame.state_dir()) if _is_active(each))
        root = next(active, None)
    if root is None:
        return lambda: None
    derived = derive_state(RunReader(root))
    with st.container(border=True):
        head(root, derived, words.reason(derived) if derived.state in EXPLAINED else "")
        place = st.empty()
        with st.container(horizontal=True):
            buttons(root, derived, is_over=derived.state == "finished")
            st.page_link("pages/runs.py", label="Compare its trials", icon=":material/table:")
    return lambda: _progress(place, derive_state(RunReader(root)))


def head(root: Path, derived: DerivedState, text: str) -> None:
    """Show the name, the state and a sentence."""
    state = "launching" if live.is_launching(RunReader(root), derived) else derived.state
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(frame.escape(f"Study {root.name}"), anchor=False, width="content")
        st.badge(
            state.capitalize(), icon=words.STATE_ICONS[state], color=words.STATE_COLOURS[state]
        )
        st.markdown(frame.escape(text))


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
            disabled=live.is_launching(RunReader(root), derived),
            help="Continues the present trial inside its fold, then the trials that would have "
            "come.",
            on_click=controls.attempt,
            args=(_resume, root),
        )


def _progress(place: DeltaGenerator, derived: DerivedState) -> None:
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
    place.progress(begun / status.total_units, text=frame.escape(text))


def _is_active(root: Path) -> bool:
    return derive_state(RunReader(root)).is_active


def _pause(root: Path) -> str:
    launch.pause(root, controls.SENDER)
    return "Sent. The study reacts at the next safe point of its run."


def _resume(root: Path) -> str:
    notify = notifications.hand_over(frame.state_dir(), root)
    live.expect_trainer(root, launch.resume(root, notify))
    frame.follow_newest()
    return f"Resuming study {root.name}."
