"""Blend weights: what another weight would have scored, and what choosing one is really worth.

In: the out-of-fold table of two models. Out: frames.
The best point of the curve was found on the sequences that score it, so it flatters. The nested
check chooses the weight on all other folds and scores it on the one held out.

Shapes: M sequences that both models have scored, W weights.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared.results import Integers, Mask, OutOfFold, score_parts
from trainer.blend import blend_probabilities

NUM_WEIGHTS = 41  # points of the curve: steps of 0.025
WEIGHTS_W = np.linspace(0.0, 1.0, NUM_WEIGHTS).round(3)


def weight_curve(oof: OutOfFold) -> pl.DataFrame:
    """Return the blend's score against LightGBM's weight, over the sequences both have scored."""
    true_M, guess_WM = oof.true_N[oof.done_mask("blend")], _guesses(oof, WEIGHTS_W)
    rows = [
        {"lgbm_weight": weight, **score_parts(true_M, guess_M, oof.num_targets)}
        for weight, guess_M in zip(WEIGHTS_W.tolist(), guess_WM, strict=True)
    ]
    return pl.DataFrame(rows)


def nested_check(oof: OutOfFold, used_weight: float) -> pl.DataFrame | None:
    """Choose the weight on the other folds, score it on the one held out; None with one fold.

    Args:
        oof: Of two models.
        used_weight: LightGBM's share of the blend in use, 0..1.

    Returns:
        Columns fold, chosen_weight, chosen_score, used_score, difference (chosen less used).
    """
    mask = oof.done_mask("blend")
    true_M, fold_M = oof.true_N[mask], oof.fold_N[mask]
    folds = np.unique(fold_M).tolist()
    if len(folds) < 2:
        return None
    guess_WM = _guesses(oof, WEIGHTS_W)
    used_M = _guesses(oof, np.array([used_weight]))[0]
    rows = []
    for fold in folds:
        held = fold_M == fold
        scores_W = [_score(true_M, guess_M, ~held, oof.num_targets) for guess_M in guess_WM]
        chosen = best_place(np.array(scores_W))
        chosen_score = _score(true_M, guess_WM[chosen], held, oof.num_targets)
        used_score = _score(true_M, used_M, held, oof.num_targets)
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


def best_place(scores_W: NDArray[np.float64]) -> int:
    """Return where the best score is; of several equally good ones the middle."""
    best = np.flatnonzero(scores_W == scores_W.max())
    return int(best[len(best) // 2])


def _guesses(oof: OutOfFold, weights_W: NDArray[np.float64]) -> Integers:
    """Return (W, M) predicted classes."""
    mask = oof.done_mask("blend")
    parts = {name: proba_NK[mask] for name, proba_NK in oof.by_model.items()}
    return np.stack(
        [
            blend_probabilities(parts, {"lgbm": weight, "torch": 1.0 - weight})[0].argmax(axis=1)
            for weight in weights_W.tolist()
        ]
    )


def _score(true_M: Integers, guess_M: Integers, mask_M: Mask, num_targets: int) -> float:
    return float(score_parts(true_M[mask_M], guess_M[mask_M], num_targets)["score"])
