"""Train: start, pause, resume; live progress of every fold.

In: the run that is looked at. Out: what it does, how good it is, how long it takes, what is wrong.
"""

import streamlit as st

from pages.ui import charts, controls, frame, live, logs, readers, start_form, status, words
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
board_place = st.container()
live.follow(reader, show_moving_parts)
if not frame.is_read_only():
    with st.expander("Start a new run", icon=":material/add:"):
        start_form.show()
status.evidence(verdict)

st.subheader("Curves", anchor=False)
points = readers.curves(reader)
if points.is_empty():
    st.caption("The first points come after the first LightGBM segment or network epoch.")
else:
    name = st.segmented_control(
        "Curve",
        list(charts.CURVES),
        default="Score",
        required=True,
        key="curve",
        persist_state="session",
        label_visibility="collapsed",
    )
    models = [model for model in words.STEP_NAMES if model in points["model"].to_list()]
    for column, model in zip(st.columns(len(models), gap="large"), models, strict=True):
        figure = charts.curve_chart(
            points.filter(model=model),
            charts.CURVES[name],
            words.STEP_NAMES[model],
            status.last_step(run, model),
            status.resumed_at(run, model),
        )
        with column:
            st.markdown(f"**{words.MODELS[model]}**")
            st.altair_chart(figure, key=f"curve_{model}", alt=f"{name} of {model} by fold")

logs.show(reader)
