"""Picking real steps and max-pooling, with cheaper backward passes than torch derives.

In: padded batches and where their real steps are. Out: the values and gradients of torch's own
indexing and ``torch.maximum``, which look through the mask and fill whole arrays several times.

Shapes: N sequences, T time steps, P = T / 2, R real steps of all sequences, C channels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def real_positions(mask_NT: Tensor) -> Tensor:
    """Return where the real steps are: (R,) int64 positions in the flattened mask."""
    return mask_NT.flatten().nonzero().squeeze(1)


def pick_real(x_NTC: Tensor, position_R: Tensor) -> Tensor:
    """Return the real steps (R, C) of a batch."""
    return cast(Tensor, _Pick.apply(x_NTC, position_R))  # type: ignore[no-untyped-call]


def put_real(real_RC: Tensor, position_R: Tensor, shape: torch.Size) -> Tensor:
    """Return the batch of a shape (N, T, C) that has these real steps, and zeros elsewhere."""
    return cast(Tensor, _Put.apply(real_RC, position_R, shape))  # type: ignore[no-untyped-call]


def max_pool(x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:
    """Max-pool values and mask by 2; a padded step never wins, and stays zero.

    Not ``max_pool1d``, whose backward pass is not deterministic on a GPU.

    Args:
        x_NTC: (N, T, C), T even, zero on padding.
        mask_NT: (N, T) bool, True = real.

    Returns:
        Values (N, T / 2, C) and mask (N, T / 2).
    """
    pooled_NPC = _MaxPool.apply(x_NTC, mask_NT[:, 1::2, None])  # type: ignore[no-untyped-call]
    return cast(Tensor, pooled_NPC), mask_NT[:, ::2]


class _Context(FunctionCtx):
    """What a node of the graph keeps for its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    shape: torch.Size


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x_NTC: Tensor, position_R: Tensor) -> Tensor:
        ctx.save_for_backward(position_R)
        ctx.shape = x_NTC.shape
        return x_NTC.flatten(end_dim=1).index_select(0, position_R)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor, None]:
        return _put(gradients[0], ctx.saved_tensors[0], ctx.shape), None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, real_RC: Tensor, position_R: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(position_R)
        return _put(real_RC, position_R, shape)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor, None, None]:
        d_NTC = gradients[0]
        return d_NTC.flatten(end_dim=1).index_select(0, ctx.saved_tensors[0]), None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x_NTC: Tensor, mask_NP1: Tensor) -> Tensor:
        # where the first of two steps is padding, both are, and the first is zero
        first_NPC, second_NPC = x_NTC[:, ::2], x_NTC[:, 1::2].masked_fill(~mask_NP1, -torch.inf)
        if ctx.needs_input_grad[0]:
            first_share_NPC = torch.gt(first_NPC, second_NPC).to(x_NTC.dtype)
            is_equal_NPC = torch.eq(first_NPC, second_NPC)
            if is_equal_NPC.any():
                first_share_NPC.masked_fill_(is_equal_NPC, 0.5)
            ctx.save_for_backward(first_share_NPC)
        return torch.maximum(first_NPC, second_NPC)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor, None]:
        (first_share_NPC,) = ctx.saved_tensors
        (d_NPC,) = gradients
        num, pooled, channels = d_NPC.shape
        d_NP2C = d_NPC.new_empty(num, pooled, 2, channels)
        d_first_NPC = torch.mul(d_NPC, first_share_NPC, out=d_NP2C[:, :, 0])
        torch.sub(d_NPC, d_first_NPC, out=d_NP2C[:, :, 1])
        return d_NP2C.flatten(1, 2), None


def _put(real_RC: Tensor, position_R: Tensor, shape: torch.Size) -> Tensor:
    batch_NTC = real_RC.new_zeros(shape)
    batch_NTC.view(-1, shape[-1]).index_copy_(0, position_R, real_RC)
    return batch_NTC
