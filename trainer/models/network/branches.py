"""BranchNet: a convolutional branch for each group of sensors, then one recurrent layer over all.

In and out: as every ``GestureNet``. Which input columns go to which branch is in the sizes.
Branches of one name share their weights: one time-of-flight sensor is read like another.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
B branches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.models.network.layers import (
    AdditiveAttention,
    ConvolutionNorm,
    MaskedBatchNorm,
    masked_mean,
    pad_time,
    run_packed,
)
from trainer.models.network.masked import max_pool
from trainer.models.network.modules import NetworkSizes
from trainer.models.network.submodels import BareNet, Encoded

KERNELS = (5, 3)  # steps, of the two convolutions of a block
SQUEEZE = 8  # channels for each hidden unit of squeeze-and-excitation


class BranchNet(BareNet):
    """Two residual blocks per branch, BiGRU beside them, masked additive attention, MLP head."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.branches = sizes.branches
        inputs = {name: len(columns) for name, columns in sizes.branches}
        first, second = (_share(width, len(sizes.branches)) for width in sizes.conv_channels)
        self.stems = nn.ModuleDict(
            {name: _Branch(width, first, second, sizes.dropout) for name, width in inputs.items()}
        )
        width = 2 * sizes.recurrent_units  # both directions
        merged = second * len(sizes.branches)
        self.gru = nn.GRU(merged, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.attention = AdditiveAttention(width + merged)
        self.add_heads(sizes, width + merged, width)

    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoded:
        """Return what is known of sequences; see ``BareNet``."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        parts = [self.stems[name](x_NTC[..., columns], mask_NT) for name, columns in self.branches]
        mask_NP = mask_NT[:, ::4]
        x_NPC = torch.cat(parts, dim=2)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing wants them there
        recurrent_NPC = run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        steps_NPC = torch.cat([recurrent_NPC, x_NPC], dim=2)
        pooled_NC, weights_NP = self.attention(steps_NPC, mask_NP)
        return Encoded(steps_NPC, pooled_NC, weights_NP)


class _Branch(nn.Module):
    """Batch norm, two residual blocks, each with a max-pool by 2."""

    def __init__(self, num_inputs: int, first: int, second: int, dropout: float) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(num_inputs)
        self.first_block = _ResidualBlock(num_inputs, first)
        self.second_block = _ResidualBlock(first, second)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        """Return (N, P, second), zero on padding."""
        x_NTC = self.norm.forward_masked(x_NTC, mask_NT)
        x_NTC, mask_NT = max_pool(self.first_block(x_NTC, mask_NT), mask_NT)
        x_NPC, _ = max_pool(self.second_block(self.dropout(x_NTC), mask_NT), mask_NT)
        return x_NPC


class _ResidualBlock(nn.Module):
    """Two convolutions, squeeze-and-excitation, and a short cut past them.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks"; its mean is over real steps only.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.first = ConvolutionNorm(num_inputs, num_outputs, KERNELS[0])
        self.second = ConvolutionNorm(num_outputs, num_outputs, KERNELS[1])
        self.shortcut = ConvolutionNorm(num_inputs, num_outputs, 1)
        hidden = max(4, num_outputs // SQUEEZE)
        self.excitation = nn.Sequential(
            nn.Linear(num_outputs, hidden), nn.GELU(), nn.Linear(hidden, num_outputs), nn.Sigmoid()
        )

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        """Return (N, T, outputs), zero on padding."""
        y_NTC = nn.functional.gelu(self.first(x_NTC, mask_NT))
        y_NTC = self.second(y_NTC, mask_NT)
        gate_NC = self.excitation(masked_mean(y_NTC, mask_NT))
        return nn.functional.gelu(y_NTC * gate_NC[:, None] + self.shortcut(x_NTC, mask_NT))


def _share(width: int, num_branches: int) -> int:
    """Return a branch's part of a stage's channels, at least 16."""
    return max(16, width // num_branches)
