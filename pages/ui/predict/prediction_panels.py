"""The prediction of one sequence on the page: its gesture, and all probabilities.

In: ``Prediction``; ``Selected``. Out: frames, and elements on the page.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from pages.ui.predict import charts_prediction
from pages.ui.shared import frame, panels, words
from trainer.models import registry

if TYPE_CHECKING:
    from pages.ui.predict.predictions import Selected
    from trainer.predict.predictor import Prediction

NUM_BARS = 5
SMALL_MARGIN = 0.1  # between the probabilities of the first two gestures
FOLD_COLUMNS: dict[str, Any] = {
    "model": "Model",
    "fold": "Fold",
    "gesture": "Predicted gesture",
    "probability": st.column_config.NumberColumn("Probability", format="%.3f"),
    "p_blend": st.column_config.NumberColumn(
        "Of blend", format="%.3f", help="Probability of the gesture that the blend predicts."
    ),
    "p_target": st.column_config.NumberColumn(
        "Any target", format="%.3f", help="Sum over all target gestures."
    ),
}


def sequence_rows(prediction: Prediction) -> pl.DataFrame:
    """Return one row per sequence: the predicted gesture and how certain it is.

    Returns:
        Columns sequence_id, gesture, probability, margin (to the second gesture), p_target, entropy
        (of the blend), models_agree.
    """
    ordered_NK = np.sort(prediction.proba_NK, axis=1)
    by_model = [proba_NK.argmax(axis=1) for proba_NK in prediction.by_model.values()]
    return pl.DataFrame(
        {
            "sequence_id": [str(name) for name in prediction.sequence_ids],
            "gesture": prediction.predicted,
            "probability": ordered_NK[:, -1],
            "margin": ordered_NK[:, -1] - ordered_NK[:, -2],
            "p_target": prediction.target_proba_N,
            "entropy": normalized_entropy(prediction.proba_NK),
            "models_agree": np.all([best_N == by_model[0] for best_N in by_model], axis=0),
        }
    )


def normalized_entropy(proba_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row divided by that of equal probabilities, (N,), 0 to 1."""
    logarithm_NK = np.log(np.where(proba_NK > 0, proba_NK, 1.0))
    entropy_N = -(proba_NK * logarithm_NK).sum(axis=1) / np.log(proba_NK.shape[1])
    return np.asarray(np.clip(entropy_N, 0.0, 1.0))


def gesture_rows(prediction: Prediction, index: int) -> pl.DataFrame:
    """Return the gestures of one sequence, the most probable first.

    Returns:
        Columns gesture, kind, blend, then one column of probabilities per model, then one column
        ``<model>_spread`` per model: the standard deviation over its folds.
    """
    models = {model: proba_NK[index] for model, proba_NK in prediction.by_model.items()}
    spreads = {
        f"{model}_spread": proba_MNK[:, index].std(axis=0)
        for model, proba_MNK in prediction.by_fold.items()
    }
    is_target = np.arange(len(prediction.gestures)) < prediction.num_targets
    return pl.DataFrame(
        {
            "gesture": prediction.gestures,
            "kind": np.where(is_target, "target", "non-target"),
            registry.BLEND: prediction.proba_NK[index],
            **models,
            **spreads,
        }
    ).sort(registry.BLEND, descending=True, maintain_order=True)


def fold_rows(prediction: Prediction, index: int, fold: int | None) -> pl.DataFrame:
    """Return one row per model and fold: its prediction for one sequence.

    Args:
        prediction: The prediction.
        index: Position of the sequence.
        fold: The only fold that predicted; None if all did.
    """
    predicted = int(prediction.proba_NK[index].argmax())
    rows = []
    for model, proba_MNK in prediction.by_fold.items():
        for number, proba_K in enumerate(proba_MNK[:, index]):
            best = int(proba_K.argmax())
            rows.append(
                {
                    "model": registry.title(model),
                    "fold": number if fold is None else fold,
                    "gesture": prediction.gestures[best],
                    "probability": float(proba_K[best]),
                    "p_blend": float(proba_K[predicted]),
                    "p_target": float(proba_K[: prediction.num_targets].sum()),
                }
            )
    return pl.DataFrame(rows)


