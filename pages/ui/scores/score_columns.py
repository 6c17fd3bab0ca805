"""Columns of the tables on the page Scores: titles, formats, what the numbers mean.

In: nothing. Out: column configurations for ``panels.table``.
"""

from __future__ import annotations

import streamlit as st

_number = st.column_config.NumberColumn

SCORE_HELP = "The competition's score, 0 to 1: half binary F1, half macro F1."
BINARY_HELP = "Target against non-target; half of the score."
MACRO_HELP = (
    "Over the targets and one class of all non-targets, which is why a non-target taken for "
    "another costs nothing; the other half of the score."
)

PARTS = {
    "score": _number("Score", format="%.4f", help=SCORE_HELP),
    "binary_f1": _number("Binary F1", format="%.4f", help=BINARY_HELP),
    "macro_f1": _number("Macro F1", format="%.4f", help=MACRO_HELP),
    "accuracy": _number("Accuracy", format="%.4f", help="Share of gestures named exactly."),
    "sequences": "Sequences",
}
HEADLINE = PARTS | {
    "model": "Model",
    "sensors": "Sensors",
    "mean": _number("Score, mean", format="%.4f", help="Mean over the folds that are done."),
    "std": _number("± spread", format="%.4f", help="Standard deviation over the folds."),
    "binary_f1_mean": _number("Binary F1, mean", format="%.4f", help=BINARY_HELP),
    "binary_f1_std": _number("± its spread", format="%.4f"),
    "macro_f1_mean": _number("Macro F1, mean", format="%.4f", help=MACRO_HELP),
    "macro_f1_std": _number("± of macro F1", format="%.4f"),
    "out_of_fold": _number(
        "Out-of-fold score", format="%.4f", help="All folds' sequences scored together."
    ),
    "binary_f1": _number("Out-of-fold binary F1", format="%.4f", help=BINARY_HELP),
    "macro_f1": _number("Out-of-fold macro F1", format="%.4f", help=MACRO_HELP),
    "folds": "Folds done",
}
FOLDS = PARTS | {
    "fold": _number("Fold", width="small"),
    "model": "Model",
    "rank": _number("Rank", width="small", help="1 is the model's best fold."),
}
GESTURES = {
    "gesture": st.column_config.TextColumn("Gesture", width=165),
    "f1": _number("F1", format="%.3f", width=60),
    "precision": _number(
        "Precision", format="%.3f", width=75, help="Of what was called so, how much is."
    ),
    "recall": _number("Recall", format="%.3f", width=65, help="Of what is so, how much was found."),
    "sequences": _number("Sequences", width=80),
    "most_taken_for": "Most often taken for",
    "kind": "Kind",
}
PAIRS = {
    "true": st.column_config.TextColumn("True gesture", width=150),
    "predicted": st.column_config.TextColumn("Taken for", width=150),
    "count": _number("Sequences", width="small"),
    "share": _number("Of the true, %", format="%.1f"),
    "back": _number("The other way", help="How often the second is taken for the first."),
}
ANSWERS = {
    "sequence_id": "Sequence",
    "subject": "Subject",
    "fold": "Fold",
    "true": "True gesture",
    "predicted": "Predicted gesture",
    "probability": _number("Its probability", format="%.3f"),
    "margin": _number("Lead over the next", format="%.3f"),
    "p_true": _number("Probability of the true one", format="%.3f"),
    "lgbm": "LightGBM says",
    "torch": "Network says",
}
SUBJECTS = PARTS | {
    "subject": "Subject",
    "fold": _number("Fold", width="small"),
    "lgbm": _number("LightGBM's score", format="%.4f"),
    "torch": _number("Network's score", format="%.4f"),
}
CALIBRATION = {
    "model": "Model",
    "expected_error": _number(
        "Expected calibration error",
        format="%.4f",
        help="Mean distance between said and right over ten bins, weighted by their sequences.",
    ),
    "mean_probability": _number("Says, mean", format="%.4f"),
    "accuracy": _number("Is right", format="%.4f"),
    "log_loss": _number("Log loss", format="%.4f", help="Lower is better."),
    "brier": _number("Brier score", format="%.4f", help="0 to 2, lower is better."),
    "sequences": "Sequences",
}
NESTED = {
    "fold": _number("Held out", width=70, help="The fold that the weight is scored on."),
    "chosen_weight": _number(
        "Chosen weight", format="%.3f", help="LightGBM's, the best on the other folds."
    ),
    "chosen_score": _number("Its score", format="%.4f"),
    "used_score": _number("Score in use", format="%.4f", help="Of the weight in use."),
    "difference": _number("Difference", format="%+.4f"),
}
