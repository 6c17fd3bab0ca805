"""StatisticsNet: an MLP on statistics of the channels over time.

In and out: as every ``GestureNet``. It has no convolution and no attention, so it learns what a
signal does as a whole: how far two signals turn around each other (signed areas), how they go
together (correlations), level, spread and range. Unlike a feature table, the statistics are of
the augmented sequences.

Measured in docs/experiments.md, Network: above TimeSeriesNet alone on few sequences, in an eighth
of its time, and both together above each.

Shapes: N sequences, T time steps, C channels, P pooled time steps, S statistics, K classes, B bins,
Q pairs of channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.models.network.gesture_net import GestureNet, NetworkOutput, NetworkSizes
from trainer.models.network.layers import pad_time

NUM_BINS = 4  # of equal duration, of which the means are statistics
CLIP = 3.0  # standard deviations; rare extremes would rule the first layer
HIDDEN = (256, 128)  # units
DROPOUT = (0.5, 0.4, 0.3)  # before each linear layer
TINY_VARIANCE = 1e-6  # of scaled channels, whose variance is about 1; a missing channel has none
TINY_SCALE = 1e-3  # added to the product of two standard deviations


class StatisticsNet(GestureNet):
    """Statistics of the sequence, batch norm, an MLP.

    Where sequences have missing sensors, their channels are 0 throughout, as are their statistics.
    """

    has_attention = False

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

    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the logits; there are no auxiliary outputs."""
        return NetworkOutput(self._logits(x_NTC, lengths_N)[:, None], None, None)

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and equal weights of all pooled steps; see ``GestureNet``."""
        _, mask_NT = pad_time(x_NTC, lengths_N)
        mask_NP = mask_NT[:, ::4].to(x_NTC.dtype)
        weights_NP = mask_NP / mask_NP.sum(dim=1, keepdim=True)
        return self._logits(x_NTC, lengths_N), weights_NP

    def _logits(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(x_NTC.device.type, enabled=False):
            statistics_NS = statistics(x_NTC, lengths_N)
        logits_NK: Tensor = self.head(self.norm(statistics_NS).clamp(-CLIP, CLIP))
        return logits_NK


def statistics(x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
    """Return mean, standard deviation, extremes, mean step, means of bins, areas, correlations.

    Args:
        x_NTC: (N, T, C); steps from ``lengths_N`` on may hold any value.
        lengths_N: (N,) int64 real steps, at least 1.

    Returns:
        (N, S): C of each of the first five, B C of bins, Q signed areas, Q correlations.
    """
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
