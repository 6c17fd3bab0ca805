"""Layers that know which steps are real: what stands in a padded step has no influence.

In: a padded batch, real steps first, and the mask of its real steps. Out: zero on padding.

Shapes: N sequences, T time steps, P pooled time steps, R real steps of all sequences, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainer.models.network.masked import pick_real, put_real, real_positions
from trainer.models.network.recurrent import run_both_ways

TIME_MULTIPLE = 4  # steps; a time axis that both max-pools of 2 divide loses none


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
        x_NTC: (N, T, C); steps from ``lengths_N`` on may hold anything.
        lengths_N: (N,) int64 real steps, at least 1.

    Returns:
        The padded batch, and the mask (N, T) of its real steps.
    """
    x_NTC = nn.functional.pad(x_NTC, (0, 0, 0, -x_NTC.shape[1] % TIME_MULTIPLE))
    step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
    mask_NT = step_T[None, :] < lengths_N[:, None]
    return torch.where(mask_NT[..., None], x_NTC, 0.0), mask_NT


def masked_mean(x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
    """Return the mean (N, C) over the real steps of values that are zero on padding."""
    return x_NTC.sum(dim=1) / mask_NT.sum(dim=1, keepdim=True)


def run_packed(layer: nn.LSTM | nn.GRU, x_NPC: Tensor, lengths_cpu_N: Tensor) -> Tensor:
    """Run a recurrent layer over the real steps only; padded steps come out as zero."""
    if _can_be_cheaper(layer, x_NPC, lengths_cpu_N):
        return _run_packed_to_learn(layer, x_NPC, lengths_cpu_N)
    packed = pack_padded_sequence(x_NPC, lengths_cpu_N, batch_first=True, enforce_sorted=False)
    output, _ = layer(packed)
    return pad_packed_sequence(output, batch_first=True, total_length=x_NPC.shape[1])[0]


def _can_be_cheaper(layer: nn.LSTM | nn.GRU, x_NPC: Tensor, lengths_N: Tensor) -> bool:
    """Return whether gradients will be asked for of what torch computes step by step.

    An LSTM over sequences of one length is oneDNN's, whole, and has other last bits.
    """
    is_stepwise = isinstance(layer, nn.GRU) or bool((lengths_N != lengths_N[0]).any())
    is_plain = x_NPC.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return torch.is_grad_enabled() and is_plain and is_stepwise


def _run_packed_to_learn(layer: nn.LSTM | nn.GRU, x_NPC: Tensor, lengths_N: Tensor) -> Tensor:
    """Do the same to the bit, with a cheaper backward pass."""
    sorted_N, order = torch.sort(lengths_N, descending=True)
    step_P1 = torch.arange(x_NPC.shape[1])[:, None]
    is_real_PN = step_P1 < sorted_N
    position_R = (order * x_NPC.shape[1] + step_P1)[is_real_PN]
    batch_sizes = is_real_PN[: int(sorted_N[0])].sum(dim=1).tolist()
    output_RC = run_both_ways(layer, pick_real(x_NPC, position_R), batch_sizes)
    return put_real(output_RC, position_R, x_NPC.shape[:2] + output_RC.shape[1:])
