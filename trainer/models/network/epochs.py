"""An epoch: its batches, its record, and its rank.

In: lengths of the training sequences and a seed; later, probabilities of the validation part. Out:
positions of each batch's sequences, a function of (seed, epoch) alone; ``EpochRecord``.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import IntArray
from trainer.metric import competition_score

EpochRecord = dict[str, float | int]

POOL_BATCHES = 8  # batches that divide their sequences by length, so that each pads little


def count_batches(num_sequences: int, batch_size: int) -> int:
    """Return the batches of one epoch.

    Batches are of nearly one size, between batch_size and twice that, so that none is too small for
    batch statistics: a usual last batch could be a single sequence.

    Args:
        num_sequences: N, at least 1.
        batch_size: The smallest batch, where there are that many sequences.
    """
    return max(1, num_sequences // batch_size)


def epoch_batches(lengths_N: IntArray, batch_size: int, seed: int) -> list[IntArray]:
    """Return one epoch's batches, every sequence once.

    Sequences are shuffled and cut into pools; inside a pool they are sorted by length and cut into
    batches; then the batches are shuffled.

    Args:
        lengths_N: (N,) time steps of each training sequence.
        batch_size: As for ``count_batches``.
        seed: Of this epoch's order.

    Returns:
        ``count_batches`` arrays of positions in 0..N-1.
    """
    rng = np.random.default_rng(seed)
    num_batches = count_batches(len(lengths_N), batch_size)
    shuffled = np.array_split(rng.permutation(len(lengths_N)), num_batches)
    batches: list[IntArray] = []
    for first in range(0, num_batches, POOL_BATCHES):
        parts = shuffled[first : first + POOL_BATCHES]
        pool = np.concatenate(parts)
        by_length = pool[np.argsort(lengths_N[pool], kind="stable")]
        batches.extend(np.array_split(by_length, len(parts)))
    return [batches[position] for position in rng.permutation(num_batches)]


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
        train_loss: Mean over its batches, with label smoothing and augmentation.
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
    """Return the sort key of an epoch, the best is highest: score, then lower validation loss."""
    return record["score"], -record["valid_loss"]


def _log_loss(proba_NK: NDArray[np.float64], true_idx: IntArray) -> float:
    """Return the mean cross entropy, without smoothing; a probability counts at least 1e-15."""
    true_proba_N = proba_NK[np.arange(len(true_idx)), true_idx]
    return float(-np.log(np.maximum(true_proba_N, 1e-15)).mean())
