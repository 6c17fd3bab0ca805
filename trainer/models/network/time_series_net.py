"""TimeSeriesNet: the notebook family's network, with masks.

In and out: as every ``GestureNet``.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.network.layers import AdditiveAttention, ConvolutionNorm, pad_time, run_packed
from trainer.models.network.masked import max_pool
from trainer.models.network.modules import NetworkSizes
from trainer.models.network.submodels import BareNet, Encoded

KERNELS = (7, 5)  # steps, of the first and the second convolution


class TimeSeriesNet(BareNet):
    """Two convolution blocks, BiLSTM, BiGRU, masked additive attention, MLP head."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        first, second = sizes.conv_channels
        width = 2 * sizes.recurrent_units  # both directions
        self.first_block = _ConvolutionBlock(sizes.num_channels, first, KERNELS[0])
        self.second_block = _ConvolutionBlock(first, second, KERNELS[1])
        self.lstm = nn.LSTM(second, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(width, sizes.recurrent_units, batch_first=True, bidirectional=True)
        self.attention = AdditiveAttention(width)
        self.add_heads(sizes, width, width)

    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoded:
        """Return what is known of sequences; see ``BareNet``."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        x_NTC, mask_NT = self.first_block(x_NTC, mask_NT)
        x_NPC, mask_NP = self.second_block(self.dropout(x_NTC), mask_NT)
        lengths_cpu_N = mask_NP.sum(dim=1).cpu()  # packing wants them there
        x_NPC = run_packed(self.lstm, self.dropout(x_NPC), lengths_cpu_N)
        x_NPC = run_packed(self.gru, self.dropout(x_NPC), lengths_cpu_N)
        pooled_NC, weights_NP = self.attention(x_NPC, mask_NP)
        return Encoded(x_NPC, pooled_NC, weights_NP)


class _ConvolutionBlock(ConvolutionNorm):
    """Convolution, masked batch norm, GELU, masked max-pool."""

    def forward(self, x_NTC: Tensor, mask_NT: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the block's output on half the time axis, zero on padding, and its mask."""
        x_NTC = nn.functional.gelu(super().forward(x_NTC, mask_NT))
        return max_pool(x_NTC, mask_NT)
