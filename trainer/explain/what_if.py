"""What if: the same recording with something changed, and what the answer would be.

In: ``Sequences``. Out: changed ``Sequences``, their ``Prediction``, and a table of what flips.
Nothing is random, and every answer is computed anew.

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
        title: In plain words.
        sequences: The changed recordings, as many and in the same order.
    """

    name: str
    title: str
    sequences: Sequences


@dataclass(frozen=True)
class Outcome:
    """A changed recording and its answer."""

    variant: Variant
    prediction: Prediction


def variants_of(sequences: Sequences, rate_hz: float) -> tuple[Variant, ...]:
    """Return the changes that can be made to recordings.

    A sensor is taken away only where it is there, the last second only where every sequence has
    acceleration before it.

    Args:
        sequences: The recordings; they are not changed.
        rate_hz: Time steps in a second.
    """
    told = [
        Variant(f"without_{group}", f"without {GROUP_NAMES[group]}", sequences.without([group]))
        for group in ("tof", "thm", "rot")
        if group in sequences.groups
    ]
    told.append(Variant("other_hand", "worn on the other hand", mirror(sequences)))
    shortened = _without_end(sequences, round(BLANKED_S * rate_hz))
    if shortened is not None:
        told.append(Variant("last_second_blanked", "without its last second", shortened))
    return tuple(told)


def what_if(
    predictor: Predictor, sequences: Sequences, rate_hz: float, fold: int | None = None
) -> tuple[Outcome, ...]:
    """Ask a run about every change of recordings.

    Args:
        predictor: A run's models.
        sequences: The recordings.
        rate_hz: Time steps in a second.
        fold: Ask only this fold's models; None asks all.

    Raises:
        PredictError: There is no such fold.
    """
    return tuple(
        Outcome(variant, predictor.predict(variant.sequences, fold))
        for variant in variants_of(sequences, rate_hz)
    )


def flip_table(before: Prediction, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return what each change does to each answer.

    Args:
        before: The answers about the recordings as they are.
        outcomes: Of ``what_if``.

    Returns:
        One row per sequence and change: sequence_id, what_if, answer_before, answer_after, flips,
        p_before and p_after (the first answer's probability), change (after minus before),
        p_target_before, p_target_after.
    """
    rows = np.arange(len(before.sequence_ids))
    answer_N = np.argmax(before.proba_NK, axis=1)
    tables = [
        pl.DataFrame(
            {
                "sequence_id": before.sequence_ids.tolist(),
                "what_if": [outcome.variant.title] * len(rows),
                "answer_before": before.answers,
                "answer_after": outcome.prediction.answers,
                "p_before": before.proba_NK[rows, answer_N],
                "p_after": outcome.prediction.proba_NK[rows, answer_N],
                "p_target_before": before.target_proba_N,
                "p_target_after": outcome.prediction.target_proba_N,
            }
        )
        for outcome in outcomes
    ]
    return pl.concat(tables).with_columns(
        flips=pl.col("answer_before") != pl.col("answer_after"),
        change=pl.col("p_after") - pl.col("p_before"),
    )


def _without_end(sequences: Sequences, num_steps: int) -> Sequences | None:
    """Return the recordings without their last steps, None where one would have nothing left."""
    stop_T = np.repeat(sequences.offsets[1:] - num_steps, sequences.lengths_N)
    keep_mask = np.arange(len(stop_T)) < stop_T
    known_T = keep_mask & ~np.isnan(sequences.acc_T3).any(axis=1)
    if not np.logical_or.reduceat(known_T, sequences.offsets[:-1]).all():
        return None
    return sequences.keep_steps(keep_mask)
