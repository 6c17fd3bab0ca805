"""The networks: which there are, and TimeSeriesNet, the plain one.

In: a padded batch of frames, real steps first, and the number of real steps of each sequence.
Out: one logit per gesture. What stands in a padded step, and how many there are, has no influence:
padded steps are zero after every block, count in no statistic and no attention, and the recurrent
layers do not run through them.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
M members.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, cast

from torch import Tensor, nn

from trainer.models.layers import (
    TIME_MULTIPLE,
    AdditiveAttention,
    ConvolutionNorm,
    MaskedBatchNorm,
    pad_time,
    run_packed,
)
from trainer.models.masked import max_pool

__all__ = ["TIME_MULTIPLE", "Architecture", "GestureNet", "MaskedBatchNorm", "NetworkSizes"]

Architecture = Literal["time_series_net", "branches"]
IMU_PREFIX = "imu."  # of the names of the weights of a network for the IMU beside another
KERNELS = (7, 5)  # steps, of the first and the second convolution


@dataclass(frozen=True)
class NetworkSizes:
    """What has to be known to build the network again.

    Attributes:
        num_channels: C of the input, presence flags included.
        num_classes: K.
        conv_channels: Output channels of the two convolutions; of ``branches``, of a whole stage.
        recurrent_units: Units of each direction of a recurrent layer.
        dropout: Share dropped between blocks and in the head, while training.
        architecture: Which network.
        branches: For ``branches``: the input columns of each; branches of one name share weights.
        members: How many such networks learn side by side; their probabilities are averaged.
        temperature: What logits are divided by when probabilities are asked for.
        light_columns: Input columns of thermopiles and time of flight, flags included, where a
            second network goes without them and answers for sequences that lack them; else none.
    """

    num_channels: int
    num_classes: int
    conv_channels: tuple[int, int]
    recurrent_units: int
    dropout: float
    architecture: Architecture = "time_series_net"
    branches: tuple[tuple[str, tuple[int, ...]], ...] = ()
    members: int = 1
    temperature: float = 1.0
    light_columns: tuple[int, ...] = ()


class GestureNet(nn.Module, ABC):
    """A network from frames to gestures.

    Attributes:
        temperature: What logits are divided by when probabilities are asked for.
    """

    temperature: float = 1.0

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

    def forward_members(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return what each member says by itself, which is what it learns from.

        Args:
            x_NTC: As for ``forward``.
            lengths_N: As for ``forward``.

        Returns:
            (N, M, K) logits; M is 1 where the network is not made of several.
        """
        return self.forward(x_NTC, lengths_N)[:, None]

    def bare_nets(self) -> list[GestureNet]:
        """Return the networks that this one is made of; itself, where it is not of several."""
        return [self]

    @abstractmethod
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


def make_network(sizes: NetworkSizes) -> GestureNet:
    """Return a network with random weights.

    Args:
        sizes: Of the network, which it is, and how many of it.
    """
    net: GestureNet
    if sizes.light_columns:
        from trainer.models.routed import Routed, without_light

        whole = make_network(replace(sizes, light_columns=()))
        net = Routed(whole, make_network(without_light(sizes)), sizes)
    elif sizes.members > 1:
        from trainer.models.ensemble import Ensemble

        net = Ensemble([_make_member(sizes) for _ in range(sizes.members)])
    else:
        net = _make_member(sizes)
    net.temperature = sizes.temperature
    return net


def _make_member(sizes: NetworkSizes) -> GestureNet:
    if sizes.architecture == "branches":
        from trainer.models.branches import BranchNet

        return BranchNet(sizes)
    return TimeSeriesNet(sizes)


class TimeSeriesNet(GestureNet):
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
        self.attention = AdditiveAttention(width)
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(sizes.dropout),
            nn.Linear(width, sizes.num_classes),
        )  # fmt: skip

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and how much each pooled step weighed; see ``GestureNet``."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        x_NTC, mask_NT = self.first_block(x_NTC, mask_NT)
        x_NPC, mask_NP = self.second_block(self.dropout(x_NTC), mask_NT)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing wants them there
        x_NPC = run_packed(self.lstm, self.dropout(x_NPC), lengths_cpu_N)
        x_NPC = run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        pooled_NC, weights_NP = self.attention(x_NPC, mask_NP)
        return cast(Tensor, self.head(self.dropout(pooled_NC))), weights_NP


class _ConvolutionBlock(ConvolutionNorm):
    """Convolution, masked batch norm, GELU, masked max-pool."""

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the block's output on half the time axis, zero on padding, and its mask."""
        x_NTC = nn.functional.gelu(super().forward(x_NTC, mask_NT))
        return max_pool(x_NTC, mask_NT)
