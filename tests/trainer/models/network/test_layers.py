"""Real steps and max-pooling: values and gradients of torch's own operations, to the bit."""

import pytest
import torch

from trainer.models.network.layers import (
    MaskedBatchNorm,
    max_pool,
    pick_real,
    put_real,
    real_positions,
)

LENGTHS = torch.tensor([6, 1, 3, 8, 2])


def plain_max_pool(x_NTC, mask_NT):
    """Return the reference of ``max_pool``."""
    first_NPC, second_NPC = x_NTC[:, ::2], x_NTC[:, 1::2]
    second_NPC = torch.where(mask_NT[:, 1::2, None], second_NPC, -torch.inf)
    return torch.maximum(first_NPC, second_NPC), mask_NT[:, ::2]


def plain_pick_and_put(x_NTC, mask_NT):
    """Return each real step, squared, at its place."""
    return torch.zeros_like(x_NTC).index_put((mask_NT,), x_NTC[mask_NT] ** 2), mask_NT


def pick_and_put(x_NTC, mask_NT):
    """Do the same with the functions under test."""
    position_R = real_positions(mask_NT)
    return put_real(pick_real(x_NTC, position_R) ** 2, position_R, x_NTC.shape), mask_NT


def value_and_gradient(function, x_NTC, mask_NT):
    """Return the values, and the gradient for weights that are all different."""
    x_NTC = x_NTC.clone().requires_grad_()
    value, _ = function(x_NTC, mask_NT)
    (value * torch.arange(value.numel()).reshape(value.shape).cos()).sum().backward()
    return value.detach(), x_NTC.grad


@pytest.mark.parametrize("lengths_N", [LENGTHS, torch.full((5,), 8)], ids=["padded", "all real"])
@pytest.mark.parametrize(
    ("ours", "plain"),
    [(max_pool, plain_max_pool), (pick_and_put, plain_pick_and_put)],
    ids=["max pool", "pick and put"],
)
@pytest.mark.parametrize("has_ties", [False, True], ids=["different", "equal neighbours"])
def test_values_and_gradients_are_those_of_torch(ours, plain, lengths_N, has_ties):
    """With padding and without; of two equal steps each gets half of the gradient."""
    torch.manual_seed(4)
    mask_NT = torch.arange(8) < lengths_N[:, None]
    x_NTC = torch.randn(5, 8, 3)
    if has_ties:
        x_NTC = x_NTC.round()
    x_NTC = torch.where(mask_NT[..., None], x_NTC, 0.0)
    for one, other in zip(
        value_and_gradient(ours, x_NTC, mask_NT),
        value_and_gradient(plain, x_NTC, mask_NT),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_the_norm_leaves_padding_zero_and_counts_real_steps_alone():
    """The mean of the real steps is 0 for each channel, whatever the padded steps hold."""
    torch.manual_seed(4)
    mask_NT = torch.arange(8) < LENGTHS[:, None]
    x_NTC = torch.where(mask_NT[..., None], torch.randn(5, 8, 3), 99.0)
    normed_NTC = MaskedBatchNorm(3).train().forward_masked(x_NTC, mask_NT)
    assert (normed_NTC[~mask_NT] == 0.0).all()
    assert torch.allclose(normed_NTC.sum(dim=(0, 1)), torch.zeros(3), atol=1e-5)
    assert not (normed_NTC[mask_NT] == 0.0).any()


def test_a_padded_step_wins_no_pooling_even_against_negative_values():
    """Real -3 beside padding stays -3; two padded steps give 0 and are padding."""
    x_NTC = torch.tensor([[[-5.0], [-2.0], [-3.0], [0.0], [0.0], [0.0]]])
    mask_NT = torch.tensor([[True, True, True, False, False, False]])
    pooled_NTC, pooled_mask_NT = max_pool(x_NTC, mask_NT)
    assert pooled_NTC.flatten().tolist() == [-2.0, -3.0, 0.0]
    assert pooled_mask_NT.tolist() == [[True, True, False]]
