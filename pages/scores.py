"""Scores: how good the models and their blend are, where they fail, and for whom.

In: scores.json, oof.parquet and metrics.jsonl of the run that is looked at. Out: the page.
"""

import polars as pl
import streamlit as st

from pages.ui import charts, charts_results, frame, live, panels, readers, results, words

SCORE_COLUMNS = {
    "model": "Model",
    "fold": st.column_config.NumberColumn("Fold", width="small"),
    "sensors": "Sensors",
    "mean": st.column_config.NumberColumn("Mean over folds", format="%.4f"),
    "std": st.column_config.NumberColumn("Spread over folds", format="%.4f"),
    "folds": "Folds done",
    "out_of_fold": st.column_config.NumberColumn("Out-of-fold score", format="%.4f"),
    "score": st.column_config.NumberColumn("Score", format="%.4f"),
    "binary_f1": st.column_config.NumberColumn(
        "Binary F1", format="%.4f", help="Target against non-target; half of the score."
    ),
    "macro_f1": st.column_config.NumberColumn(
        "Macro F1",
        format="%.4f",
        help="Over the targets and one class of all non-targets; the other half of the score.",
    ),
    "accuracy": st.column_config.NumberColumn("Accuracy", format="%.4f"),
    "sequences": "Sequences",
    "half_and_half": st.column_config.NumberColumn(
        "Half and half", format="%.4f", help="Mean of all sensors and IMU only."
    ),
    "subject": "Subject",
}

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

run_file = readers.run_file(run)
scores = readers.scores(run)
table = readers.oof(run)
is_config_damaged = run_file is None and run.paths.config.exists()
is_table_damaged = table is None and run.paths.oof.exists()
if is_config_damaged or is_table_damaged:
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
weights = {"lgbm": run_file.blend.lgbm_weight, "torch": run_file.blend.torch_weight}
try:
    oof = results.read_oof(table, labels.gestures, labels.num_targets)
except ValueError as error:
    st.error(f"The out-of-fold table cannot be shown. {error}.")
    st.stop()
if not oof.choices:
    frame.empty_state(
        "No fold is done yet",
        "The out-of-fold table is there, but still empty.",
        "pages/train.py",
        "See the progress",
    )
    st.stop()

num_folds = run_file.folds.count
done = {name: len(set(oof.fold_N[oof.done_mask(name)])) for name in oof.by_model}
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
    headline = results.headline_table(scores)
    if len(run_file.models) == 1:  # its blend is itself
        headline = headline.filter(pl.col("model") != words.MODELS["blend"])
    cards = st.grid(columns=3, min_column_width=150)
    for name in ("blend", "lgbm", "torch"):
        rows = headline.filter(model=words.MODELS[name], sensors="all")
        if not rows.is_empty():
            row = rows.row(0, named=True)
            spread = "" if row["std"] is None else f"± {row['std']:.3f} over {row['folds']} folds"
            cards.metric(
                f"{words.MODELS[name]}, mean score",
                words.score(row["mean"]),
                delta=spread or None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                help="The competition's score, 0 to 1: half binary F1, half macro F1.",
            )
    empty_columns = [name for name in headline.columns if headline[name].is_null().all()]
    panels.table(
        "Scores of the models and the blend", headline.drop(empty_columns), "scores", SCORE_COLUMNS
    )

st.subheader("Folds", anchor=False)
fold_rows = results.fold_table(oof, weights)
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        "Score of every fold and model", charts_results.fold_figure(fold_rows), fold_rows, "folds"
    )
with right:
    panels.table("The same in numbers", fold_rows, "fold_numbers", SCORE_COLUMNS, height=310)

points = readers.curves(run)
curves = {name: curve for name, curve in charts.CURVES.items() if curve.column in points.columns}
if curves:
    picked = st.segmented_control(
        "Curve", list(curves), default=next(iter(curves)), required=True, key="scores_curve"
    )
    curve = curves[picked]
    models = [name for name in run_file.models if not points.filter(model=name).is_empty()]
    last_steps = {"lgbm": run_file.boosting.rounds, "torch": run_file.network.epochs}
    resumed = {
        name: sorted(
            {step for unit in readers.units(run) if unit.model == name for step in unit.resumed_at}
        )
        for name in models
    }
    for name, column in zip(models, st.columns(len(models), gap="large"), strict=True):
        lines = points.filter(model=name)
        with column:
            panels.head(
                f"{words.MODELS[name]}: {picked.lower()} by {words.STEP_NAMES[name]}",
                lines,
                f"curve_{name}",
            )
            st.altair_chart(
                charts.curve_chart(
                    lines, curve, words.STEP_NAMES[name], last_steps[name], resumed[name]
                ),
                key=f"curve_of_{name}",
            )

