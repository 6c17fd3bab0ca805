"""Predict: the gesture of a recording, with probabilities and explanations.

In: the bundles of the selected run; an upload, or a sequence of the run's own recordings. Out: the
page. Nothing uploaded is written to disk.
"""

import polars as pl
import streamlit as st

from pages.ui.predict import (
    built_in_sequences,
    explanation_panels,
    explanations,
    prediction_panels,
    predictions,
    request_panels,
    trace_panels,
    uploads,
)
from pages.ui.shared import controls, frame, live, readers, recordings, words
from trainer.predict.model_process import Models

BUILT_IN, UPLOAD = "Built-in sequence", "Upload"
TRACES, WHY, WHAT_IF, NEAREST, REPORT = "Over time", "Why", "What if", "Nearest", "Report"

frame.open_page("Predict", "Predict the gesture of a recording, with probabilities and reasons.")
run = frame.current_run()
controls.show_outcome()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start one; when a model is finished, it predicts here.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
if run_file is None and run.paths.has_config:
    st.caption("The command line names every damaged file: python -m trainer verify RUN.")
    st.stop()  # the file is named above
bundles = predictions.find_bundles(run.paths)
if run_file is None or not bundles:
    folds = readers.fold_records(run)
    frame.empty_state(
        "No model of this run is finished yet",
        "A model can predict when all its folds are done"
        + (f": {sum(fold.done for fold in folds)} of {len(folds)} are." if folds else "."),
        "pages/train.py",
        "See the progress",
    )
    st.stop()

if not controls.is_approved(run_file):
    st.warning(
        "This run was made with own code that is not approved on this machine. It predicts when "
        "you have approved the code.",
        icon=":material/policy:",
    )
    if not frame.is_read_only():
        controls.approve_button(run, run_file)
    st.stop()

models = Models(run.root, bundles, has_own_code=bool(run_file.use))
predictions.load_models(models)
mode = st.segmented_control(
    "Recording", [BUILT_IN, UPLOAD], default=BUILT_IN, required=True, key="predict_mode"
)
chosen = uploads.choose(run_file) if mode == UPLOAD else built_in_sequences.choose(run, run_file)
request = predictions.Request(
    models=models,
    rate_hz=run_file.data.sampling_rate_hz,
    mirror_left_handers=run_file.data.mirror_left_handers,
    recordings=chosen,
)
findings = predictions.check_input(request)
request_panels.input_check(findings)
try:
    prediction = predictions.predict(request)
except predictions.ERRORS as error:
    st.error("No prediction is possible.")
    st.code(str(error), language=None, wrap_lines=True)
    st.stop()

num_sequences = chosen.sequences.num_sequences
table = prediction_panels.sequence_rows(prediction).with_columns(
    seen=pl.Series(chosen.seen or [None] * num_sequences, dtype=pl.Boolean),
    steps=chosen.sequences.lengths_N,
)
index = request_panels.choose_row(table, prediction) if num_sequences > 1 else 0
selected = predictions.Selected(request, index, prediction)
row = table.row(index, named=True)
prediction_panels.headline(row, selected, chosen.known.get("gesture"))
prediction_panels.by_model(selected)

sensors = ", ".join(recordings.sensors_present(chosen.sequences, index))
notes = [words.capital(note) for note in prediction.notes]
st.caption(frame.escape(". ".join([f"Sensors: {sensors}", *notes])) + ".")

view = st.segmented_control(
    "Look closer",
    [TRACES, WHY, WHAT_IF, NEAREST, REPORT],
    default=TRACES,
    required=True,
    key="predict_view",
    persist_state="session",
    help="Each view is computed when it is selected.",
)
if view == TRACES:
    trace_panels.show(selected)
elif view == WHY:
    explanation_panels.why(selected)
elif view == WHAT_IF:
    explanation_panels.what_if(selected)
elif view == NEAREST:
    explanation_panels.nearest(selected, run_file)
else:
    remarks = [f"True gesture: {chosen.known['gesture']}"] if chosen.known else []
    remarks += [words.SIMULATED_MODELS] if run_file.is_simulated else []
    remarks += ["The models were trained on this recording"] if row["seen"] else []
    with st.spinner("Writing the report"):
        html = explanations.report_html(selected, run.name, findings, remarks)
    st.download_button(
        "Download the report (HTML)",
        data=html.encode(),
        file_name="report.html",
        mime="text/html",
        key="download_report",
        icon=":material/download:",
        on_click="ignore",
    )
    st.iframe(html, height=700)
