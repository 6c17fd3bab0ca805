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

PARTS: Columns = {
    "score": _number("Score", format="%.4f", help=SCORE_HELP),
    "binary_f1": _number("Binary F1", format="%.4f", help=BINARY_HELP),
    "macro_f1": _number("Macro F1", format="%.4f", help=MACRO_HELP),
    "accuracy": _number(
        "Accuracy", format="%.4f", help="Share of sequences whose gesture is predicted correctly."
    ),
    "sequences": "Sequences",
}
MEANS: Columns = PARTS | {
    "model": "Model",
    "sensors": "Sensors",
    "mean": _number("Score, mean", format="%.4f", help="Mean over the folds that are done."),
    "std": _number("Score, std", format="%.4f", help="Standard deviation over the folds."),
    "binary_f1_mean": _number("Binary F1, mean", format="%.4f", help=BINARY_HELP),
    "binary_f1_std": _number("Binary F1, std", format="%.4f"),
    "macro_f1_mean": _number("Macro F1, mean", format="%.4f", help=MACRO_HELP),
    "macro_f1_std": _number("Macro F1, std", format="%.4f"),
    "out_of_fold": _number(
        "Out-of-fold score", format="%.4f", help="All folds' sequences scored together."
    ),
    "binary_f1": _number("Out-of-fold binary F1", format="%.4f", help=BINARY_HELP),
    "macro_f1": _number("Out-of-fold macro F1", format="%.4f", help=MACRO_HELP),
    "folds": "Folds done",
}
FOLDS: Columns = PARTS | {
    "fold": _number("Fold", width="small"),
    "model": "Model",
    "rank": _number("Rank", width="small", help="1 is the model's fold with the highest score."),
}
GESTURES: Columns = {
    "gesture": st.column_config.TextColumn("Gesture", width=165),
    "f1": _number("F1", format="%.3f", width=60, help="Harmonic mean of precision and recall."),
    "precision": _number(
        "Precision",
        format="%.3f",
        width=75,
        help="Share of predictions of this gesture that are correct.",
    ),
    "recall": _number(
        "Recall",
        format="%.3f",
        width=65,
        help="Share of sequences of this gesture that are predicted correctly.",
    ),
    "sequences": _number("Support", width=70, help="Number of sequences of this gesture."),
    "most_taken_for": st.column_config.TextColumn(
        "Most often misclassified as", help="The most frequent wrong prediction for this gesture."
    ),
    "kind": "Kind",
}
PAIRS: Columns = {
    "true": st.column_config.TextColumn("True gesture", width=150),
    "predicted": st.column_config.TextColumn("Predicted gesture", width=150),
    "count": _number("Sequences", width="small"),
    "share": _number(
        "Share, %", format="%.1f", help="Share of the sequences of the true gesture, in percent."
    ),
    "back": _number(
        "Reverse", help="Number of sequences misclassified the other way round, predicted as true."
    ),
}
CALIBRATION: Columns = {
    "model": "Model",
    "expected_error": _number(
        "ECE",
        format="%.4f",
        help="Expected calibration error: mean difference between probability and accuracy over "
        "ten bins of the probability, weighted by the number of sequences.",
    ),
    "mean_probability": _number(
        "Mean probability", format="%.4f", help="Of the predicted gesture."
    ),
    "accuracy": PARTS["accuracy"],
    "log_loss": _number("Log loss", format="%.4f", help="Lower is better."),
    "brier": _number("Brier score", format="%.4f", help="0 to 2, lower is better."),
    "sequences": "Sequences",
}
GAIN: Columns = {  # widths in pixels: a phone shows all up to the interval
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
        "sequence_id": "Sequence",
        "subject": "Subject",
        "fold": "Fold",
        "true": "True gesture",
        "predicted": "Predicted gesture",
        "probability": _number("Probability", format="%.3f", help="Of the predicted gesture."),
        "margin": _number(
            "Margin", format="%.3f", help="Probability less that of the second most likely gesture."
        ),
        "p_true": _number("P(true)", format="%.3f", help="Probability of the true gesture."),
    }
    return columns | {name: f"{registry.title(name)} predicts" for name in models}


def subjects(models: Iterable[str]) -> Columns:
    """Return the columns of ``result_tables.subject_table``, with the score of each model."""
    return {
        **PARTS,
        "subject": "Subject",
        "fold": _number("Fold", width="small"),
        **{name: _number(f"{registry.title(name)}, score", format="%.4f") for name in models},
    }