st.subheader("Which gestures are taken for which", anchor=False)
controls = st.container(horizontal=True)
choice = controls.segmented_control(
    "Answer of",
    oof.choices,
    default=oof.choices[0],
    required=True,
    key="scores_model",
    format_func=words.MODELS.get,
)
unit = controls.segmented_control(
    "Cells",
    ["Share of the true gesture, %", "Sequences"],
    required=True,
    key="scores_unit",
    default="Share of the true gesture, %",
)
mask, proba_MK = oof.probabilities(choice, weights)
num_classes = len(labels.gestures)
count_KK = results.confusion(oof.true_N[mask], proba_MK.argmax(axis=1), num_classes)
cells = pl.DataFrame(count_KK, schema=list(labels.gestures)).insert_column(
    0, pl.Series("true", labels.gestures)
)
gestures = results.gesture_table(count_KK, labels.gestures, labels.num_targets)
left, right = st.columns(2, gap="large")
with left:
    panels.chart(
        f"{words.MODELS[choice]}: true gesture (rows) against predicted gesture (columns)",
        charts_results.confusion_figure(
            count_KK, labels.gestures, labels.num_targets, unit != "Sequences"
        ),
        cells,
        "confusion",
        f"{int(mask.sum()):,} sequences, out of fold. The lines part targets from non-targets.",
    )
with right:
    panels.table(
        f"{words.MODELS[choice]}: precision, recall and F1 of every gesture",
        gestures,
        "gestures",
        {
            "gesture": st.column_config.TextColumn("Gesture", width=165),
            "f1": st.column_config.NumberColumn("F1", format="%.3f", width=60),
            "precision": st.column_config.NumberColumn("Precision", format="%.3f", width=75),
            "recall": st.column_config.NumberColumn("Recall", format="%.3f", width=65),
            "sequences": st.column_config.NumberColumn("Sequences", width=80),
            "most_taken_for": "Most often taken for",
            "kind": "Kind",
        },
        height="content" if len(gestures) <= 20 else 700,
    )
mistakes = (
    results.answer_table(oof, choice, weights)
    .filter(pl.col("true") != pl.col("predicted"))
    .sort("probability", descending=True)
)
panels.table(
    f"{words.MODELS[choice]}: its {len(mistakes):,} mistakes, the surest first",
    mistakes,
    "mistakes",
    {
        "sequence_id": "Sequence",
        "subject": "Subject",
        "fold": "Fold",
        "true": "True gesture",
        "predicted": "Predicted gesture",
        "probability": st.column_config.NumberColumn("Its probability", format="%.3f"),
        "margin": st.column_config.NumberColumn("Lead over the next", format="%.3f"),
    },
    height=260 if len(mistakes) > 6 else "content",
)

st.subheader("Who is hard", anchor=False)
subjects = results.subject_table(oof, choice, weights)
left, right = st.columns(2, gap="large")
with left:
    shown = subjects.head(30)
    few = len(shown) < len(subjects)
    panels.chart(
        f"{words.MODELS[choice]}: score of "
        + (f"the {len(shown)} hardest subjects" if few else "every subject, the hardest first"),
        charts_results.subject_figure(shown),
        subjects,
        "subjects",
    )
with right:
    panels.table("The same in numbers", subjects, "subject_numbers", SCORE_COLUMNS, height=340)

if "blend" in oof.choices:
    st.subheader("Weights of the blend", anchor=False)
    weight_rows = results.weight_curve(oof)
    total = sum(weights.values()) or 1.0
    panels.chart(
        "Out-of-fold score of the blend against the weight of LightGBM",
        charts_results.weight_figure(weight_rows, weights["lgbm"] / total),
        weight_rows,
        "blend_weights",
        "0 is the network alone, 1 is LightGBM alone. The weight in use was fixed before "
        "training. To choose the best point of this curve would tune the blend on the very "
        "sequences that score it: the score would look better than it is.",
    )
