"""The submodels: TimeSeriesNet and BranchNet, encoders with heads, and StatisticsNet, an MLP.

In and out: as every ``GestureNet``.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
H postures, S statistics.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from trainer.models.network.gesture_net import GestureNet, NetworkOutput, NetworkSizes
from trainer.models.network.layers import (
    NUM_BINS,
    AdditiveAttention,
    ConvolutionNorm,
    MaskedBatchNorm,
    masked_mean,
    max_pool,
    pad_time,
    run_packed,
    statistics,
)

TIME_SERIES_KERNELS = (7, 5)  # steps, of the first and the second convolution
BRANCH_KERNELS = (5, 3)  # steps, of the two convolutions of a block
SQUEEZE = 8  # channels for each hidden unit of squeeze-and-excitation
CLIP = 3.0  # standard deviations; rare extremes would rule the first layer
HIDDEN = (256, 128)  # units
DROPOUT = (0.5, 0.4, 0.3)  # before each linear layer


class Encoding(NamedTuple):
    """The encoder's output, which the heads predict from.

    Attributes:
        steps_NPC: (N, P, C) of each pooled step.
        pooled_NC: (N, C) of the whole sequence.
        weights_NP: (N, P) attention weight of each pooled step.
    """

    steps_NPC: Tensor
    pooled_NC: Tensor
    weights_NP: Tensor


class Submodel(GestureNet):
    """One encoder; an MLP predicts the gesture from its output, linear heads phase and posture."""

    def add_heads(self, sizes: NetworkSizes, width: int, hidden: int) -> None:
        """Add dropout and heads; called last, so that no other weight depends on them.

        Args:
            sizes: Of the network.
            width: C of the encoding.
            hidden: Units of the gesture's head.
        """
        self.dropout = nn.Dropout(sizes.dropout)
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(sizes.dropout),
            nn.Linear(hidden, sizes.num_classes),
        )  # fmt: skip
        self.phase = nn.Linear(width, 1) if sizes.has_phase_head else None
        self.posture = nn.Linear(width, sizes.num_postures) if sizes.num_postures else None

    @abstractmethod
    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoding:
        """Return the encoding of sequences; arguments as for ``forward``."""

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and attention weights; see ``GestureNet``."""
        encoding = self.encode(x_NTC, lengths_N)
        return self._logits(encoding), encoding.weights_NP

    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the outputs of the only submodel; see ``GestureNet``."""
        encoding = self.encode(x_NTC, lengths_N)
        return NetworkOutput(
            self._logits(encoding)[:, None],
            None if self.phase is None else self.phase(encoding.steps_NPC)[:, None, :, 0],
            None if self.posture is None else self.posture(encoding.pooled_NC)[:, None],
        )

    def _logits(self, encoding: Encoding) -> Tensor:
        return cast(Tensor, self.head(self.dropout(encoding.pooled_NC)))


class TimeSeriesNet(Submodel):
    """The notebook family's network with masks.

    Two convolution blocks, BiLSTM, BiGRU, masked additive attention, MLP head.
    """

    quick_parts = ("second_block", "lstm", "gru")

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        first, second = sizes.conv_channels
        width = 2 * sizes.recurrent_units  # both directions
        self.first_block = _ConvolutionBlock(sizes.num_channels, first, TIME_SERIES_KERNELS[0])
        self.second_block = _ConvolutionBlock(first, second, TIME_SERIES_KERNELS[1])
        self.lstm = nn.LSTM(second, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(width, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.attention = AdditiveAttention(width)
        self.add_heads(sizes, width, width)

    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoding:
        """Return the encoding of sequences; see ``Submodel``."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        x_NTC, mask_NT = self.first_block(x_NTC, mask_NT)
        x_NPC, mask_NP = self.second_block(self.dropout(x_NTC), mask_NT)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing needs them there
        x_NPC = run_packed(self.lstm, self.dropout(x_NPC), lengths_cpu_N)
        x_NPC = run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        pooled_NC, weights_NP = self.attention(x_NPC, mask_NP)
        return Encoding(x_NPC, pooled_NC, weights_NP)


