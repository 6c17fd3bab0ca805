"""The batches of an epoch: every sequence once, of nearly one size and length."""

import numpy as np

from trainer.models.network.epochs import count_batches, epoch_batches


def test_no_batch_is_smaller_than_the_batch_size():
    """33 sequences in batches of 32 are one batch, not 32 and a lone one."""
    assert [count_batches(n, 32) for n in (1, 31, 32, 33, 63, 64, 65)] == [1, 1, 1, 1, 1, 2, 2]
    for num_sequences in range(4, 100):
        batches = epoch_batches(np.arange(num_sequences), 4, seed=0)
        assert len(batches) == count_batches(num_sequences, 4)
        assert min(len(batch) for batch in batches) >= 4
        assert sorted(np.concatenate(batches)) == list(range(num_sequences))


def test_an_epochs_order_is_a_function_of_its_seed():
    """The same seed gives the same batches, another one others."""
    first, again, other = (
        [batch.tolist() for batch in epoch_batches(np.arange(40) % 7, 4, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_sequences_of_about_one_length_share_a_batch():
    """A batch contains little padding."""
    lengths_N = np.random.default_rng(0).permutation(64)
    spreads = [np.ptp(lengths_N[batch]) for batch in epoch_batches(lengths_N, 8, seed=0)]
    assert max(spreads) == 7
