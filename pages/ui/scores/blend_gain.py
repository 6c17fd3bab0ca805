"""Gain of the blend: against each model alone, and against weights chosen without the scored fold.

In: out-of-fold probabilities of the sequences that all models have predicted. Out: differences in
score and accuracy, each with a 95 % interval.

The interval is that of a cluster bootstrap: subjects are drawn with replacement, each with all its
sequences, because sequences of one subject are not independent. The models and the weights are not
fitted again, so it holds for other people and these models.
Source of the percentiles that few subjects need: Hesterberg 2015, "What Teachers Should Know About
the Bootstrap", The American Statistician 69:371-386, expanded percentile interval. In a simulation
with 10 subjects it covers 0.89 of the differences, the plain percentiles 0.84.

Shapes: N sequences, K classes, W candidate weights, M models, F folds, S subjects, R resamples,
P predictions that are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trainer.blend import Proba, blend_probabilities
from trainer.metric import MEASURES, count_cases, measures

CHOSEN = "chosen"  # the blend with the weights that are chosen on the other folds
NUM_RESAMPLES = 1000
SEED = 0
MIN_SUBJECTS = 5  # fewer have less than 40 different resamples, so none is the outer 2.5 %
MAX_CANDIDATES = 100
NUM_STEPS = (40, 20, 10, 5, 2, 1)  # of a weight from 0 to 1, finest first

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """The blend against one alternative, by one measure.

    Attributes:
        other: Name of a model, or CHOSEN.
        measure: One of ``metric.MEASURES``.
        blend: Of the blend with the weights in use, 0..1.
        alternative: Of the alternative, 0..1.
        low: Lower end of the 95 % interval of the difference; None with too few subjects.
        high: Its upper end.
    """

    other: str
    measure: str
    blend: float
    alternative: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """Return the blend less the alternative: above 0 the blend is better."""
        return self.blend - self.alternative


@dataclass(frozen=True)
class BlendGain:
    """What the blend gains or costs.

    Attributes:
        comparisons: With each model and, from two folds on, with CHOSEN; by each measure.
        chosen: Fold to the weights, by model, that are best on the other folds.
        candidate_WN: (W, N) classes that the blend predicts with each of the candidate weights.
    """

    comparisons: tuple[Comparison, ...]
    chosen: dict[int, dict[str, float]]
    candidate_WN: Integers


def blend_gain(
    by_model: Mapping[str, Proba],
    weights: Mapping[str, float],
    true_N: Integers,
    fold_N: Integers,
    subjects: Sequence[str],
    num_targets: int,
) -> BlendGain:
    """Compare the blend with each model alone and with chosen weights.

    Args:
        by_model: Model to (N, K) out-of-fold probabilities, without missing rows.
        weights: Weights in use, by model.
        true_N: Class indices, targets first.
        fold_N: Fold that validates each sequence.
        subjects: Of each of the N sequences.
        num_targets: How many of the first classes are targets.
    """
    candidate_WN = candidate_predictions(by_model)
    chosen = nested_weights(list(by_model), candidate_WN, true_N, fold_N, num_targets)
    predicted_N = {"": blend_probabilities(by_model, weights)[0].argmax(axis=1)}
    predicted_N |= {model: proba_NK.argmax(axis=1) for model, proba_NK in by_model.items()}
    if chosen:
        predicted_N[CHOSEN] = _predict_nested(by_model, fold_N, chosen)
    subject_idx = np.unique(np.asarray(subjects), return_inverse=True)[1]
    counts_PS = np.stack(
        [count_cases(true_N, one_N, num_targets, subject_idx) for one_N in predicted_N.values()]
    )
    value_P = measures(counts_PS.sum(axis=1))
    ends_P = _intervals(counts_PS)
    comparisons = tuple(
        Comparison(
            other=other,
            measure=measure,
            blend=float(value_P[0, k]),
            alternative=float(value_P[row, k]),
            low=None if ends_P is None else float(ends_P[0, row, k]),
            high=None if ends_P is None else float(ends_P[1, row, k]),
        )
        for k, measure in enumerate(MEASURES)
        for row, other in enumerate(predicted_N)
        if row > 0
    )
    return BlendGain(comparisons, chosen, candidate_WN)


def nested_weights(
    models: Sequence[str],
    candidate_WN: Integers,
    true_N: Integers,
    fold_N: Integers,
    num_targets: int,
) -> dict[int, dict[str, float]]:
    """Choose the weights for each fold by the score of the other folds' sequences.

    Args:
        models: Names of the M models.
        candidate_WN: From ``candidate_predictions``.
        true_N: Class indices, targets first.
        fold_N: Fold that validates each sequence.
        num_targets: How many of the first classes are targets.

    Returns:
        Fold to weights by model; empty with fewer than two folds.
    """
    folds, fold_idx = np.unique(fold_N, return_inverse=True)
    if len(folds) < 2:
        return {}
    candidates_WM = candidate_weights(len(models))
    counts_WF = np.stack(
        [count_cases(true_N, one_N, num_targets, fold_idx) for one_N in candidate_WN]
    )
    others_WF = measures(counts_WF.sum(axis=1, keepdims=True) - counts_WF)[..., 0]
    best_F = [best_candidate(scores_W, candidates_WM) for scores_W in others_WF.T]
    return {
        int(fold): dict(zip(models, candidates_WM[best].tolist(), strict=True))
        for fold, best in zip(folds, best_F, strict=True)
    }


def candidate_weights(num_models: int) -> NDArray[np.float64]:
    """Return all weights in equal steps that sum to 1: as fine as MAX_CANDIDATES allows.

    Returns:
        (W, M) in 0..1, by the weight of the first model.
    """
    num_steps = next(
        steps for steps in NUM_STEPS if comb(steps + num_models - 1, steps) <= MAX_CANDIDATES
    )
    parts = product(range(num_steps + 1), repeat=num_models)
    return np.array([one for one in parts if sum(one) == num_steps]) / num_steps


def candidate_predictions(by_model: Mapping[str, Proba]) -> Integers:
    """Return the (W, N) classes that the blend predicts with each of the candidate weights.

    Where all models predict the same class, so does every blend of them.
    """
    top_MN = np.stack([proba_NK.argmax(axis=1) for proba_NK in by_model.values()])
    differs_N = (top_MN != top_MN[0]).any(axis=0)
    parts = {model: proba_NK[differs_N] for model, proba_NK in by_model.items()}
    candidates_WM = candidate_weights(len(by_model))
    predicted_WN = np.tile(top_MN[0], (len(candidates_WM), 1))
    for predicted_N, weights_M in zip(predicted_WN, candidates_WM.tolist(), strict=True):
        weights = dict(zip(by_model, weights_M, strict=True))
        predicted_N[differs_N] = blend_probabilities(parts, weights)[0].argmax(axis=1)
    return predicted_WN


def best_candidate(scores_W: NDArray[np.float64], candidates_WM: NDArray[np.float64]) -> int:
    """Return the position of the highest score; of equal ones that nearest to their mean weights.

    At the edge of a plateau the score may fall.
    """
    best = np.flatnonzero(scores_W == scores_W.max())
    offset_BM = candidates_WM[best] - candidates_WM[best].mean(axis=0)
    return int(best[np.argmin((offset_BM**2).sum(axis=1))])


def draw_subjects(num_subjects: int) -> Integers:
    """Return how often each resample contains each subject, (R, S)."""
    random = np.random.default_rng(SEED)
    shares_S = np.full(num_subjects, 1 / num_subjects)
    return random.multinomial(num_subjects, shares_S, size=NUM_RESAMPLES)


def tail_share(num_subjects: int) -> float:
    """Return the share of resamples outside each end of the 95 % interval.

    At most 2.5 %, and less the fewer subjects there are: those of Student's t, whose quantile is
    expanded in 1 / degrees of freedom (to 0.05 from 4 on).
    """
    df = num_subjects - 1
    student_t = 1.96 + 2.372 / df + 2.82 / df**2
    return NormalDist().cdf(-student_t * sqrt(num_subjects / df))


def _predict_nested(
    by_model: Mapping[str, Proba], fold_N: Integers, chosen: Mapping[int, Mapping[str, float]]
) -> Integers:
    """Predict each fold with its own weights."""
    predicted_N = np.empty(len(fold_N), dtype=np.int64)
    for fold, weights in chosen.items():
        mask_N = fold_N == fold
        parts = {model: proba_NK[mask_N] for model, proba_NK in by_model.items()}
        predicted_N[mask_N] = blend_probabilities(parts, weights)[0].argmax(axis=1)
    return predicted_N


def _intervals(counts_PS: Integers) -> NDArray[np.float64] | None:
    """Return both ends of the interval of the first prediction less each one, (2, P, measures).

    Args:
        counts_PS: (P, S, 2, T + 3) of ``count_cases``.
    """
    num_subjects = counts_PS.shape[1]
    if num_subjects < MIN_SUBJECTS:
        return None
    drawn_RS = draw_subjects(num_subjects).astype(np.float64)  # products of floats are faster
    resampled_PR = measures(np.tensordot(counts_PS, drawn_RS, axes=(1, 1)).transpose(0, 3, 1, 2))
    tail = tail_share(num_subjects)
    ends = np.quantile(resampled_PR[:1] - resampled_PR, [tail, 1 - tail], axis=1)
    return np.asarray(ends, dtype=np.float64)
