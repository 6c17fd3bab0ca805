"""Train: start, pause, resume; live progress of every fold.

In: the run that is looked at. Out: what it does, how good it is, how long it takes, what is wrong.
"""

import functools

import streamlit as st

from pages.ui.shared import controls, curves, frame, live, logs, outcome, status
from pages.ui.train import alerts, event_list, fold_table, machine, start_form
from trainer.store.run_state import DerivedState, derive_state

frame.open_page("Train")
reader = frame.current_run()
controls.show_outcome()

if reader is None:
    live.follow(None)
    if frame.is_read_only():
        frame.empty_state("No runs yet", "This dashboard is read-only and its folder is empty.")
    else:
        st.markdown("No runs yet. Start one here; it goes on when you close this page.")
        with st.container(border=True):
            start_form.show()
    st.stop()


seen = live.look(reader)
run = status.view(reader)


def show_moving_parts(derived: DerivedState) -> None:
    """Draw what changes every second."""
    with strip_place:
        status.strip(run, derived)
    with alerts_place:
        alerts.show(alerts.find(derived, run.points, run.events))
    with board_place:
        fold_table.show(run, derived)


strip_place = st.container()
derived = derive_state(reader)
controls.run_buttons(
    reader, derived, more=functools.partial(start_form.duplicate_button, run.run_file)
)
with st.container():  # always there, so that what is below keeps its place and stays open
    if start_form.is_duplicating() and not frame.is_read_only():
        with st.container(border=True):
            start_form.show()
alerts_place = st.container()
with st.container():
    outcome.problems(reader)
    outcome.card(reader, derived)
with st.container(gap="xsmall"):
    fold_table.head(run)
    board_place = st.container()
live.follow(reader, show_moving_parts, seen)
with st.container():
    if not (frame.is_read_only() or start_form.is_duplicating()):
        form = st.expander(
            "Start a new run", icon=":material/add:", key="start_expander", on_change="rerun"
        )
        if form.open:  # closed it costs nothing: the page runs again with every new point
            with form:
                start_form.show()

curves.show(run, derived.is_active or live.is_launching(reader, derived))
machine.show(run.reader.name, run.events, derived)
logs.show(reader, is_told=outcome.is_bad(reader, derived))
event_list.show(run.events)
