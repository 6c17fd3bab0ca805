"""Train: start, pause, resume; live progress of every fold.

In: the selected run. Out: its state, scores, time left and problems.
"""

import streamlit as st

from pages.ui.shared import controls, curves, frame, live, readers
from pages.ui.studies import study_controls
from pages.ui.train import (
    alerts,
    event_list,
    fold_table,
    logs,
    machine,
    outcome,
    start_form,
    status_strip,
)
from trainer.store.run_state import DerivedState, derive_state

frame.open_page("Train")
reader = frame.current_run()
controls.show_outcome()

if reader is None:
    live.follow(None)
    study_controls.strip(None)()
    if frame.is_read_only():
        frame.empty_state("No runs yet", "This dashboard is read-only and its folder is empty.")
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            text = "No runs yet. Start one here; it continues when you close this page."
            st.markdown(text, width="content")
            controls.example_button()
        with st.container(border=True):
            start_form.show()
    st.stop()


seen = live.snapshot(reader)
run = readers.view(reader)


def show_live_parts(derived: DerivedState) -> None:
    """Draw the parts of the page that change every second."""
    with strip_place:
        status_strip.show(run, derived)
    show_study()
    with alerts_place:
        alerts.show(alerts.find(derived, run.points, run.events))
    with table_place:
        fold_table.show(run, derived)


strip_place = st.container()
derived = derive_state(reader)
with st.container():  # always drawn, so that the elements below keep their place
    show_study = study_controls.strip(reader.name)
is_duplicating = controls.duplicated_run() is not None
controls.run_buttons(reader, run.run_file, derived)
with st.container():  # always drawn, so that the elements below keep their place and stay open
    if is_duplicating and not frame.is_read_only():
        with st.container(border=True):
            start_form.show()
alerts_place = st.container()
with st.container():
    outcome.left_out(run.run_file)
    outcome.problems(reader)
    outcome.card(reader, derived)
with st.container(gap="xsmall"):
    fold_table.head(run)
    table_place = st.container()
live.follow(reader, show_live_parts, seen)
with st.container():
    if not (frame.is_read_only() or is_duplicating):
        form = st.expander(
            "Start a new run", icon=":material/add:", key="start_expander", on_change="rerun"
        )
        if form.open:  # drawn only when open: the page runs again with every new point
            with form:
                start_form.show()

curves.show(run, derived.is_active or live.is_launching(reader, derived))
machine.show(run.reader.name, run.events, derived)
logs.show(reader, is_closed=outcome.is_bad(reader, derived))
event_list.show(run.events)
