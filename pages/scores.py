"""Scores: how good the models and their blend are, where they fail, and for whom.

In: scores.json, oof.parquet and metrics.jsonl of the run that is looked at. Out: the page.
"""

import streamlit as st

from pages.ui.scores import (
    calibration,
    charts_scores,
    figures,
    misclassified,
    score_columns,
    score_panels,
    score_tables,
    scoreboard,
)
from pages.ui.shared import curves, frame, live, panels, readers, results, status, words
from trainer.store.run_state import derive_state

MAX_SUBJECTS = 30  # bars; the table and the CSV have all
SECTIONS = ("Folds", "Mistakes", "Gestures", "Subjects", "Calibration", "Weights")

frame.open_page(
    "Scores", "Out of fold: each sequence is scored by models that never saw its subject."
)
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start one; its scores appear fold by fold.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

loaded = status.view(run)
run_file, scores = loaded.run_file, loaded.scores
table = readers.oof(run)
is_config_damaged = run_file is None and run.paths.has_config
is_table_damaged = table is None and run.paths.oof.exists()
if is_config_damaged or is_table_damaged:
    st.caption("The command line names every damaged file: python -m trainer verify RUN.")
    st.stop()  # named above
if run_file is None or table is None:
    frame.empty_state(
        "No fold is done yet",
        "Scores appear here when the first fold of a model is done. Its progress is on the page "
        "Train.",
        "pages/train.py",
        "See the progress",
    )
    st.stop()

labels = run_file.labels
choices = score_tables.SENSOR_NAMES
sensors = "all"
controls = st.container(horizontal=True, vertical_alignment="bottom")
if results.has_imu_only(table):
    sensors = controls.segmented_control(
        "Sensors",
        ["all", "imu"],
        default="all",
        required=True,
        key="scores_sensors",
        format_func=choices.get,
        help="IMU only: scored with thermopiles and time of flight hidden, as in half of the "
        "competition's test recordings.",
    )
try:
    board = scoreboard.read(run, run_file, table, sensors)
except ValueError as error:
    st.error(f"The out-of-fold table cannot be shown. {error}.")
    st.stop()
oof = board.oof
if not oof.choices:
    frame.empty_state(
        "No fold is done yet",
        "The out-of-fold table is there, but still empty.",
        "pages/train.py",
        "See the progress",
    )
    st.stop()
choice = controls.segmented_control(
    "Answer of",
    oof.choices,
    default=oof.choices[0],
    required=True,
    key="scores_model",
    format_func=words.MODELS.get,
    help="Whose answers the sections from Mistakes on look at.",
)
who = words.MODELS[choice] + (f", {choices[sensors]}" if sensors == "imu" else "")
st.caption("Go to " + " · ".join(f"[{name}](#{name.lower()})" for name in SECTIONS))
view = board.close_up(choice)
calibrated = board.calibration()

num_folds = run_file.folds.count
done = {
    name: len(set(oof.fold_N[oof.done_mask(name)])) if name in oof.by_model else 0
    for name in run_file.models
}
unfinished = [
    f"{words.MODELS[name]} {count} of {num_folds} folds"
    for name, count in done.items()
    if count < num_folds
]
if unfinished:
    st.info(
        f"Not all folds are done: {', '.join(unfinished)}. Sequences of the other folds are left "
        "out of every number below; a blend needs the fold of both models.",
        icon=":material/hourglass_top:",
    )
if scores is not None and scores.models:
    version = readers.version(run.paths.scores)
    score_panels.headline(scores, run_file.models, version)

fold_rows = board.folds()
hardest = results.hardest_fold(fold_rows)
st.subheader("Folds", anchor="folds")
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        "Score of every fold" + (f": {hardest}" if hardest else ""),
        figures.drawn(("folds", *board.key), lambda: charts_scores.fold_figure(fold_rows)),
        fold_rows,
        "folds",
    )
with right:
    panels.table(
        "The same in numbers, and how the folds rank",
        fold_rows,
        "fold_numbers",
        score_columns.FOLDS,
        height=310,
    )

curves.show(loaded, derive_state(run).is_active)

st.subheader("Which gestures are taken for which", anchor="mistakes")
left, right = st.columns(2, gap="large")
with left:
    misclassified.matrix(view, who, labels.gestures, labels.num_targets)
with right:
    misclassified.pairs(view, who)
misclassified.sequences(view, who, labels.gestures)

st.subheader("How well each gesture is found", anchor="gestures")
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        f"{who}: F1 of every gesture, the hardest first, with precision and recall",
        figures.drawn(("gestures", *view.key), lambda: charts_scores.gesture_figure(view.gestures)),
        view.gestures,
        "gesture_f1",
        "The score counts all non-targets as one class.",
    )
with right:
    panels.table(
        "The same in numbers",
        view.gestures,
        "gestures",
        score_columns.GESTURES,
        height="content" if len(view.gestures) <= 20 else 700,
    )

st.subheader("Who is hard", anchor="subjects")
subjects = view.subjects
shown = subjects.head(MAX_SUBJECTS)
few = len(shown) < len(subjects)
marks = {name: name for name in oof.by_model if name in subjects.columns} | {choice: "score"}
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        f"{who}: score of "
        + (f"the {len(shown)} hardest of {len(subjects)} subjects" if few else "every subject")
        + f"; {subjects['subject'][0]} is the hardest",
        figures.drawn(
            ("subjects", *view.key),
            lambda: charts_scores.subject_figure(shown, marks),
        ),
        subjects,
        "subjects",
        f"Half of the subjects score above {subjects['score'].median():.3f}.",
    )
with right:
    panels.table(
        "The same in numbers", subjects, "subject_numbers", score_columns.SUBJECTS, height=340
    )

st.subheader("How sure, and how often right", anchor="calibration")
own = calibrated.filter(model=words.MODELS[choice]).row(0, named=True)
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        f"{who} is {calibration.verdict(own)}",
        figures.drawn(("bins", *view.key), lambda: charts_scores.reliability_figure(view.bins)),
        view.bins,
        "calibration",
        f"Expected calibration error {own['expected_error']:.3f}. Above the dashed line the model "
        "is right more often than it says, below it less often.",
    )
with right:
    panels.table(
        "Calibration of every model", calibrated, "calibration_models", score_columns.CALIBRATION
    )

st.subheader("Weights of the blend", anchor="weights")
if "blend" not in oof.choices:
    is_alone = len(run_file.models) == 1
    st.caption(
        "This run has one model: there is nothing to weigh."
        if is_alone
        else "The curve appears when both models have done the same fold."
    )
    st.stop()
score_panels.weights(board.blend())
