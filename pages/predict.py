"""Predict: one recording and a question: what is it, how sure, and why.

In: the finished models of the run that is looked at; an upload, or a sequence of the run's own
source. Out: the page. Nothing uploaded is written anywhere.
"""

import polars as pl
import streamlit as st

from pages.ui.predict import (
    check_panel,
    explanation_panels,
    nearest_panels,
    prediction_frames,
    prediction_panels,
    recording_choice,
    trace_panels,
    warm_predictor,
)
from pages.ui.predict.requests import Question, Single
from pages.ui.shared import frame, live, readers, recordings, words

TRACES, WHY, WHAT_IF, ALIKE, REPORT = "Over time", "Why", "What if", "Alike", "Report"

frame.open_page("Predict", "What a recording is, how sure the models are, and why.")
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start one; when it is finished, its models answer here.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
if run_file is None and run.paths.has_config:
    st.caption("The command line names every damaged file: python -m trainer verify RUN.")
    st.stop()  # named above
bundles = readers.version(*(run.paths.bundle(model) for model in ("lgbm", "torch")))
if run_file is None or not bundles:
    units = readers.fold_records(run)
    frame.empty_state(
        "No model of this run is finished yet",
        "Models answer when all their folds are done"
        + (f": {sum(unit.done for unit in units)} of {len(units)} are." if units else "."),
        "pages/train.py",
        "See the progress",
    )
    st.stop()

picked = recording_choice.pick(run, run_file)
question = Question(
    root=str(run.root),
    bundles=bundles,
    key=picked.key,
    fold=picked.fold,
    sequences=picked.sequences,
    rate_hz=run_file.data.sampling_rate_hz,
    mirror_left_handers=run_file.data.mirror_left_handers,
    turned_subjects=run_file.recordings.turned_subjects,
)
findings = warm_predictor.examine(question)
check_panel.show(findings)
try:
    prediction = warm_predictor.ask(question)
except warm_predictor.AnswerError as error:
    st.error("The models cannot answer.")
    st.code(str(error), language=None, wrap_lines=True)
    st.stop()

table = prediction_frames.answer_rows(prediction).with_columns(
    seen=pl.Series(picked.seen or [None] * len(prediction.answers), dtype=pl.Boolean),
    steps=picked.sequences.lengths_N,
)
index = prediction_panels.choose_row(table, prediction) if len(table) > 1 else 0
single = Single(question, index, prediction)
row = table.row(index, named=True)
prediction_panels.headline(row, single, picked.known.get("gesture"))
prediction_panels.by_model(single)

sensors = ", ".join(recordings.sensors_present(picked.sequences, index))
notes = [words.capital(note) for note in prediction.notes]
st.caption(frame.escape(". ".join([f"Sensors: {sensors}", *notes])) + ".")

view = st.segmented_control(
    "Look closer",
    [TRACES, WHY, WHAT_IF, ALIKE, REPORT],
    default=TRACES,
    required=True,
    key="predict_view",
    persist_state="session",
    help="Each is worked out when it is looked at.",
)
if view == TRACES:
    trace_panels.show(single)
elif view == WHY:
    explanation_panels.why(single)
elif view == WHAT_IF:
    explanation_panels.what_if(single)
elif view == ALIKE:
    nearest_panels.alike(single, run_file, picked.known)
else:
    remarks = [f"True gesture: {picked.known['gesture']}"] if picked.known else []
    remarks += [words.SIMULATED_MODELS] if run_file.is_simulated else []
    remarks += ["The models were trained on this recording"] if row["seen"] else []
    nearest_panels.report(single, run.name, findings, picked.known, remarks)
