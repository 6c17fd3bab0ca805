"""Scores: how good the models and their blend are, which gestures and subjects they fail on.

In: scores.json, oof.parquet and metrics.jsonl of the run that is looked at. Out: the page.
"""

import numpy as np
import streamlit as st

from pages.ui.scores import (
    blend_weights,
    calibration,
    confusion,
    evaluation,
    mean_scores,
    result_tables,
    score_columns,
    score_figures,
)
from pages.ui.shared import curves, frame, live, panels, readers, results
from trainer.models import registry
from trainer.store.run_state import derive_state

MAX_SUBJECTS = 30  # bars; the table and the CSV have all
SECTIONS = ("Folds", "Confusion", "Gestures", "Subjects", "Calibration", "Weights")

frame.open_page(
    "Scores", "Out of fold: every sequence is predicted by models that were not trained on it."
)
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start a run; its scores appear here as its folds finish.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

loaded = readers.view(run)
run_file, scores = loaded.run_file, loaded.scores
table = readers.oof(run)
is_config_damaged = run_file is None and run.paths.has_config
is_table_damaged = table is None and run.paths.oof.exists()
if is_config_damaged or is_table_damaged:
    st.caption("To list every damaged file of the run: python -m trainer verify RUN")
    st.stop()  # named above
if run_file is None or table is None:
    frame.empty_state(
        "No fold is done yet",
        "Scores appear here when the first fold of a model is done. The page Train shows its "
        "progress.",
        "pages/train.py",
        "See the progress",
    )
    st.stop()

labels, models = run_file.labels, run_file.models
sensors: str = "all"
controls = st.container(horizontal=True, vertical_alignment="bottom")
if results.has_imu_only(table):
    sensors = controls.segmented_control(
        "Sensors",
        ["all", "imu"],
        default="all",
        required=True,
        key="scores_sensors",
        format_func=mean_scores.SENSOR_NAMES.__getitem__,
        help="IMU only: predicted without thermopiles and time of flight, as half of the "
        "competition's test recordings have to be.",
    )
try:
    evaluated = evaluation.read(run, run_file, table, sensors, scores)
except ValueError as error:
    st.error(frame.escape(f"The out-of-fold table cannot be shown. {error}."))
    st.stop()
oof = evaluated.oof
if not oof.choices:
    frame.empty_state(
        "No fold is done yet",
        "The out-of-fold table exists but has no predictions yet.",
        "pages/train.py",
        "See the progress",
    )
    st.stop()
choice = controls.segmented_control(
    "Model",
    oof.choices,
    default=oof.choices[0],
    required=True,
    key="scores_model",
    format_func=registry.title,
    help="The sections from Confusion to Calibration show the predictions of this model.",
)
title = registry.title(choice)
if sensors == "imu":
    title += f", {mean_scores.SENSOR_NAMES[sensors]}"
st.caption("Go to " + " · ".join(f"[{name}](#{name.lower()})" for name in SECTIONS))
detail = evaluated.of_model(choice)

num_folds = run_file.folds.count
num_done = {
    name: len(set(oof.fold_N[oof.done_mask(name)])) if name in oof.by_model else 0
    for name in models
}
unfinished = [
    f"{registry.title(name)} {count} of {num_folds} folds"
    for name, count in num_done.items()
    if count < num_folds
]
if unfinished:
    st.info(
        f"Not all folds are done: {', '.join(unfinished)}. All numbers below leave out the "
        "sequences of unfinished folds; the blend needs the same fold of every model.",
        icon=":material/hourglass_top:",
    )
if scores is not None and scores.models:
    mean_scores.show(scores, models, readers.version(run.paths.scores))

fold_rows = evaluated.folds()
hardest = result_tables.hardest_fold(fold_rows)
st.subheader("Scores of the folds", anchor="folds")
left, right = st.columns(panels.CHART_AND_TABLE, gap="large")
with left:
    panels.chart(
        "Score of every fold" + (f": {hardest}" if hardest else ""),
        evaluation.cached(
            ("folds", *evaluated.key), lambda: score_figures.fold_figure(fold_rows, models)
        ),
        fold_rows,
        "folds",
    )
with right:
    panels.table(
        "Scores and rank of every fold",
        fold_rows,
        "fold_numbers",
        score_columns.FOLDS,
        height=310,
    )

curves.show(loaded, derive_state(run).is_active)

st.subheader("Confusion of gestures", anchor="confusion")
left, right = st.columns(2, gap="large")
with left:
    confusion.show_matrix(detail, title, labels.gestures, labels.num_targets)
with right:
    confusion.show_pairs(detail, title)
confusion.show_sequences(detail, title, labels.gestures, list(oof.by_model))

st.subheader("Precision and recall of the gestures", anchor="gestures")
left, right = st.columns(panels.CHART_AND_TABLE, gap="large")
with left:
    panels.chart(
        f"{title}: F1, precision and recall of every gesture, lowest F1 first",
        evaluation.cached(
            ("gestures", *detail.key), lambda: score_figures.gesture_figure(detail.gestures)
        ),
        detail.gestures,
        "gesture_f1",
        "The score counts all non-targets as one class.",
    )
with right:
    panels.table(
        "F1, precision, recall and support of every gesture",
        detail.gestures,
        "gestures",
        score_columns.GESTURES,
        height="content" if len(detail.gestures) <= 20 else 700,
    )

st.subheader("Scores of the subjects", anchor="subjects")
subjects = detail.subjects
shown = subjects.head(MAX_SUBJECTS)
marks = {name: name for name in oof.by_model if name in subjects.columns} | {choice: "score"}
which = "every subject"
if len(shown) < len(subjects):
    which = f"the {len(shown)} of {len(subjects)} subjects with the lowest scores"
left, right = st.columns(panels.CHART_AND_TABLE, gap="large")
with left:
    panels.chart(
        f"{title}: score of {which}; {subjects['subject'][0]} has the lowest",
        evaluation.cached(
            ("subjects", *detail.key), lambda: score_figures.subject_figure(shown, models, marks)
        ),
        subjects,
        "subjects",
        f"Median over all subjects: {np.median(subjects['score'].to_numpy()):.3f}.",
    )
with right:
    panels.table(
        "Scores of every subject",
        subjects,
        "subject_numbers",
        score_columns.subjects(oof.by_model),
        height="content" if len(subjects) <= 8 else 340,
    )

st.subheader("Calibration of the probabilities", anchor="calibration")
calibrated = evaluated.calibration()
own = calibrated.filter(model=registry.title(choice)).row(0, named=True)
is_fitted = len(models) > 1 and scores is not None and scores.fold_temperatures
fitted = calibration.FITTED if is_fitted else ""
left, right = st.columns(panels.CHART_AND_TABLE, gap="large")
with left:
    panels.chart(
        f"{title} is {calibration.describe(own)}",
        evaluation.cached(
            ("bins", *detail.key), lambda: score_figures.reliability_figure(detail.bins)
        ),
        detail.bins,
        "calibration",
        f"Expected calibration error (ECE) {own['expected_error']:.3f}. Above the dashed line "
        f"predictions are correct more often than their probability, below it less often.{fitted}",
    )
with right:
    panels.table(
        "Calibration of every model", calibrated, "calibration_models", score_columns.CALIBRATION
    )

st.subheader("Weights of the blend", anchor="weights")
selection = "" if scores is None else mean_scores.optimistic_sentences(scores)
blend_weights.show(evaluated, len(models), selection)
