"""TimeSeriesNet: convolutions, recurrent layers and attention over the real steps of a sequence.

In: a padded batch of frames, real steps first, and the number of real steps of each sequence.
Out: one logit per gesture. What stands in a padded step, and how many there are, has no influence:
padded steps are zero after every block, count in no statistic and no attention, and the recurrent
layers do not run through them.

Shapes: N sequences, T time steps, P time steps after both poolings, R real steps of all
sequences, C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TIME_MULTIPLE = 4  # steps; a time axis that both max-pools of 2 divide loses none
KERNELS = (7, 5)  # steps, of the first and the second convolution


@dataclass(frozen=True)
class NetworkSizes:
    """What has to be known to build the network again.

    Attributes:
        num_channels: C of the input, presence flags included.
        num_classes: K.
        conv_channels: Output channels of the two convolutions.
        recurrent_units: Units of each direction of the LSTM and of the GRU.
        dropout: Share dropped between blocks and in the head, while training.
    """

    num_channels: int
    num_classes: int
    conv_channels: tuple[int, int]
    recurrent_units: int
    dropout: float


class TimeSeriesNet(nn.Module):
    """Two convolution blocks, BiLSTM, BiGRU, masked additive attention, MLP head."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        first, second = sizes.conv_channels
        width = 2 * sizes.recurrent_units  # both directions
        self.first_block = _ConvolutionBlock(sizes.num_channels, first, KERNELS[0])
        self.second_block = _ConvolutionBlock(first, second, KERNELS[1])
        self.lstm = nn.LSTM(second, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(width, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(sizes.dropout)
        self.attention = _AdditiveAttention(width)
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(sizes.dropout),
            nn.Linear(width, sizes.num_classes),
        )  # fmt: skip

    def forward(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return the logits of each gesture.

        Args:
            x_NTC: (N, T, C) float32; steps from ``lengths_N`` on may hold anything.
            lengths_N: (N,) int64 real steps, at least 1.

        Returns:
            (N, K) logits.
        """
        logits_NK, _ = self.forward_with_attention(x_NTC, lengths_N)
        return logits_NK

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and how much each pooled step weighed.

        Args:
            x_NTC: As for ``forward``.
            lengths_N: As for ``forward``.

        Returns:
            (N, K) logits, and (N, P) weights: P is T rounded up to a multiple of 4, over 4;
            pooled step p covers steps 4 p to 4 p + 3. They sum to 1 over real steps, and are 0 on
            padding.
        """
        x_NTC, mask_NT = _pad_time(x_NTC, lengths_N)
        x_NTC = torch.where(mask_NT[..., None], x_NTC, 0.0)
        x_NTC, mask_NT = self.first_block(x_NTC, mask_NT)
        x_NPC, mask_NP = self.second_block(self.dropout(x_NTC), mask_NT)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing wants them there
        x_NPC = _run_packed(self.lstm, self.dropout(x_NPC), lengths_cpu_N)
        x_NPC = _run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        pooled_NC, weights_NP = self.attention(x_NPC, mask_NP)
        return cast(Tensor, self.head(self.dropout(pooled_NC))), weights_NP


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
        real_RC: Tensor = self(x_NTC[mask_NT])
        return real_RC.new_zeros(x_NTC.shape).index_put((mask_NT,), real_RC)


class _ConvolutionBlock(nn.Module):
    """Convolution, masked batch norm, GELU, masked max-pool."""

    def __init__(self, num_inputs: int, num_outputs: int, kernel: int) -> None:
        super().__init__()
        # no bias: the batch norm that follows takes the mean away
        self.convolution = nn.Conv1d(num_inputs, num_outputs, kernel, padding="same", bias=False)
        self.norm = MaskedBatchNorm(num_outputs)

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output on half the time axis, zero on padding, and its mask."""
        x_NTC = self.convolution(x_NTC.transpose(1, 2)).transpose(1, 2)
        x_NTC = nn.functional.gelu(self.norm.forward_masked(x_NTC, mask_NT))
        return _max_pool(x_NTC, mask_NT)


class _AdditiveAttention(nn.Module):
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


def _pad_time(x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
    """Pad the time axis to a multiple of 4; return it and the mask (N, T) of real steps."""
    x_NTC = nn.functional.pad(x_NTC, (0, 0, 0, -x_NTC.shape[1] % TIME_MULTIPLE))
    step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
    return x_NTC, step_T[None, :] < lengths_N[:, None]


def _max_pool(x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:
    """Max-pool values and mask by 2; a padded step never wins, and stays zero.

    Not ``max_pool1d``, whose backward pass is not deterministic on a GPU.
    """
    x_NTC = torch.where(mask_NT[..., None], x_NTC, -torch.inf)
    pooled_NTC = torch.maximum(x_NTC[:, ::2], x_NTC[:, 1::2])
    pooled_mask_NT = mask_NT[:, ::2] | mask_NT[:, 1::2]
    return torch.where(pooled_mask_NT[..., None], pooled_NTC, 0.0), pooled_mask_NT


def _run_packed(layer: nn.LSTM | nn.GRU, x_NPC: Tensor, lengths_cpu_N: Tensor) -> Tensor:
    """Run a recurrent layer over the real steps only; padded steps come out as zero."""
    packed = pack_padded_sequence(x_NPC, lengths_cpu_N, batch_first=True, enforce_sorted=False)
    output, _ = layer(packed)
    return pad_packed_sequence(output, batch_first=True, total_length=x_NPC.shape[1])[0]
