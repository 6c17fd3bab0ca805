"""Runs: compare all runs; name, export, import, duplicate, delete, start over, open one.

In: the state folder. Out: a table of all runs; two or more compared, or details and actions of the
selected one.
"""

import streamlit as st

from pages.ui.runs import (
    comparison_panels,
    resume_history,
    run_actions,
    run_choice,
    run_files,
    run_settings,
    run_table,
)
from pages.ui.shared import controls, frame, live, readers, words
from pages.ui.studies import study_panels
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

frame.open_page(
    "Runs", "All runs in the state folder: compare them, or work with one.", is_of_one_run=False
)
controls.show_outcome()
current = frame.current_run()
live.follow(current)

if current is None:
    what_to_do = "This dashboard is read-only and its folder is empty."
    if not frame.is_read_only():
        what_to_do = f"Start a run, or import one below. Runs are stored in {frame.state_dir()}."
    is_fixed = frame.is_read_only()
    page, label = (None, None) if is_fixed else ("pages/train.py", "Start a run")
    frame.empty_state("No runs yet", what_to_do, page, label)
else:
    runs = [RunReader(frame.state_dir() / name) for name in frame.run_names()]
    found = run_table.summaries(runs)
    derived_states = {run.name: derive_state(run) for run in runs}
    run_choice.watch(found, derived_states)
    table_place = st.container()
    run_choice.field([summary.name for summary in found])  # first: a deep link selects rows
    with table_place:
        run_choice.table(found, derived_states)
        st.caption(
            "Scores are means over the finished folds. The columns on the right are the settings "
            "in which the runs differ. Select one run to work with it, several to compare them."
        )
        readers.show_problems([problem for summary in found for problem in summary.problems])
    with st.container():  # always drawn, so that the elements below keep their place
        study_panels.show()
    by_name = {summary.name: summary for summary in found}
    compared = [by_name[name] for name in run_choice.chosen() if name in by_name]

    if len(compared) > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(f"{len(compared)} runs side by side", anchor=False, width="content")
            frame.badges(summary.run for summary in compared)
            st.button(
                "Stop comparing",
                icon=":material/close:",
                key="stop_comparing",
                type="tertiary",
                on_click=run_choice.stop_comparing,
            )
        comparison_panels.show(compared)
    else:
        chosen = by_name[current.name]
        derived = derived_states[current.name]
        state = run_table.shown_state(chosen, derived)
        with st.container(border=True, gap="medium"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.subheader(frame.escape(chosen.name), anchor=False, width="content")
                st.badge(
                    state.capitalize(),
                    icon=words.STATE_ICONS[state],
                    color=words.STATE_COLOURS[state],
                )
                frame.badges([chosen.run])
                st.markdown(frame.escape(words.reason(derived)))
            run_actions.buttons(chosen, derived)
            left, right = st.columns(2, gap="large")
            with left:
                run_actions.notes_form(chosen)
            with right:
                run_settings.show(chosen)
            resume_history.show(chosen.run, derived)
            with st.expander("Files", icon=":material/folder:", key="files_expander"):
                run_files.show(chosen.run, derived)

if not frame.is_read_only():
    with st.expander("Import a run", icon=":material/upload:", key="import_expander"):
        run_actions.import_form()
