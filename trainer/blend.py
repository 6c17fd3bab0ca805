"""Blending: the weighted mean over folds, then over models.

In: probabilities per fold and model, weights. Out: probabilities, and the normalized weights.

Shapes: M folds, N sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Proba = NDArray[np.float64]


class BlendError(ValueError):
    """There is nothing to blend."""


def vote(
    proba_MNK: Proba, weights_M: Proba | None = None, known_MK: NDArray[np.bool_] | None = None
) -> Proba:
    """Average the folds of one model.

    A class counts only in the folds whose training part had it: the probability of 0 in the others
    does not mean that the class is impossible.

    Args:
        proba_MNK: Probabilities of each fold.
        weights_M: Weight of each fold, at least one above 0; None is equal.
        known_MK: The classes that each fold was trained on; None is all.

    Returns:
        (N, K) float64, rows sum to 1.

    Raises:
        BlendError: There is no fold, or no weight above 0.
    """
    num_folds, _, num_classes = proba_MNK.shape
    weights = np.ones(num_folds) if weights_M is None else np.asarray(weights_M, dtype=np.float64)
    if num_folds == 0 or not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() <= 0:
        raise BlendError(f"fold weights: expected at least one above 0, got {weights.tolist()}")
    known = np.ones((num_folds, num_classes), bool) if known_MK is None else known_MK
    share_MK = weights[:, None] * known
    total_K = share_MK.sum(axis=0)
    share_MK = share_MK / np.where(total_K > 0, total_K, 1.0)
    voted_NK = np.einsum("mnk,mk->nk", proba_MNK, share_MK)
    return np.asarray(voted_NK / voted_NK.sum(axis=1, keepdims=True), dtype=np.float64)


def used_weights(models: Mapping[str, object], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights of the available models, scaled to sum to 1.

    Raises:
        BlendError: There is no model, or all its weights are 0.
    """
    available = {name: float(weights.get(name, 0.0)) for name in models}
    total = sum(available.values())
    if total <= 0.0:
        raise BlendError(
            f"blend weights: expected one above 0 among the models {sorted(models)}; got "
            f"{dict(weights)}. Set blend.lgbm_weight, blend.torch_weight or blend.weights"
        )
    return {name: weight / total for name, weight in available.items()}


def blend_probabilities(
    by_model: Mapping[str, Proba], weights: Mapping[str, float]
) -> tuple[Proba, dict[str, float]]:
    """Average the models.

    Args:
        by_model: Model name to (N, K) probabilities.
        weights: Model name to weight; those of missing models are ignored.

    Returns:
        (N, K) float64 probabilities, and the weights that were used, which sum to 1.
    """
    used = used_weights(by_model, weights)
    blended_NK = sum(used[name] * proba_NK for name, proba_NK in by_model.items())
    return np.asarray(blended_NK, dtype=np.float64), used
