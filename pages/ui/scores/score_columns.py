"""Columns of the tables on the page Scores: titles, formats, what the numbers mean.

In: nothing, or the models of the run. Out: column configurations for ``panels.table``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import streamlit as st

from trainer.models import registry

if TYPE_CHECKING:
    from streamlit.elements.lib.column_types import ColumnConfig

    Columns = dict[str, ColumnConfig | str | None]

_number = st.column_config.NumberColumn

SCORE_HELP = "The competition's score, 0 to 1: the mean of binary F1 and macro F1."
BINARY_HELP = "F1 of target against non-target gestures; half of the score."
MACRO_HELP = (
    "Mean F1 over the targets and one class of all non-targets, so confusing one non-target with "
    "another costs nothing; half of the score."
)
INTERVAL_HELP = (
    "End of the 95 % interval of the difference: subjects are drawn with replacement 1,000 times, "
    "each with all its sequences, which are not independent. Models and weights stay the same."
)

# Widths in pixels: a table fits beside its chart on a screen of 1440, a wider one stretches it.
# A column that is None is only in the download.
_FOLD = _number("Fold", width=48)

PARTS: Columns = {
    "model": st.column_config.TextColumn("Model", width=84),
    "score": _number("Score", format="%.4f", width=62, help=SCORE_HELP),
    "binary_f1": _number("Binary F1", format="%.4f", width=78, help=BINARY_HELP),
    "macro_f1": _number("Macro F1", format="%.4f", width=78, help=MACRO_HELP),
    "accuracy": _number(
        "Accuracy",
        format="%.4f",
        width=74,
        help="Share of sequences whose gesture is predicted correctly.",
    ),
    "sequences": _number("Sequences", width=84),
}
MEANS: Columns = {
    "model": PARTS["model"],
    "sensors": st.column_config.TextColumn("Sensors", width=104),
    "mean": _number(
        "Score", format="%.4f", width=62, help="Mean over the folds that are done. " + SCORE_HELP
    ),
    "std": _number(
        "±", format="%.4f", width=62, help="Standard deviation of the score over the folds."
    ),
    "binary_f1_mean": PARTS["binary_f1"],
    "binary_f1_std": None,
    "macro_f1_mean": PARTS["macro_f1"],
    "macro_f1_std": None,
    "out_of_fold": _number(
        "Out of fold", format="%.4f", width=90, help="Score of all folds' sequences together."
    ),
    **dict.fromkeys(("binary_f1", "macro_f1", "accuracy", "folds", "sequences")),
}
FOLDS: Columns = PARTS | {
    "fold": _FOLD,
    "rank": _number("Rank", width=54, help="1 is the model's fold with the highest score."),
}
GESTURES: Columns = {
    "gesture": st.column_config.TextColumn("Gesture", width=160),
    "f1": _number("F1", format="%.3f", width=56, help="Harmonic mean of precision and recall."),
    "precision": _number(
        "Precision",
        format="%.3f",
        width=75,
        help="Share of predictions of this gesture that are correct.",
    ),
    "recall": _number(
        "Recall",
        format="%.3f",
        width=62,
        help="Share of sequences of this gesture that are predicted correctly.",
    ),
    "sequences": _number("Support", width=70, help="Number of sequences of this gesture."),
    "most_taken_for": st.column_config.TextColumn(
        "Misclassified as", width=150, help="The most frequent wrong prediction for this gesture."
    ),
    "kind": None,
}
PAIRS: Columns = {
    "true": st.column_config.TextColumn("True gesture", width=141),
    "predicted": st.column_config.TextColumn("Predicted gesture", width=141),
    "count": _number(
        "Count", width=56, help="Number of sequences of the true gesture that are predicted so."
    ),
    "share": _number(
        "Share, %",
        format="%.1f",
        width=67,
        help="Share of the sequences of the true gesture, in percent.",
    ),
    "back": _number(
        "Reverse",
        width=66,
        help="Number of sequences misclassified the other way round, predicted as true.",
    ),
}
CALIBRATION: Columns = {
    "model": PARTS["model"],
    "expected_error": _number(
        "ECE",
        format="%.4f",
        width=62,
        help="Expected calibration error: mean difference between probability and accuracy over "
        "ten bins of the probability, weighted by the number of sequences.",
    ),
    "mean_probability": _number(
        "Mean probability", format="%.4f", width=124, help="Of the predicted gesture."
    ),
    "accuracy": PARTS["accuracy"],
    "log_loss": _number("Log loss", format="%.4f", width=72, help="Lower is better."),
    "brier": _number("Brier score", format="%.4f", width=88, help="0 to 2, lower is better."),
    "sequences": None,
}
GAIN: Columns = {  # a phone shows all up to the interval
    "compared_with": st.column_config.TextColumn(
        "Compared with",
        width=112,
        help="One model alone, or the blend with chosen weights: for each fold those with the "
        "highest score on all other folds.",
    ),
    "measure": st.column_config.TextColumn("Measure", width=72),
    "gain": _number(
        "Gain", format="%+.3f", width=58, help="The blend less the other: above 0 it is better."
    ),
    "low": _number("Low", format="%+.3f", width=58, help=INTERVAL_HELP),
    "high": _number("High", format="%+.3f", width=58, help=INTERVAL_HELP),
    "blend": _number("Blend", format="%.3f", width=54, help="With the weights in use."),
    "other": _number("Other", format="%.3f", width=54, help="What it is compared with."),
}


def predictions(models: Iterable[str]) -> Columns:
    """Return the columns of ``results.prediction_table``, with the prediction of each model."""
    columns: Columns = {
        "sequence_id": st.column_config.TextColumn("Sequence", width=92),
        "subject": st.column_config.TextColumn("Subject", width=98),
        "fold": _FOLD,
        "true": st.column_config.TextColumn("True gesture", width=126),
        "predicted": st.column_config.TextColumn("Predicted gesture", width=126),
        "probability": _number(
            "Probability", format="%.3f", width=84, help="Of the predicted gesture."
        ),
        "margin": _number(
            "Margin",
            format="%.3f",
            width=64,
            help="Probability less that of the second most likely gesture.",
        ),
        "p_true": _number(
            "P(true)", format="%.3f", width=64, help="Probability of the true gesture."
        ),
    }
    return columns | {
        name: st.column_config.TextColumn(f"{registry.title(name)} predicts", width=126)
        for name in models
    }


def subjects(models: Iterable[str]) -> Columns:
    """Return the columns of ``result_tables.subject_table``; the chart shows each model's."""
    return {
        **PARTS,
        "subject": st.column_config.TextColumn("Subject", width=110),
        "fold": _FOLD,
        **dict.fromkeys(models),
    }