def headline(row: dict[str, Any], selected: Selected, true_gesture: str | None) -> None:
    """Show the predicted gesture, whether it is correct if that is known, and how certain it is.

    Args:
        row: From ``sequence_rows``, with the columns steps and seen.
        selected: The sequence.
        true_gesture: None if unknown.
    """
    prediction = selected.prediction
    st.subheader(frame.escape(f"{row['sequence_id']}: {row['gesture']}"), anchor=False)
    badges = st.container(horizontal=True)
    is_target = row["gesture"] in prediction.gestures[: prediction.num_targets]
    badges.badge("Target" if is_target else "Non-target", color="blue" if is_target else "gray")
    if true_gesture is not None:
        is_correct = true_gesture == row["gesture"]
        badges.badge(
            frame.escape(f"True gesture: {true_gesture}"),
            color="green" if is_correct else "red",
            icon=":material/check:" if is_correct else ":material/close:",
        )
    if row["seen"]:
        badges.badge("Seen in training", color="orange", icon=":material/visibility:")
    if not row["models_agree"]:
        badges.badge("Models disagree", color="orange", icon=":material/call_split:")
    elif len(prediction.by_model) > 1:
        badges.badge("Models agree", color="gray")
    if row["margin"] < SMALL_MARGIN:
        badges.badge("Small margin", color="orange", icon=":material/balance:")
    if not row["models_agree"]:
        best = {
            model: prediction.gestures[int(proba_NK[selected.index].argmax())]
            for model, proba_NK in prediction.by_model.items()
        }
        parts = [f"{registry.title(model)} predicts {gesture}" for model, gesture in best.items()]
        st.caption(frame.escape(", ".join(parts)))
    _cards(row, selected.request.rate_hz)


def by_model(selected: Selected) -> None:
    """Show the probabilities of the gestures: blended, by model and by fold."""
    prediction, index = selected.prediction, selected.index
    gestures = gesture_rows(prediction, index)
    best = gestures.head(NUM_BARS)
    models = [registry.BLEND, *prediction.by_model]
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"The {len(best)} most probable gestures: blended, and by model",
            charts_prediction.probability_figure(best, models),
            gestures,
            "top_gestures",
            _note(prediction),
        )
    with right:
        content = st.segmented_control(
            "Table",
            ["Every gesture", "Every fold"],
            default="Every gesture",
            required=True,
            key="predict_numbers",
            persist_state="session",
            label_visibility="collapsed",
        )
        if content == "Every fold":
            folds = fold_rows(prediction, index, selected.request.recordings.fold)
            panels.table(
                "Prediction of every fold",
                folds,
                "predictions_by_fold",
                FOLD_COLUMNS,
                height="content" if len(folds) <= 10 else 370,
            )
        else:
            _gesture_table(gestures, models)


def _note(prediction: Prediction) -> str:
    """Return what the gray bars show, and the weights of the models in the blend."""
    has_spread = any(len(proba_MNK) > 1 for proba_MNK in prediction.by_fold.values())
    spread = "The gray bars are the spread over the folds."
    alone = "Predicted with one fold of each model."
    note = spread if has_spread else alone
    if len(prediction.weights) > 1:
        note += f" Weights of the blend: {words.weights(prediction.weights)}."
        if prediction.temperature != 1.0:
            more = "more" if prediction.temperature < 1.0 else "less"
            note += f" The blend is calibrated: it is {more} certain than the mean of the models."
    return note


def _cards(row: dict[str, Any], rate_hz: float) -> None:
    cards = st.grid(columns=5, min_column_width=140)
    for title, value, help_text in (
        ("Its probability", f"{100 * row['probability']:.1f} %", None),
        (
            "Margin",
            f"{100 * row['margin']:.1f} points",
            "Difference between the two most probable gestures, in percentage points.",
        ),
        (
            "Any target",
            f"{100 * row['p_target']:.1f} %",
            "Sum over all target gestures: half of the competition's score depends on it alone. "
            f"The remaining {100 - 100 * row['p_target']:.1f} % are for non-targets.",
        ),
        (
            "Entropy",
            f"{row['entropy']:.2f}",
            "Of the blend: 0 if one gesture is certain, 1 if all are equally probable.",
        ),
        (
            "Length",
            f"{row['steps'] / rate_hz:.1f} s",
            f"{row['steps']} steps; seconds at {rate_hz:g} steps per second.",
        ),
    ):
        cards.metric(title, value, border=True, height="stretch", help=help_text)


def _gesture_table(gestures: pl.DataFrame, models: list[str]) -> None:
    panels.table(
        "Probabilities of every gesture",
        gestures.select("gesture", *models, "kind"),
        "probabilities",
        {
            "gesture": st.column_config.TextColumn("Gesture", width=140),
            "kind": st.column_config.TextColumn("Kind", width=82),
            **{
                model: st.column_config.NumberColumn(
                    registry.title(model), format="percent", width="small"
                )
                for model in models
            },
        },
        height="content" if len(gestures) <= 9 else 370,
    )
