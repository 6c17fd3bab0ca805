"""Which sequences make up each training batch: a function of (seed, epoch), nothing remembered.

In: lengths of the training sequences, batch size, seed. Out: positions of one epoch's batches.

Shapes: N training sequences.
"""

from __future__ import annotations

import numpy as np

from trainer.data.sequences import IntArray

POOL_BATCHES = 8  # batches that share out their sequences by length, so that each pads little


def count_batches(num_sequences: int, batch_size: int) -> int:
    """Return the batches of one epoch.

    Batches are of nearly one size, between batch_size and twice that, so that none is too small for
    a batch statistic: with a remainder of 1, the usual last batch would hold a single sequence.

    Args:
        num_sequences: N, at least 1.
        batch_size: The smallest batch, where there are that many sequences.
    """
    return max(1, num_sequences // batch_size)


def epoch_batches(lengths_N: IntArray, batch_size: int, seed: int) -> list[IntArray]:
    """Return one epoch's batches, every sequence once.

    Sequences are shuffled and cut into pools; inside a pool, batches go by length; then the
    batches are shuffled.

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
