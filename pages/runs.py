"""Runs: compare all runs; name, export, import, delete, start over, open one.

In: the state folder. Out: a table of all runs, and what can be done with the chosen one.
"""

import streamlit as st

from pages.ui import controls, ending, frame, live, readers, run_actions, run_table, words
from trainer.store.reader import RunReader
from trainer.store.verdict import judge

frame.open_page("Runs")
controls.show_outcome()
names = frame.run_names()
current = frame.current_run()
live.follow(current)

if current is None:
    frame.empty_state(
        "No runs yet",
        f"Runs appear here once one was started or imported into {frame.state_dir()}.",
        "pages/train.py",
        "Start a run",
    )
else:
    problems: list[str] = []
    runs = [RunReader(frame.state_dir() / name) for name in names]
    table = run_table.run_table(runs, problems)
    event = st.dataframe(
        table,
        key="runs_table",
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        placeholder=words.NOTHING,
        alt=f"{len(names)} runs with state, scores and settings",
        column_config={
            "Run": st.column_config.TextColumn(pinned=True),
            "Title": st.column_config.TextColumn(
                width="medium" if any(table["Title"]) else "small"
            ),
            "Blend": st.column_config.NumberColumn(format="%.3f", help="Mean score of the folds"),
            "LightGBM": st.column_config.NumberColumn(format="%.3f"),
            "Network": st.column_config.NumberColumn(format="%.3f"),
            "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
    )
    st.caption(
        "Scores are means over the folds that are done. The columns on the right are the "
        "settings in which the runs differ. Select a row to work with that run."
    )
    readers.show_problems(problems)
    rows = event.selection.rows
    chosen = runs[rows[0]] if rows else current
    verdict = judge(chosen)

    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(frame.escape(chosen.name), anchor=False, width="content")
            st.markdown(frame.escape(words.reason(verdict)))
        with st.container(horizontal=True):
            if st.button(
                "Open",
                type="primary",
                icon=":material/open_in_new:",
                key="open",
                on_click=frame.open_run,
                args=(chosen.name,),
            ):
                st.switch_page("pages/train.py")
            run_actions.export_button(chosen, verdict)
            if not frame.is_read_only():
                if not verdict.is_active:
                    controls.start_over_button(chosen)
                run_actions.delete_button(chosen, verdict)
        ending.record(chosen, verdict)
        run_actions.notes_form(chosen)

if not frame.is_read_only():
    with st.expander("Import a run", icon=":material/upload:", key="import_expander"):
        run_actions.import_form()
