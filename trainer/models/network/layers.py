"""Masked layers: the values of padded steps have no influence.

In: a padded batch, real steps first, and the mask of its real steps. Out: zero on padding.

Selecting real steps and max-pooling have backward passes of their own: the same values and
gradients as torch's indexing and ``torch.maximum``, which search the mask and fill whole arrays
several times.

Shapes: N sequences, T time steps, P pooled time steps, R real steps of all sequences, C channels,
S statistics, B bins, Q pairs of channels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

NUM_BINS = 4  # of equal duration, of which the means are statistics
TINY_VARIANCE = 1e-6  # of scaled channels, whose variance is about 1; a missing channel has none
TINY_SCALE = 1e-3  # added to the product of two standard deviations
TIME_MULTIPLE = 4  # steps; both max-pools of 2 divide the time axis without a rest


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the real steps alone; padded steps come out as zero."""

    def forward_masked(self, x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        """Normalise the real steps.

        Args:
            x_NTC: (N, T, C).
            mask_NT: (N, T) bool, True = real.

        Returns:
            (N, T, C), 0 where the mask is False.
        """
        position_R = real_positions(mask_NT)
        return put_real(self(pick_real(x_NTC, position_R)), position_R, x_NTC.shape)


class ConvolutionNorm(nn.Module):
    """Convolution along time, then masked batch norm."""

    def __init__(self, num_inputs: int, num_outputs: int, kernel: int) -> None:
        super().__init__()
        # no bias: the batch norm that follows takes the mean away
        self.convolution = nn.Conv1d(num_inputs, num_outputs, kernel, padding="same", bias=False)
        self.norm = MaskedBatchNorm(num_outputs)

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        """Return (N, T, outputs), zero on padding."""
        x_NTC = self.convolution(x_NTC.transpose(1, 2)).transpose(1, 2)
        return self.norm.forward_masked(x_NTC, mask_NT)


class AdditiveAttention(nn.Module):
    """Bahdanau's additive attention with one learned query: a weighted mean over real steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, width)
        self.query = nn.Linear(width, 1, bias=False)

    def forward(self, x_NPC: Tensor, mask_NP: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (N, C) and its weights (N, P)."""
        scores_NP = self.query(torch.tanh(self.project(x_NPC))).squeeze(-1)
        weights_NP = torch.softmax(scores_NP.masked_fill(~mask_NP, -torch.inf), dim=1)
        return (weights_NP[..., None] * x_NPC).sum(dim=1), weights_NP


def pad_time(x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
    """Pad the time axis to a multiple of 4 and put zeros on padding.

    Args:
        x_NTC: (N, T, C); steps from ``lengths_N`` on may hold any value.
        lengths_N: (N,) int64 real steps, at least 1.

    Returns:
        The padded batch, and the mask (N, T) of its real steps.
    """
    x_NTC = nn.functional.pad(x_NTC, (0, 0, 0, -x_NTC.shape[1] % TIME_MULTIPLE))
    step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
    mask_NT = step_T[None, :] < lengths_N[:, None]
    return torch.where(mask_NT[..., None], x_NTC, 0.0), mask_NT


@torch.no_grad()
def statistics(x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
    """Return mean, standard deviation, extremes, mean step, means of bins, areas, correlations.

    Args:
        x_NTC: (N, T, C); steps from ``lengths_N`` on may hold any value.
        lengths_N: (N,) int64 real steps, at least 1.

    Returns:
        (N, S): C of each of the first five, B C of bins, Q signed areas, Q correlations.
    """
    with torch.autocast(x_NTC.device.type, enabled=False):
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        real_NT1 = mask_NT[..., None]
        length_N1 = lengths_N[:, None].to(x_NTC.dtype)
        mean_NC = x_NTC.sum(dim=1) / length_N1
        centred_NTC = torch.where(real_NT1, x_NTC - mean_NC[:, None], 0.0)
        std_NC = ((centred_NTC**2).sum(dim=1) / length_N1 + TINY_VARIANCE).sqrt()
        step_NTC = torch.where(real_NT1[:, 1:], centred_NTC.diff(dim=1), 0.0)
        middle_NTC = torch.where(real_NT1[:, 1:], centred_NTC[:, 1:] + centred_NTC[:, :-1], 0.0) / 2
        return torch.cat(
            [
                mean_NC,
                std_NC,
                x_NTC.masked_fill(~real_NT1, torch.inf).amin(dim=1),
                x_NTC.masked_fill(~real_NT1, -torch.inf).amax(dim=1),
                step_NTC.abs().sum(dim=1) / (length_N1 - 1).clamp_min(1),
                _bin_means(x_NTC, mask_NT, lengths_N).flatten(1),
                _pairs(_areas(middle_NTC, step_NTC), std_NC),
                _pairs(centred_NTC.mT @ centred_NTC / length_N1[..., None], std_NC),
            ],
            dim=1,
        )


def masked_mean(x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
    """Return the mean (N, C) over the real steps of values that are zero on padding."""
    return x_NTC.sum(dim=1) / mask_NT.sum(dim=1, keepdim=True)


def run_packed(layer: nn.LSTM | nn.GRU, x_NPC: Tensor, lengths_cpu_N: Tensor) -> Tensor:
    """Run a recurrent layer over the real steps only; padded steps come out as zero."""
    packed = pack_padded_sequence(x_NPC, lengths_cpu_N, batch_first=True, enforce_sorted=False)
    output, _ = layer(packed)
    return pad_packed_sequence(output, batch_first=True, total_length=x_NPC.shape[1])[0]


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


def _areas(middle_NTC: Tensor, step_NTC: Tensor) -> Tensor:
    """Return twice the signed area that each pair of channels encloses, (N, C, C)."""
    product_NCC = middle_NTC.mT @ step_NTC
    return product_NCC - product_NCC.mT


def _pairs(product_NCC: Tensor, std_NC: Tensor) -> Tensor:
    """Return products of different channels in units of their standard deviations, (N, Q)."""
    scale_NCC = std_NC[:, :, None] * std_NC[:, None, :] + TINY_SCALE
    num_channels = std_NC.shape[1]
    first_Q, second_Q = torch.triu_indices(num_channels, num_channels, 1, device=std_NC.device)
    return (product_NCC / scale_NCC)[:, first_Q, second_Q]


def _bin_means(x_NTC: Tensor, mask_NT: Tensor, lengths_N: Tensor) -> Tensor:
    """Return the means of bins of equal duration, (N, B, C); 0 where a bin has no step."""
    step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
    bin_NT = step_T * NUM_BINS // lengths_N[:, None]
    is_in_NBT = (bin_NT[:, None] == torch.arange(NUM_BINS, device=x_NTC.device)[:, None]).to(
        x_NTC.dtype
    )
    is_in_NBT = is_in_NBT * mask_NT[:, None].to(x_NTC.dtype)
    return is_in_NBT @ x_NTC / is_in_NBT.sum(dim=2, keepdim=True).clamp_min(1)


class _Context(FunctionCtx):
    """The attributes that a node of the graph saves for its backward pass."""

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
