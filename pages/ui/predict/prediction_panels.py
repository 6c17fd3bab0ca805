"""Answer panels: the answers about several sequences, and the answer about one.

In: a prediction as frames. Out: elements on the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from pages.ui.predict import charts_prediction, prediction_frames
from pages.ui.shared import frame, panels, words

if TYPE_CHECKING:
    from pages.ui.predict.requests import Single
    from trainer.predict.predictor import Prediction

NUM_BARS = 5
CLOSE_MARGIN = 0.1  # the first two answers are then all but equally probable
ROWS = "predict_rows"
COLUMNS: dict[str, Any] = {
    "sequence_id": "Sequence",
    "gesture": "Answer",
    "probability": st.column_config.ProgressColumn(
        "Probability", format="%.3f", min_value=0, max_value=1
    ),
    "margin": st.column_config.NumberColumn("Lead over the next", format="%.3f"),
    "p_target": st.column_config.NumberColumn("Probability of a target", format="%.3f"),
    "entropy": st.column_config.NumberColumn("Entropy, 0 to 1", format="%.3f"),
    "models_agree": st.column_config.CheckboxColumn("Models agree"),
    "seen": st.column_config.CheckboxColumn("Seen in training"),
    "steps": "Steps",
}
VOTES: dict[str, Any] = {
    "model": "Model",
    "fold": "Fold",
    "gesture": "Its answer",
    "probability": st.column_config.NumberColumn("Its probability", format="%.3f"),
    "p_answer": st.column_config.NumberColumn("Probability of the blend's answer", format="%.3f"),
    "p_target": st.column_config.NumberColumn("Probability of a target", format="%.3f"),
}


def choose_row(table: pl.DataFrame, prediction: Prediction) -> int:
    """Show the answers about several sequences; return which row is selected."""
    with st.container(gap="xsmall"):
        st.markdown(f"**Answers for {len(table):,} sequences**")
        st.caption("Sort by any column; select a row to see that sequence below.")
        _downloads(prediction)
        event = st.dataframe(
            table,
            hide_index=True,
            key=ROWS,
            on_select="rerun",
            selection_mode="single-row",
            column_config=COLUMNS,
            height="content" if len(table) <= 8 else 320,
            alt=f"Answers for {len(table):,} sequences",
        )
    picked = event["selection"]["rows"]
    return picked[0] if picked and picked[0] < len(table) else 0


def headline(row: dict[str, Any], single: Single, true_gesture: str | None) -> None:
    """Show the answer, whether it is right where that is known, and how sure it is.

    Args:
        row: Of ``answers.answer_rows``, with the columns steps and seen.
        single: The sequence.
        true_gesture: None where it is not known.
    """
    prediction = single.prediction
    st.subheader(frame.escape(f"{row['sequence_id']}: {row['gesture']}"), anchor=False)
    badges = st.container(horizontal=True)
    is_target = row["gesture"] in prediction.gestures[: prediction.num_targets]
    badges.badge("Target" if is_target else "Non-target", color="blue" if is_target else "gray")
    if true_gesture is not None:
        is_right = true_gesture == row["gesture"]
        badges.badge(
            frame.escape(f"True gesture: {true_gesture}"),
            color="green" if is_right else "red",
            icon=":material/check:" if is_right else ":material/close:",
        )
    if row["seen"]:
        badges.badge("Seen in training", color="orange", icon=":material/visibility:")
    if not row["models_agree"]:
        badges.badge("Models disagree", color="orange", icon=":material/call_split:")
    elif len(prediction.by_model) > 1:
        badges.badge("Models agree", color="gray")
    if row["margin"] < CLOSE_MARGIN:
        badges.badge("Close call", color="orange", icon=":material/balance:")
    if not row["models_agree"]:
        ranking = prediction_frames.ranking(prediction, single.index)
        guesses = [
            f"{words.MODELS[name]} says {ranking.sort(name, descending=True)['gesture'][0]}"
            for name in prediction.by_model
        ]
        st.caption(frame.escape(", ".join(guesses)))
    _cards(row, single)


def by_model(single: Single) -> None:
    """Show the most probable gestures, blended, by model and by fold, and every number."""
    prediction, index = single.prediction, single.index
    ranking = prediction_frames.ranking(prediction, index)
    best = ranking.head(NUM_BARS)
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"The {len(best)} most probable gestures: blended, and by model",
            charts_prediction.answer_figure(best),
            ranking,
            "top_gestures",
            "The gray bars are the spread over the folds."
            if any(len(told) > 1 for told in prediction.by_fold.values())
            else "One fold of each model was asked.",
        )
    with right:
        what = st.segmented_control(
            "In numbers",
            ["Every gesture", "Every fold"],
            default="Every gesture",
            required=True,
            key="predict_numbers",
            label_visibility="collapsed",
        )
        if what == "Every fold":
            votes = prediction_frames.fold_votes(prediction, index, single.question.fold)
            panels.table(
                "How the folds voted",
                votes,
                "votes",
                VOTES,
                height="content" if len(votes) <= 10 else 370,
            )
        else:
            _show_numbers(ranking)


def _cards(row: dict[str, Any], single: Single) -> None:
    rate_hz = single.question.rate_hz
    cards = st.grid(columns=5, min_column_width=140)
    for title, value, help_text in (
        ("Its probability", f"{100 * row['probability']:.1f} %", None),
        (
            "Lead over the next",
            f"{100 * row['margin']:.1f} points",
            "Difference between the two most probable gestures, in percentage points.",
        ),
        (
            "Any target",
            f"{100 * row['p_target']:.1f} %",
            "Sum over all target gestures; half of the competition's score asks only this. The "
            f"rest, {100 - 100 * row['p_target']:.1f} %, is for non-targets.",
        ),
        (
            "Entropy",
            f"{row['entropy']:.2f}",
            "Of the blend: 0 is certain of one gesture, 1 finds all equally probable.",
        ),
        (
            "Length",
            f"{row['steps'] / rate_hz:.1f} s",
            f"{row['steps']} steps; seconds at {rate_hz:g} steps per second.",
        ),
    ):
        cards.metric(title, value, border=True, height="stretch", help=help_text)


def _show_numbers(ranking: pl.DataFrame) -> None:
    models = [name for name in ("blend", "lgbm", "torch") if name in ranking.columns]
    panels.table(
        "Probabilities of every gesture",
        ranking.select("gesture", *models, "kind"),
        "probabilities",
        {
            "gesture": st.column_config.TextColumn("Gesture", width="medium"),
            "kind": st.column_config.TextColumn("Kind", width="small"),
            **{
                name: st.column_config.NumberColumn(
                    words.MODELS[name], format="percent", width="small"
                )
                for name in models
            },
        },
        height="content" if len(ranking) <= 9 else 370,
    )


def _downloads(prediction: Prediction) -> None:
    """Offer the answers about all sequences in three formats; each is made when it is clicked."""
    line = st.container(horizontal=True)
    for name, ending, mime, write in (
        ("CSV", "csv", "text/csv", lambda: _rows(prediction).write_csv().encode()),
        (
            "Parquet",
            "parquet",
            "application/vnd.apache.parquet",
            lambda: prediction_frames.as_parquet(_rows(prediction)),
        ),
        ("JSON", "json", "application/json", lambda: _rows(prediction).write_json().encode()),
    ):
        line.download_button(
            name,
            data=write,
            file_name=f"answers.{ending}",
            mime=mime,
            key=f"download_answers_{ending}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help=f"Download: the answers for all sequences as {name}, by model too",
        )


def _rows(prediction: Prediction) -> pl.DataFrame:
    return prediction_frames.download_rows(prediction)