class BranchNet(Submodel):
    """A convolutional branch for each group of sensors, then one recurrent layer over all.

    Two residual blocks per branch, BiGRU beside them, masked additive attention, MLP head.
    ``NetworkSizes.branches`` assigns the input columns to branches; branches of one name share
    their weights, such as the five time-of-flight sensors.
    """

    quick_parts = ("gru",)

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.branches = sizes.branches
        inputs = {name: len(columns) for name, columns in sizes.branches}
        num_branches = len(sizes.branches)
        first, second = (max(16, width // num_branches) for width in sizes.conv_channels)
        self.stems = nn.ModuleDict(
            {name: _Branch(width, first, second, sizes.dropout) for name, width in inputs.items()}
        )
        width = 2 * sizes.recurrent_units  # both directions
        merged = second * num_branches
        self.gru = nn.GRU(merged, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.attention = AdditiveAttention(width + merged)
        self.add_heads(sizes, width + merged, width)

    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoding:
        """Return the encoding of sequences; see ``Submodel``."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        parts = [self.stems[name](x_NTC[..., columns], mask_NT) for name, columns in self.branches]
        mask_NP = mask_NT[:, ::4]
        x_NPC = torch.cat(parts, dim=2)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing needs them there
        recurrent_NPC = run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        steps_NPC = torch.cat([recurrent_NPC, x_NPC], dim=2)
        pooled_NC, weights_NP = self.attention(steps_NPC, mask_NP)
        return Encoding(steps_NPC, pooled_NC, weights_NP)


class StatisticsNet(GestureNet):
    """Statistics of the channels over time, batch norm, an MLP; no attention.

    It learns what a signal does as a whole: how far two signals turn around each other (signed
    areas), how they go together (correlations), level, spread and range. Unlike a feature table,
    the statistics are of the augmented sequences. Measured in docs/experiments.md, Network.

    Where sequences have missing sensors, their channels are 0 throughout, as are their statistics.
    """

    has_attention = False
    quick_parts = ("head",)

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        channels = sizes.num_channels
        num_statistics = channels * (5 + NUM_BINS) + channels * (channels - 1)
        self.norm = nn.BatchNorm1d(num_statistics, affine=False)
        first, second = HIDDEN
        self.head = nn.Sequential(
            nn.Dropout(DROPOUT[0]), nn.Linear(num_statistics, first), nn.GELU(),
            nn.Dropout(DROPOUT[1]), nn.Linear(first, second), nn.GELU(),
            nn.Dropout(DROPOUT[2]), nn.Linear(second, sizes.num_classes),
        )  # fmt: skip

    def forward_training(
        self, x_NTC: Tensor, lengths_N: Tensor, statistics_NS: Tensor | None = None
    ) -> NetworkOutput:
        """Return the logits; there are no auxiliary outputs.

        Args:
            x_NTC: As for ``forward``.
            lengths_N: As for ``forward``.
            statistics_NS: Of these sequences, where they are known already.
        """
        if statistics_NS is None:
            statistics_NS = statistics(x_NTC, lengths_N)
        return NetworkOutput(self._logits(statistics_NS)[:, None], None, None)

    def forward_with_attention(
        self, x_NTC: Tensor, lengths_N: Tensor, statistics_NS: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits, and equal weights of all pooled steps; see ``forward_training``."""
        if statistics_NS is None:
            statistics_NS = statistics(x_NTC, lengths_N)
        _, mask_NT = pad_time(x_NTC, lengths_N)
        mask_NP = mask_NT[:, ::4].to(x_NTC.dtype)
        weights_NP = mask_NP / mask_NP.sum(dim=1, keepdim=True)
        return self._logits(statistics_NS), weights_NP

    def _logits(self, statistics_NS: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(self.norm(statistics_NS).clamp(-CLIP, CLIP))
        return logits_NK.to(statistics_NS.dtype)


class _ConvolutionBlock(ConvolutionNorm):
    """Convolution, masked batch norm, GELU, masked max-pool."""

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the block's output on half the time axis, zero on padding, and its mask."""
        x_NTC = nn.functional.gelu(super().forward(x_NTC, mask_NT))
        return max_pool(x_NTC, mask_NT)


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
    """Two convolutions, squeeze-and-excitation, and a shortcut past them.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks"; its mean is over real steps only.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.first = ConvolutionNorm(num_inputs, num_outputs, BRANCH_KERNELS[0])
        self.second = ConvolutionNorm(num_outputs, num_outputs, BRANCH_KERNELS[1])
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
