"""Routed: a network for all sensors, and one beside it that never sees thermopiles and ranges.

In and out: as every ``GestureNet``. Both learn from the same batches, under one optimiser. A
sequence in which no thermopile and no time-of-flight sensor says anything is answered by the second
alone: a network that saw them in most of its training stays 0.08 below one that never did.

Shapes: N sequences, T time steps, P pooled time steps, C channels, K classes, M members.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trainer.models.network.modules import GestureNet, NetworkSizes, Taught, side_by_side


class Routed(GestureNet):
    """Asks the network that fits what a sequence has."""

    def __init__(self, whole: GestureNet, imu: GestureNet, sizes: NetworkSizes) -> None:
        """Put two networks side by side.

        Args:
            whole: For all sensors.
            imu: Of the sizes ``without_light`` gives.
            sizes: Of all sensors, with light columns.
        """
        super().__init__()
        self.whole, self.imu = whole, imu
        self._light, self._kept = list(sizes.light_columns), _kept_columns(sizes)

    def bare_nets(self) -> list[GestureNet]:
        """Return the networks that this one is made of; see ``GestureNet``."""
        return [*self.whole.bare_nets(), *self.imu.bare_nets()]

    def forward_taught(self, x_NTC: Tensor, lengths_N: Tensor) -> Taught:
        """Return what both say of every sequence; see ``GestureNet``."""
        whole = self.whole.forward_taught(x_NTC, lengths_N)
        return side_by_side([whole, self.imu.forward_taught(x_NTC[..., self._kept], lengths_N)])

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and attention, each row of the network it is for; see ``GestureNet``."""
        is_light_N = self._has_light(x_NTC, lengths_N)
        parts = []
        if is_light_N.any():
            parts.append(
                self.whole.forward_with_attention(x_NTC[is_light_N], lengths_N[is_light_N])
            )
        if not is_light_N.all():
            x_imu_NTC = x_NTC[~is_light_N][..., self._kept]
            parts.append(self.imu.forward_with_attention(x_imu_NTC, lengths_N[~is_light_N]))
        place_N = torch.argsort(torch.argsort((~is_light_N).int(), stable=True))
        logits_NK, weights_NP = (
            torch.cat(list(told))[place_N] for told in zip(*parts, strict=True)
        )
        return logits_NK, weights_NP

    def _has_light(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return of which sequences a thermopile or a range is known, (N,) bool.

        A flag is 1 at each step at which its sensors say something, so a value of 0 is seen too.
        """
        step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
        is_real_NT = step_T < lengths_N[:, None]
        return ((x_NTC[..., self._light] != 0) & is_real_NT[..., None]).any(dim=2).any(dim=1)


def without_light(sizes: NetworkSizes) -> NetworkSizes:
    """Return the sizes of the network that gets no light columns."""
    kept = _kept_columns(sizes)
    branches = [
        (name, tuple(kept.index(column) for column in columns))
        for name, columns in sizes.branches
        if not set(columns) & set(sizes.light_columns)
    ]
    return replace(sizes, num_channels=len(kept), branches=tuple(branches), light_columns=())


def _kept_columns(sizes: NetworkSizes) -> list[int]:
    return [column for column in range(sizes.num_channels) if column not in sizes.light_columns]
