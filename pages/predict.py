"""Predict: one recording and a question: what is it, how sure, and which model says so.

In: the finished models of the run that is looked at; an upload, or a sequence of the run's own
source. Out: the page. Nothing uploaded is written anywhere.
"""

import numpy as np
import streamlit as st

from pages.ui import (
    answers,
    charts_results,
    charts_signals,
    frame,
    live,
    panels,
    predicting,
    readers,
    recordings,
    source,
    uploads,
    words,
)
from trainer.data.schema import DataError

NUM_BARS = 5
NUM_EXAMPLES = 12
CLOSE_MARGIN = 0.1  # the first two answers are then all but equally probable
BUILT_IN, UPLOAD = "Built-in sequence", "Upload"
KINDS = ("All", "Sure and right", "Sure but wrong", "Close calls")

frame.open_page(
    "Predict", "What a recording is, how sure the models are, and which of them says so."
)
run = frame.current_run()
if run is None:
    live.follow(run)
    frame.empty_state(
        "No runs yet",
        "Start one; when it is finished, its models answer here.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
if run_file is None and run.paths.config.exists():
    st.stop()  # damaged, and named above
bundles = readers.version(*(run.paths.bundle(model) for model in ("lgbm", "torch")))
if run_file is None or not bundles:
    live.follow(run)
    units = readers.units(run)
    frame.empty_state(
        "No model of this run is finished yet",
        "Models answer when all their folds are done"
        + (f": {sum(unit.done for unit in units)} of {len(units)} are." if units else "."),
        "pages/train.py",
        "See the progress",
    )
    st.stop()

mode = st.segmented_control(
    "Recording", [BUILT_IN, UPLOAD], default=BUILT_IN, required=True, key="predict_mode"
)
sequences, fold, known = None, None, {}
if mode == UPLOAD:
    left, right = st.columns(2)
    file = left.file_uploader(
        "Recording, CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_file",
        max_upload_size=uploads.MAX_UPLOAD_MB,
        help="One or more sequences in the competition's schema, any subset of the sensors beside "
        "the acceleration. It is read in memory and never written.",
    )
    people = right.file_uploader(
        "Demographics (not needed), CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_people",
        max_upload_size=uploads.MAX_UPLOAD_MB,
        help="Columns subject and handedness: left-handers are mirrored.",
    )
    if file is None:
        st.caption("A sequence of the run's own source is one click away: Built-in sequence.")
        st.stop()
    key = uploads.digest(file.getvalue(), None if people is None else people.getvalue())
    try:
        sequences = predicting.read_upload(key, file, people)
    except DataError as error:
        st.error("The upload cannot be used.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
else:
    try:
        recorded = source.recordings(run_file)
    except source.SourceError as error:
        st.warning("The run's own recordings are not here. Upload a recording instead.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    rows = predicting.built_in_rows(run, run_file, recorded)
    if "probability" in rows.columns:
        kind = st.segmented_control(
            "Which", KINDS, default="All", required=True, key="predict_kind"
        )
        rows = predicting.of_kind(rows, kind, NUM_EXAMPLES)
    left, right = st.columns([1, 2])
    gesture = left.selectbox(
        "True gesture", ["Any", *rows["gesture"].unique().sort()], key="predict_gesture"
    )
    if gesture != "Any":
        rows = rows.filter(gesture=gesture)
    if rows.is_empty():
        frame.empty_state("No such sequence", "Choose another kind or gesture.")
        st.stop()
    titles = {
        row["sequence_id"]: f"{row['sequence_id']} · {row['gesture']} · {row['subject']}"
        for row in rows.iter_rows(named=True)
    }
    sequence_id = right.selectbox(
        "Sequence",
        list(titles),
        key="predict_sequence",
        format_func=lambda name: titles.get(name, name),
    )
    known = rows.filter(sequence_id=sequence_id).row(0, named=True)
    own, every = f"Fold {known['fold']}: never saw {known['subject']}", "All folds"
    asked = st.segmented_control(
        "Answered by",
        [own, every] if known["fold"] is not None else [every],
        required=True,
        default=own if known["fold"] is not None else every,
        help="The models of one fold were trained without this sequence's subject; those of all "
        "other folds have seen it.",
    )
    fold = known["fold"] if asked == own else None
    sequences = recorded.select(np.flatnonzero(recorded.sequence_ids == sequence_id)[:1])
    key = f"{run_file.recordings.fingerprint}:{sequence_id}"
    if fold is None:
        st.warning(
            "Seen in training: most of these models were trained on this very sequence, so "
            "the answer says little about new recordings.",
            icon=":material/visibility:",
        )

try:
    prediction = predicting.ask(str(run.root), bundles, key, fold, sequences)
except predicting.AnswerError as error:
    st.error("The models cannot answer.")
    st.code(str(error), language=None, wrap_lines=True)
    st.stop()

table = answers.answer_rows(prediction).with_columns(steps=sequences.lengths_N)
index = 0
if mode == UPLOAD:
    num_seen = predicting.num_seen_in_training(run_file, sequences)
    if num_seen:
        st.warning(
            f"Seen in training: {num_seen} of {len(table)} are among the recordings that the "
            "models were trained on, so their answers say little about new ones.",
            icon=":material/visibility:",
        )
if len(table) > 1:
    answers_box = st.container(gap="xsmall")
    with answers_box:
        panels.head(
            f"Answers for {len(table):,} sequences",
            answers.download_rows(prediction),
            "answers",
            "Sort by any column; select a row to see that sequence below.",
        )
    event = answers_box.dataframe(
        table,
        hide_index=True,
        key="predict_rows",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "sequence_id": "Sequence",
            "gesture": "Answer",
            "probability": st.column_config.ProgressColumn(
                "Probability", format="%.3f", min_value=0, max_value=1
            ),
            "margin": st.column_config.NumberColumn("Lead over the next", format="%.3f"),
            "p_target": st.column_config.NumberColumn("Probability of a target", format="%.3f"),
            "models_agree": st.column_config.CheckboxColumn("Models agree"),
            "steps": "Steps",
        },
        height="content" if len(table) <= 8 else 320,
    )
    picked = event["selection"]["rows"]
    index = picked[0] if picked and picked[0] < len(table) else 0

row = table.row(index, named=True)
ranking = answers.ranking(prediction, index)
is_target = row["gesture"] in prediction.gestures[: prediction.num_targets]
st.subheader(frame.escape(f"{row['sequence_id']}: {row['gesture']}"), anchor=False)
badges = st.container(horizontal=True)
badges.badge("Target" if is_target else "Non-target", color="blue" if is_target else "gray")
if known:
    is_right = known["gesture"] == row["gesture"]
    badges.badge(
        frame.escape(f"True gesture: {known['gesture']}"),
        color="green" if is_right else "red",
        icon=":material/check:" if is_right else ":material/close:",
    )
if not row["models_agree"]:
    badges.badge("Models disagree", color="orange", icon=":material/call_split:")
elif len(prediction.by_model) > 1:
    badges.badge("Models agree", color="gray")
if row["margin"] < CLOSE_MARGIN:
    badges.badge("Close call", color="orange", icon=":material/balance:")
if not row["models_agree"]:
    guesses = [
        f"{words.MODELS[name]} says {ranking.sort(name, descending=True)['gesture'][0]}"
        for name in prediction.by_model
    ]
    st.caption(frame.escape(", ".join(guesses)))

cards = st.grid(columns=4, min_column_width=150)
cards.metric("Its probability", f"{100 * row['probability']:.1f} %", border=True, height="stretch")
cards.metric(
    "Lead over the next",
    f"{100 * row['margin']:.1f} points",
    border=True,
    height="stretch",
    help="Difference between the two most probable gestures, in percentage points.",
)
cards.metric(
    "Any target",
    f"{100 * row['p_target']:.1f} %",
    border=True,
    height="stretch",
    help="Sum over all target gestures; half of the competition's score asks only this.",
)
cards.metric(
    "Length",
    f"{row['steps']} steps",
    f"{row['steps'] / run_file.data.sampling_rate_hz:.1f} s at "
    f"{run_file.data.sampling_rate_hz:g} Hz",
    delta_color="off",
    delta_arrow="off",
    border=True,
    height="stretch",
)

left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        f"The {min(NUM_BARS, len(ranking))} most probable gestures: bar blended, marks by model",
        charts_results.answer_figure(ranking.head(NUM_BARS).drop("kind")),
        ranking.head(NUM_BARS),
        "top_gestures",
    )
with right:
    number = st.column_config.NumberColumn
    panels.table(
        "Probabilities of every gesture, by model and blended",
        ranking,
        "probabilities",
        {
            "gesture": st.column_config.TextColumn("Gesture", width="medium"),
            "kind": None,
            **{
                name: number(words.MODELS[name], format="percent", width="small")
                for name in ("blend", "lgbm", "torch")
            },
        },
        height="content" if len(ranking) <= 8 else 320,
    )

rate_hz = run_file.data.sampling_rate_hz
traces = recordings.traces(sequences, index, rate_hz)
phases = recordings.phase_bands(sequences, index, rate_hz)
panels.chart(
    "Sensor traces",
    charts_signals.trace_figure(traces, phases, rate_hz),
    traces,
    "traces",
    "The shaded stretch is the gesture itself; no model is told." if len(phases) else "",
)

present = recordings.sensors_present(sequences, index)
with st.expander("How this answer came about", expanded=True):
    st.markdown(f"- Sensors in this sequence: {', '.join(present)}")
    for note in prediction.notes:
        st.markdown(f"- {frame.escape(note[:1].upper() + note[1:])}")
    votes = answers.fold_votes(prediction, index, fold)
    panels.table(
        "How the folds voted",
        votes,
        "votes",
        {
            "model": "Model",
            "fold": "Fold",
            "gesture": "Its answer",
            "probability": number("Its probability", format="%.3f"),
            "p_target": number("Probability of a target", format="%.3f"),
        },
    )
