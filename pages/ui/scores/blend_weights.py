"""Blend weights: how the score of the blend depends on them, and what choosing them is worth.

In: the evaluation of a run. Out: frames, and the section of the page.
The best point of the curve is chosen on the sequences that score it, so it is optimistic. The
nested check chooses the weight on all folds but one and scores it on that one.

Shapes: M sequences that all models have scored, W weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from pages.ui.scores import score_columns, score_figures
from pages.ui.scores.evaluation import Evaluation, cached
from pages.ui.scores.result_tables import score_parts
from pages.ui.shared import panels
from pages.ui.shared.results import Integers, Mask, OutOfFold
from trainer.blend import blend_probabilities, used_weights
from trainer.models import registry
from trainer.models.registry import BLEND

NUM_WEIGHTS = 41  # points of the curve: steps of 0.025
WEIGHTS_W = np.linspace(0.0, 1.0, NUM_WEIGHTS).round(3)


@dataclass(frozen=True)
class WeightReport:
    """The score of the blend of two models against the weight of the first.

    Attributes:
        models: The two, the first is the one whose weight is varied.
        curve: From ``weight_curve``.
        best: Its row with the highest score.
        used: Weight in use, and its out-of-fold score.
        nested: From ``nested_check``.
    """

    models: tuple[str, str]
    curve: pl.DataFrame
    best: int
    used: tuple[float, float]
    nested: pl.DataFrame | None


def show(evaluation: Evaluation, num_models: int) -> None:
    """Show the section: the curve of two models, the weights in use of more."""
    if num_models == 1:
        st.caption("This run has one model, so there is no blend.")
    elif BLEND not in evaluation.oof.choices:
        st.caption("The blend appears when all models have finished the same fold.")
    elif len(evaluation.oof.by_model) == 2:
        _show_curve(evaluation)
    else:
        _show_table(weight_table(evaluation.oof, evaluation.weights))


def weight_report(oof: OutOfFold, weights: Mapping[str, float]) -> WeightReport:
    """Compare the weights in use with all others; of two models that share a fold."""
    first, second = oof.by_model
    used = used_weights(oof.by_model, weights)[first]
    curve = weight_curve(oof)
    return WeightReport(
        models=(first, second),
        curve=curve,
        best=middle_best(curve["score"].to_numpy()),
        used=(used, _score_of(oof, BLEND, weights)),
        nested=nested_check(oof, used),
    )


def weight_curve(oof: OutOfFold) -> pl.DataFrame:
    """Return the blend's score against the first model's weight, over the sequences of both.

    Returns:
        Columns weight (0..1), score, binary_f1, macro_f1, accuracy, sequences.
    """
    true_M, predicted_WM = oof.true_N[oof.done_mask(BLEND)], _predictions(oof, WEIGHTS_W)
    rows = [
        {"weight": weight, **score_parts(true_M, predicted_M, oof.num_targets)}
        for weight, predicted_M in zip(WEIGHTS_W.tolist(), predicted_WM, strict=True)
    ]
    return pl.DataFrame(rows)


def nested_check(oof: OutOfFold, used_weight: float) -> pl.DataFrame | None:
    """Choose the weight on the other folds, score it on the one held out; None with one fold.

    Args:
        oof: Of two models.
        used_weight: The first model's weight in use, 0..1.

    Returns:
        Columns fold, chosen_weight, chosen_score, used_score, difference (chosen less used).
    """
    mask = oof.done_mask(BLEND)
    true_M, fold_M = oof.true_N[mask], oof.fold_N[mask]
    folds = np.unique(fold_M).tolist()
    if len(folds) < 2:
        return None
    predicted_WM = _predictions(oof, WEIGHTS_W)
    used_M = _predictions(oof, np.array([used_weight]))[0]
    rows = []
    for fold in folds:
        held_out = fold_M == fold
        scores_W = [_score(true_M, row_M, ~held_out, oof.num_targets) for row_M in predicted_WM]
        chosen = middle_best(np.array(scores_W))
        chosen_score = _score(true_M, predicted_WM[chosen], held_out, oof.num_targets)
        used_score = _score(true_M, used_M, held_out, oof.num_targets)
        rows.append(
            {
                "fold": fold,
                "chosen_weight": float(WEIGHTS_W[chosen]),
                "chosen_score": chosen_score,
                "used_score": used_score,
                "difference": chosen_score - used_score,
            }
        )
    return pl.DataFrame(rows)


def weight_table(oof: OutOfFold, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return model, weight and score, the blend first, over the sequences that all have scored."""
    used = {BLEND: 1.0} | used_weights(oof.by_model, weights)
    return pl.DataFrame(
        {
            "model": [registry.title(name) for name in used],
            "weight": list(used.values()),
            "score": [_score_of(oof, name, weights) for name in used],
        }
    )


