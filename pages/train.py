"""Train: start, pause, resume; live progress of every fold.

In: the run that is looked at. Out: what it does, how good it is, how long it takes, what is wrong.
"""

import streamlit as st

from pages.ui import (
    charts,
    controls,
    ending,
    frame,
    live,
    logs,
    readers,
    start_form,
    status,
    words,
)
from trainer.store.verdict import Verdict, judge

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


run = status.view(reader)


def show_moving_parts(verdict: Verdict) -> None:
    """Draw what changes every second."""
    with strip_place:
        status.strip(run, verdict)
    with board_place:
        status.board(run, verdict)


strip_place = st.container()
verdict = judge(reader)
controls.run_buttons(reader, verdict)
with st.container():  # always there, so that what is below keeps its place and stays open
    ending.problems(reader)
    ending.card(reader, verdict)
board_place = st.container()
live.follow(reader, show_moving_parts)
if not frame.is_read_only():
    with st.expander("Start a new run", icon=":material/add:", key="start_expander"):
        start_form.show()
status.evidence(verdict)

st.subheader("Curves", anchor=False)
name = st.segmented_control(
    "Curve",
    list(charts.CURVES),
    default="Score",
    required=True,
    key="curve",
    persist_state="session",
    label_visibility="collapsed",
)
points = readers.curves(reader)
for place, model in zip(st.columns(2, gap="large"), words.STEP_NAMES, strict=True):
    of_model = points.filter(model=model)
    step_name = words.STEP_NAMES[model]
    with place:
        if of_model.is_empty():
            st.markdown(f"**{words.MODELS[model]}**")
            st.caption(f"No {step_name} has been scored yet.")
            continue
        curve = charts.CURVES[name]
        newest = charts.newest_point(of_model, curve, step_name)
        st.markdown(f"**{words.MODELS[model]}**, newest: {newest}")
        figure = charts.curve_chart(
            of_model,
            curve,
            step_name,
            status.last_step(run, model),
            status.resumed_at(run, model),
        )
        st.altair_chart(
            figure, key=f"curve_{model}", alt=f"{name} of {words.MODELS[model]} by fold"
        )

logs.show(reader, is_told=ending.is_bad(reader, verdict))
