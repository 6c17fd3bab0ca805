"""What is recorded of an epoch, and which of two is the better one.

In: probabilities of the validation part. Out: ``EpochRecord``.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import IntArray
from trainer.metric import competition_score

EpochRecord = dict[str, float | int]


def record_epoch(
    epoch: int,
    *,
    train_loss: float,
    learning_rate: float,
    true_idx: IntArray,
    proba_NK: NDArray[np.float64],
    num_targets: int,
) -> EpochRecord:
    """Return one line of a fold's history.

    Args:
        epoch: Counted from 1.
        train_loss: Mean over its batches, as it was trained on.
        learning_rate: Of the next step.
        true_idx: (N,) classes of the validation part.
        proba_NK: (N, K) their probabilities after the epoch.
        num_targets: How many of the K classes are targets.
    """
    predicted_idx = proba_NK.argmax(axis=1)
    score = competition_score(true_idx, predicted_idx, num_targets)
    return {
        "epoch": epoch,
        "train_loss": train_loss,
        "valid_loss": _log_loss(proba_NK, true_idx),
        "score": score.score,
        "accuracy": float((true_idx == predicted_idx).mean()),
        "binary_f1": score.binary_f1,
        "macro_f1": score.macro_f1,
        "learning_rate": learning_rate,
    }


def rank(record: EpochRecord) -> tuple[float, float]:
    """Return what makes an epoch better: its score, then a lower validation loss."""
    return record["score"], -record["valid_loss"]


def _log_loss(proba_NK: NDArray[np.float64], true_idx: IntArray) -> float:
    """Return the mean cross entropy, without smoothing; a probability counts at least 1e-15."""
    true_proba_N = proba_NK[np.arange(len(true_idx)), true_idx]
    return float(-np.log(np.maximum(true_proba_N, 1e-15)).mean())