def middle_best(scores_W: NDArray[np.float64]) -> int:
    """Return the position of the highest score; of several equal ones the middle."""
    best = np.flatnonzero(scores_W == scores_W.max())
    return int(best[len(best) // 2])


def _show_curve(evaluation: Evaluation) -> None:
    report = cached(
        ("weight report", *evaluation.key),
        lambda: weight_report(evaluation.oof, evaluation.weights),
    )
    first, second = registry.select(report.models)
    used, used_score = report.used
    best = report.curve.row(report.best, named=True)
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"Out-of-fold score of the blend by weight: {used_score:.4f} with the weights in use "
            f"({used:g} : {1 - used:g}), at most {best['score']:.4f} (at {best['weight']:g})",
            cached(
                ("weights", *evaluation.key),
                lambda: score_figures.weight_figure(
                    report.curve, (first.title, second.title), report.used, report.best
                ),
            ),
            report.curve,
            "blend_weights",
            f"0 is {second.phrase} alone, 1 is {first.phrase} alone. The weights in use were fixed "
            "before training.",
        )
    with right:
        st.warning(
            "Do not adopt the best weight of this curve: it is chosen and scored on the same "
            "sequences, so its score is optimistic.",
            icon=":material/warning:",
        )
        _show_nested(report.nested, first.title, best["score"] - used_score)


def _show_nested(nested: pl.DataFrame | None, title: str, optimistic_gain: float) -> None:
    if nested is None:
        st.caption("An unbiased estimate needs two folds that both models have finished.")
        return
    gain = float(np.mean(nested["difference"].to_numpy()))
    panels.table(
        f"A weight chosen on the other folds changes the score by {gain:+.4f} on average",
        nested,
        "nested_weights",
        score_columns.nested(title),
        "Each fold is held out in turn: the weight is chosen on the other folds and scored on this "
        f"one, against the weight in use. The curve alone suggests {optimistic_gain:+.4f}.",
    )


def _show_table(table: pl.DataFrame) -> None:
    panels.table(
        "Weights in use, with the score of each model alone",
        table,
        "blend_weights",
        score_columns.WEIGHTS,
        "With more than two models the score is not drawn against the weights. They were fixed "
        "before training; scores are over the sequences that every model has scored.",
        height="content",
    )


def _predictions(oof: OutOfFold, weights_W: NDArray[np.float64]) -> Integers:
    """Return (W, M) predicted classes of the blend of two models."""
    mask = oof.done_mask(BLEND)
    first, second = oof.by_model
    parts = {name: proba_NK[mask] for name, proba_NK in oof.by_model.items()}
    return np.stack(
        [
            blend_probabilities(parts, {first: weight, second: 1.0 - weight})[0].argmax(axis=1)
            for weight in weights_W.tolist()
        ]
    )


def _score_of(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> float:
    """Return the score of a model or the blend on the sequences that all models have scored."""
    mask_N, proba_MK = oof.probabilities(model, weights)
    shared_M = oof.done_mask(BLEND)[mask_N]
    return _score(oof.true_N[mask_N], proba_MK.argmax(axis=1), shared_M, oof.num_targets)


def _score(true_M: Integers, predicted_M: Integers, mask_M: Mask, num_targets: int) -> float:
    return float(score_parts(true_M[mask_M], predicted_M[mask_M], num_targets)["score"])
