"""What if: predictions for changed copies of recordings.

In: ``Sequences``. Out: changed ``Sequences``, their ``Prediction``s, a table of the differences.
Nothing is random.

Shapes: N sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from trainer.data.preprocess import mirror
from trainer.data.sequences import Sequences
from trainer.predict.predictor import GROUP_NAMES, Prediction, Predictor

BLANKED_S = 1.0


@dataclass(frozen=True)
class Variant:
    """A changed recording.

    Attributes:
        name: Short and stable: "without_tof", "without_thm", "without_rot", "other_hand",
            "last_second_blanked".
        title: The change in words, to follow "what if".
        sequences: The changed recordings, in the same order.
    """

    name: str
    title: str
    sequences: Sequences


@dataclass(frozen=True)
class Outcome:
    """Changed recordings and their prediction."""

    variant: Variant
    prediction: Prediction


def variants_of(sequences: Sequences, rate_hz: float) -> tuple[Variant, ...]:
    """Return changed copies of recordings.

    A sensor group is removed only if the recordings have it, the last second only if every sequence
    has acceleration before it.

    Args:
        sequences: The recordings.
        rate_hz: Time steps in a second.
    """
    variants = [
        Variant(f"without_{group}", f"without {GROUP_NAMES[group]}", sequences.without([group]))
        for group in ("tof", "thm", "rot")
        if group in sequences.groups
    ]
    variants.append(Variant("other_hand", "worn on the other hand", mirror(sequences)))
    shortened = _without_end(sequences, round(BLANKED_S * rate_hz))
    if shortened is not None:
        variants.append(Variant("last_second_blanked", "without its last second", shortened))
    return tuple(variants)


def what_if(
    predictor: Predictor, sequences: Sequences, rate_hz: float, fold: int | None = None
) -> tuple[Outcome, ...]:
    """Predict every changed copy of recordings.

    Args:
        predictor: A run's models.
        sequences: The recordings.
        rate_hz: Time steps in a second.
        fold: Use this fold's models only; None uses all folds.

    Raises:
        PredictError: There is no such fold.
    """
    return tuple(
        Outcome(variant, predictor.predict(variant.sequences, fold))
        for variant in variants_of(sequences, rate_hz)
    )


def flip_table(before: Prediction, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return how each change moves each prediction.

    Args:
        before: The prediction for the unchanged recordings.
        outcomes: Of ``what_if``.

    Returns:
        One row per sequence and change: sequence_id, what_if, predicted_before, predicted_after,
        p_before and p_after (probabilities of the gesture predicted before), p_target_before,
        p_target_after, flips (whether another gesture is predicted), change (after minus before).
    """
    rows = np.arange(len(before.sequence_ids))
    best_N = np.argmax(before.proba_NK, axis=1)
    tables = [
        pl.DataFrame(
            {
                "sequence_id": before.sequence_ids.tolist(),
                "what_if": [outcome.variant.title] * len(rows),
                "predicted_before": before.predicted,
                "predicted_after": outcome.prediction.predicted,
                "p_before": before.proba_NK[rows, best_N],
                "p_after": outcome.prediction.proba_NK[rows, best_N],
                "p_target_before": before.target_proba_N,
                "p_target_after": outcome.prediction.target_proba_N,
            }
        )
        for outcome in outcomes
    ]
    return pl.concat(tables).with_columns(
        flips=pl.col("predicted_before") != pl.col("predicted_after"),
        change=pl.col("p_after") - pl.col("p_before"),
    )


def _without_end(sequences: Sequences, num_steps: int) -> Sequences | None:
    """Return the recordings without their last steps, None if one would be left empty."""
    stop_T = np.repeat(sequences.offsets[1:] - num_steps, sequences.lengths_N)
    keep_mask = np.arange(len(stop_T)) < stop_T
    known_T = keep_mask & ~np.isnan(sequences.acc_T3).any(axis=1)
    if not np.logical_or.reduceat(known_T, sequences.offsets[:-1]).all():
        return None
    return sequences.keep_steps(keep_mask)
