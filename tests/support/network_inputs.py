"""Inputs of a network: sequences of 1 to 127 steps, alone and in a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.models.network.gesture_net import NetworkSizes

SIZES = NetworkSizes(
    num_channels=6, num_classes=5, conv_channels=(16, 24), recurrent_units=12, dropout=0.3
)
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 127)


def sequences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 6, generator=generator) for length in LENGTHS]


def padded(parts: list[Tensor], time: int, filling: float = 0.0) -> tuple[Tensor, Tensor]:
    x_NTC = torch.full((len(parts), time, 6), filling)
    for row_TC, part_TC in zip(x_NTC, parts, strict=True):
        row_TC[: len(part_TC)] = part_TC
    return x_NTC, torch.tensor([len(part_TC) for part_TC in parts])
