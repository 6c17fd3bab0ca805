"""Calibration: whether predictions with a probability of 80 % are correct in 80 of 100 cases.

In: true classes and probabilities. Out: frames.
Source of the expected calibration error: Guo et al. 2017, "On Calibration of Modern Neural
Networks", equal-width bins of the predicted gesture's probability. Interval of a share: Wilson
1927.

Shapes: M scored sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.results import Floats, Integers, OutOfFold
from trainer.models import registry

NUM_BINS = 10
Z_95 = 1.96  # standard deviations on both sides that hold 95 %
MIN_PROBABILITY = 1e-15  # in the log loss, as scikit-learn clips it
FITTED = (
    " The blend is calibrated: a temperature, fitted on the other folds, makes its probabilities "
    "more or less certain. The models are shown as they predict."
)
SMALL_GAP = 0.02  # within two points of its accuracy a model is called well calibrated


def reliability_table(true_M: Integers, proba_MK: Floats) -> pl.DataFrame:
    """Return one row per bin of the predicted gesture's probability that has a sequence.

    Returns:
        Columns bin_low, bin_high, sequences, mean_probability, accuracy, and the 95 % interval of
        the latter, interval_low and interval_high; all but sequences in 0..1.
    """
    top_M, correct_M = _top_probability(true_M, proba_MK)
    bin_M = np.minimum((top_M * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    rows = []
    for k in np.unique(bin_M).tolist():
        in_bin = bin_M == k
        num, accuracy = int(in_bin.sum()), float(correct_M[in_bin].mean())
        low, high = wilson(accuracy, num)
        rows.append(
            {
                "bin_low": k / NUM_BINS,
                "bin_high": (k + 1) / NUM_BINS,
                "sequences": num,
                "mean_probability": float(top_M[in_bin].mean()),
                "accuracy": accuracy,
                "interval_low": low,
                "interval_high": high,
            }
        )
    return pl.DataFrame(rows)


def expected_error(bins: pl.DataFrame) -> float:
    """Return the expected calibration error of a reliability table, 0..1."""
    gap = (pl.col("accuracy") - pl.col("mean_probability")).abs()
    share = pl.col("sequences") / pl.col("sequences").sum()
    return float(bins.select((gap * share).sum()).item())


def calibration_table(oof: OutOfFold, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return calibration error, mean probability, accuracy and losses, one row per model."""
    rows = []
    for model in oof.choices:
        mask, proba_MK = oof.probabilities(model, weights)
        true_M = oof.true_N[mask]
        top_M, correct_M = _top_probability(true_M, proba_MK)
        p_true_M = proba_MK[np.arange(len(true_M)), true_M]
        squares_M = (proba_MK**2).sum(axis=1) - 2 * p_true_M + 1
        rows.append(
            {
                "model": registry.title(model),
                "expected_error": expected_error(reliability_table(true_M, proba_MK)),
                "mean_probability": float(top_M.mean()),
                "accuracy": float(correct_M.mean()),
                "log_loss": float(-np.log(np.maximum(p_true_M, MIN_PROBABILITY)).mean()),
                "brier": float(squares_M.mean()),
                "sequences": len(true_M),
            }
        )
    return pl.DataFrame(rows)


def describe(row: Mapping[str, float]) -> str:
    """Return in words what one row of ``calibration_table`` means."""
    probability, accuracy = row["mean_probability"], row["accuracy"]
    if abs(probability - accuracy) <= SMALL_GAP:
        name = "well calibrated"
    else:
        name = "overconfident" if probability > accuracy else "underconfident"
    percent = f"{words.NO_BREAK}%"
    numbers = f"mean probability {100 * probability:.0f}{percent}, accuracy {100 * accuracy:.0f}"
    return f"{name}: {numbers}{percent}"


def wilson(share: float, num: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many cases."""
    square = Z_95**2 / num
    middle = (share + square / 2) / (1 + square)
    half_width = Z_95 / (1 + square) * np.sqrt(share * (1 - share) / num + square / (4 * num))
    return max(0.0, float(middle - half_width)), min(1.0, float(middle + half_width))


def _top_probability(true_M: Integers, proba_MK: Floats) -> tuple[Floats, Floats]:
    """Return the probability of each predicted gesture, and 1.0 where it is correct."""
    return proba_MK.max(axis=1), (proba_MK.argmax(axis=1) == true_M).astype(np.float64)
