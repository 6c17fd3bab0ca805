"""Blend weights: what the blend gains or costs, and how its score depends on the weights.

In: the evaluation of a run. Out: frames, and the section of the page.
The best point of the curve or triangle is chosen on the sequences that score it, so it is
optimistic. The comparison uses weights that are chosen on all folds but the scored one.

Shapes: N sequences, M of them scored by all models, W weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.scores import score_columns, weight_figures
from pages.ui.scores.blend_gain import (
    CHOSEN,
    MIN_SUBJECTS,
    BlendGain,
    Comparison,
    best_candidate,
    blend_gain,
    candidate_weights,
)
from pages.ui.scores.evaluation import Evaluation, cached
from pages.ui.scores.result_tables import score_parts
from pages.ui.shared import panels, words
from pages.ui.shared.results import OutOfFold
from trainer.blend import used_weights
from trainer.metric import MEASURES
from trainer.models import registry
from trainer.models.registry import BLEND

SCORE, ACCURACY = MEASURES
MEASURE_TITLES = {SCORE: "Score", ACCURACY: "Accuracy"}


def show(evaluation: Evaluation, num_models: int, selection: str) -> None:
    """Show the section: what the blend gains, and the score at other weights.

    Args:
        evaluation: Of the run.
        num_models: Of the run, also those without a fold that is done.
        selection: A sentence where the run's scores are optimistic, else "".
    """
    if num_models == 1:
        st.caption("This run has one model, so there is no blend.")
    elif BLEND not in evaluation.oof.choices:
        st.caption("The blend appears when all models have finished the same fold.")
    else:
        gain = cached(
            ("blend gain", *evaluation.key), lambda: compare(evaluation.oof, evaluation.weights)
        )
        show_scores = {2: _show_curve, 3: _show_triangle}.get(num_models)
        left, right = st.columns(2, gap="large") if show_scores else (st.container(), None)
        with left:
            _show_gain(evaluation, gain, selection)
        if show_scores is None or right is None:
            st.caption("The score at other weights is shown for runs of two and of three models.")
            return
        with right:
            show_scores(evaluation, gain)


def compare(oof: OutOfFold, weights: Mapping[str, float]) -> BlendGain:
    """Compare the blend with its alternatives, over the sequences that all models have scored."""
    mask_N = oof.done_mask(BLEND)
    return blend_gain(
        {name: proba_NK[mask_N] for name, proba_NK in oof.by_model.items()},
        weights,
        oof.true_N[mask_N],
        oof.fold_N[mask_N],
        [oof.subjects[row] for row in np.flatnonzero(mask_N)],
        oof.num_targets,
    )


def gain_table(gain: BlendGain) -> pl.DataFrame:
    """Return one row per measure and alternative.

    Returns:
        Columns compared_with, measure, gain, low, high, blend, other.
    """
    return pl.DataFrame(
        [
            {
                "compared_with": _name(each.other),
                "measure": MEASURE_TITLES[each.measure],
                "gain": each.difference,
                "low": each.low,
                "high": each.high,
                "blend": each.blend,
                "other": each.alternative,
            }
            for each in gain.comparisons
        ],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )


def headline(gain: BlendGain) -> str:
    """Return what the blend gains or costs against the model with the highest score."""
    alone = [each for each in _scores(gain) if each.other != CHOSEN]
    best = max(alone, key=lambda each: each.alternative)
    other = f"{registry.get(best.other).phrase} alone"
    return f"The blend scores {_describe(best, other, ' for other people like these')}"


def note(gain: BlendGain, used: Mapping[str, float]) -> str:
    """Return the weights in use, and what the blend gains or costs against chosen ones."""
    sentences = [f"Weights in use, fixed before training: {words.weights(used)}."]
    for each in _scores(gain):
        if each.other == CHOSEN:
            difference = _describe(each, "with weights chosen on the other folds")
            sentences.append(f"The blend scores {difference}: {_ranges(gain.chosen)}.")
    if not gain.chosen:
        sentences.append(
            "Weights chosen on the other folds need two folds that all models have finished."
        )
    if gain.comparisons[0].low is None:
        sentences.append(f"An interval needs at least {MIN_SUBJECTS} subjects.")
    return " ".join(sentences)


def weight_curve(oof: OutOfFold, gain: BlendGain) -> pl.DataFrame:
    """Return the blend's score against the first of two models' weight.

    Args:
        oof: Of two models.
        gain: From ``compare``.

    Returns:
        Columns weight (0..1), score, binary_f1, macro_f1, accuracy, sequences.
    """
    true_M = oof.true_N[oof.done_mask(BLEND)]
    weights_W = candidate_weights(2)[:, 0].tolist()
    rows = [
        {"weight": weight, **score_parts(true_M, predicted_M, oof.num_targets)}
        for weight, predicted_M in zip(weights_W, gain.candidate_WN, strict=True)
    ]
    return pl.DataFrame(rows)


def weight_triangle(oof: OutOfFold, gain: BlendGain) -> pl.DataFrame:
    """Return the blend's score at all weights of three models, in steps of a tenth.

    Args:
        oof: Of three models.
        gain: From ``compare``.

    Returns:
        A column of weights (0..1) per model, score, binary_f1, macro_f1, accuracy, sequences.
    """
    true_M = oof.true_N[oof.done_mask(BLEND)]
    weights_WM = candidate_weights(3).tolist()
    rows = [
        dict(zip(oof.by_model, weights, strict=True))
        | score_parts(true_M, predicted_M, oof.num_targets)
        for weights, predicted_M in zip(weights_WM, gain.candidate_WN, strict=True)
    ]
    return pl.DataFrame(rows)


def _show_gain(evaluation: Evaluation, gain: BlendGain, selection: str) -> None:
    used = used_weights(evaluation.oof.by_model, evaluation.weights)
    panels.table(
        headline(gain),
        gain_table(gain),
        "blend_gain",
        score_columns.GAIN,
        f"{note(gain, used)} {selection}".rstrip(),
        height="content",
    )


def _show_curve(evaluation: Evaluation, gain: BlendGain) -> None:
    used_score = gain.comparisons[0].blend
    first, second = registry.select(evaluation.oof.by_model)
    used = used_weights(evaluation.oof.by_model, evaluation.weights)[first.name]
    curve = cached(("weight curve", *evaluation.key), lambda: weight_curve(evaluation.oof, gain))
    best = best_candidate(curve["score"].to_numpy(), candidate_weights(2))
    best_weight, best_score = curve.row(best)[:2]
    panels.chart(
        f"Out-of-fold score of the blend by weight: {used_score:.4f} with the weights in use "
        f"({used:g} : {1 - used:g}), at most {best_score:.4f} (at {best_weight:g})",
        cached(
            ("weights", *evaluation.key),
            lambda: weight_figures.weight_figure(
                curve, (first.title, second.title), (used, used_score), best
            ),
        ),
        curve,
        "blend_weights",
        f"0 is {second.phrase} alone, 1 is {first.phrase} alone. Do not adopt the best weight of "
        "this curve: it is chosen and scored on the same sequences, so its score is optimistic.",
    )


def _show_triangle(evaluation: Evaluation, gain: BlendGain) -> None:
    used_score = gain.comparisons[0].blend
    models = registry.select(evaluation.oof.by_model)
    used = used_weights(evaluation.oof.by_model, evaluation.weights)
    triangle = cached(
        ("weight triangle", *evaluation.key), lambda: weight_triangle(evaluation.oof, gain)
    )
    best = best_candidate(triangle["score"].to_numpy(), candidate_weights(3))
    best_weights = weight_figures.ratio(triangle.select(list(used)).row(best))
    panels.chart(
        f"Out-of-fold score of the blend by weights: {used_score:.4f} with the weights in use "
        f"({weight_figures.ratio(used.values())}), at most {triangle['score'][best]:.4f} (at "
        f"{best_weights})",
        cached(
            ("weights", *evaluation.key),
            lambda: weight_figures.triangle_figure(
                triangle, models, (used, used_score), gain.chosen, best
            ),
        ),
        triangle,
        "blend_weights",
        f"Weights of {words.enumeration(model.title for model in models)}; each corner is one "
        "model alone. Do not adopt the best weights of this triangle: they are chosen and scored "
        "on the same sequences, so their score is optimistic. Diamonds are the weights with the "
        "highest score on all folds but one.",
    )


def _scores(gain: BlendGain) -> list[Comparison]:
    return [each for each in gain.comparisons if each.measure == SCORE]


def _name(other: str) -> str:
    return "Chosen weights" if other == CHOSEN else f"{registry.title(other)} alone"


def _describe(comparison: Comparison, other: str, people: str = "") -> str:
    """Return the difference in words, with its interval."""
    size = f"{abs(comparison.difference):.3f}"
    direction = "more than" if comparison.difference > 0 else "less than"
    text = f"the same as {other}" if float(size) == 0 else f"{size} {direction} {other}"
    low, high = comparison.low, comparison.high
    if low is None or high is None:
        return text
    is_open = ", so either may be better" if low <= 0 <= high else ""
    return f"{text} (between {low:+.3f} and {high:+.3f}{people}{is_open})"


def _ranges(chosen: Mapping[int, Mapping[str, float]]) -> str:
    """Return the lowest and the highest chosen weight of each model."""
    texts = []
    for model in next(iter(chosen.values())):
        weights = sorted({weights[model] for weights in chosen.values()})
        ends = dict.fromkeys(f"{weight:.3g}" for weight in (weights[0], weights[-1]))
        texts.append(f"{registry.title(model)} {' to '.join(ends)}")
    return ", ".join(texts)
