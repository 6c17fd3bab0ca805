"""Calibration: whether a probability of 80 % is right in 80 of 100 cases.

In: true classes and probabilities. Out: frames.
Source of the expected calibration error: Guo et al. 2017, "On Calibration of Modern Neural
Networks", equal-width bins of the answer's probability. Interval of a share: Wilson 1927.

Shapes: M scored sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.results import Floats, Integers, OutOfFold

NUM_BINS = 10
Z_95 = 1.96  # standard deviations on both sides that hold 95 %
LEAST = 1e-15  # of a probability in the log loss, as scikit-learn clips it
SMALL_GAP = 0.02  # two points between said and right are called well calibrated


def reliability_table(true_M: Integers, proba_MK: Floats) -> pl.DataFrame:
    """Return one row per bin of the answer's probability that holds a sequence.

    Returns:
        Columns bin_low, bin_high, sequences, mean_probability, share_right, and the 95 % interval
        of the latter, interval_low and interval_high; all but sequences in 0..1.
    """
    said_M, right_M = _answers(true_M, proba_MK)
    bin_M = np.minimum((said_M * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    rows = []
    for k in np.unique(bin_M).tolist():
        here = bin_M == k
        num, share = int(here.sum()), float(right_M[here].mean())
        low, high = wilson(share, num)
        rows.append(
            {
                "bin_low": k / NUM_BINS,
                "bin_high": (k + 1) / NUM_BINS,
                "sequences": num,
                "mean_probability": float(said_M[here].mean()),
                "share_right": share,
                "interval_low": low,
                "interval_high": high,
            }
        )
    return pl.DataFrame(rows)


def expected_error(bins: pl.DataFrame) -> float:
    """Return the expected calibration error of a reliability table, 0..1."""
    gap = (pl.col("share_right") - pl.col("mean_probability")).abs()
    share = pl.col("sequences") / pl.col("sequences").sum()
    return float(bins.select((gap * share).sum()).item())


def calibration_table(oof: OutOfFold, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per model: calibration error, what it says, how often it is right, losses."""
    rows = []
    for model in oof.choices:
        mask, proba_MK = oof.probabilities(model, weights)
        true_M = oof.true_N[mask]
        said_M, right_M = _answers(true_M, proba_MK)
        p_true_M = proba_MK[np.arange(len(true_M)), true_M]
        squares_M = (proba_MK**2).sum(axis=1) - 2 * p_true_M + 1
        rows.append(
            {
                "model": words.MODELS[model],
                "expected_error": expected_error(reliability_table(true_M, proba_MK)),
                "mean_probability": float(said_M.mean()),
                "accuracy": float(right_M.mean()),
                "log_loss": float(-np.log(np.maximum(p_true_M, LEAST)).mean()),
                "brier": float(squares_M.mean()),
                "sequences": len(true_M),
            }
        )
    return pl.DataFrame(rows)


def derived(row: Mapping[str, float]) -> str:
    """Say in words what one row of ``calibration_table`` means."""
    said, right = row["mean_probability"], row["accuracy"]
    numbers = f"it says {100 * said:.0f} % on average and is right in {100 * right:.0f} %"
    if abs(said - right) <= SMALL_GAP:
        return f"about as sure as it may be: {numbers}"
    return f"{'surer than it may be' if said > right else 'too modest'}: {numbers}"


def wilson(share: float, num: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many cases."""
    square = Z_95**2 / num
    middle = (share + square / 2) / (1 + square)
    fitted = Z_95 / (1 + square) * np.sqrt(share * (1 - share) / num + square / (4 * num))
    return max(0.0, float(middle - fitted)), min(1.0, float(middle + fitted))


def _answers(true_M: Integers, proba_MK: Floats) -> tuple[Floats, Floats]:
    """Return the probability of each answer, and 1.0 where it is right."""
    return proba_MK.max(axis=1), (proba_MK.argmax(axis=1) == true_M).astype(np.float64)
