"""Networks composed of submodels: an ensemble, and a second network for the IMU alone.

In and out: as every ``GestureNet``. All submodels are trained on the same batches under one
optimizer, so a fold of several pauses and resumes like a fold of one.

Shapes: N sequences, T time steps, P pooled time steps, C channels, K classes, M submodels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import compress
from typing import cast

import torch
from torch import Tensor, nn

from trainer.models.network.gesture_net import (
    GestureNet,
    NetworkOutput,
    NetworkSizes,
    concatenate,
)
from trainer.models.network.layers import statistics
from trainer.models.network.submodels import StatisticsNet

IMU_PREFIX = "imu."  # of the weights of the IMU network in the names of ``SensorRouter``


class Ensemble(GestureNet):
    """Members, each with its own first weights; predicts the mean probability.

    Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation
    using deep ensembles".
    """

    def __init__(self, members: list[GestureNet]) -> None:
        """Compose members.

        Args:
            members: Those on statistics get the same ones, computed once.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.has_attention = any(member.has_attention for member in members)

    def submodels(self) -> list[GestureNet]:
        """Return the submodels of all members; see ``GestureNet``."""
        return [submodel for member in self._nets for submodel in member.submodels()]

    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the outputs of each member; see ``GestureNet``."""
        return concatenate(
            [net.forward_training(*inputs) for net, inputs in self._inputs(x_NTC, lengths_N)]
        )

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return log probabilities and the mean attention of those that have one."""
        outputs = [
            net.forward_with_attention(*inputs) for net, inputs in self._inputs(x_NTC, lengths_N)
        ]
        log_proba_MNK = torch.stack(
            [torch.log_softmax(logits_NK, dim=1) for logits_NK, _ in outputs]
        )
        # the log of the mean, up to log M, which is the same for every class
        mean_NK = torch.logsumexp(log_proba_MNK, dim=0)
        is_counted = [member.has_attention or not self.has_attention for member in self._nets]
        weights_MNP = torch.stack([weights_NP for _, weights_NP in compress(outputs, is_counted)])
        return mean_NK, weights_MNP.mean(dim=0)

    @property
    def _nets(self) -> list[GestureNet]:
        return [cast(GestureNet, member) for member in self.members]

    def _inputs(
        self, x_NTC: Tensor, lengths_N: Tensor
    ) -> Iterator[tuple[GestureNet, tuple[Tensor, ...]]]:
        """Yield each member and its arguments."""
        statistics_NS = None
        for net in self._nets:
            if isinstance(net, StatisticsNet):
                if statistics_NS is None:
                    statistics_NS = statistics(x_NTC, lengths_N)
                yield net, (x_NTC, lengths_N, statistics_NS)
            else:
                yield net, (x_NTC, lengths_N)


class SensorRouter(GestureNet):
    """A network for all sensors, and a second one that gets no thermopiles and time of flight.

    Sequences without any value of those sensors are predicted by the second alone: a network that
    had them in most of its training scores 0.08 below one that never had them.
    """

    def __init__(self, whole: GestureNet, imu: GestureNet, sizes: NetworkSizes) -> None:
        """Compose two networks.

        Args:
            whole: For all sensors.
            imu: Of the sizes ``imu_sizes`` returns.
            sizes: Of all sensors, with optional columns.
        """
        super().__init__()
        self.whole, self.imu = whole, imu
        self._optional, self._kept = list(sizes.optional_columns), _kept_columns(sizes)

    def submodels(self) -> list[GestureNet]:
        """Return the submodels of both networks; see ``GestureNet``."""
        return [*self.whole.submodels(), *self.imu.submodels()]

    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the outputs of both networks for every sequence; see ``GestureNet``."""
        whole = self.whole.forward_training(x_NTC, lengths_N)
        return concatenate([whole, self.imu.forward_training(x_NTC[..., self._kept], lengths_N)])

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and attention, each row of the network it is routed to."""
        is_whole_N = self._has_optional_sensors(x_NTC, lengths_N)
        parts = []
        if is_whole_N.any():
            parts.append(
                self.whole.forward_with_attention(x_NTC[is_whole_N], lengths_N[is_whole_N])
            )
        if not is_whole_N.all():
            x_imu_NTC = x_NTC[~is_whole_N][..., self._kept]
            parts.append(self.imu.forward_with_attention(x_imu_NTC, lengths_N[~is_whole_N]))
        place_N = torch.argsort(torch.argsort((~is_whole_N).int(), stable=True))
        logits_NK, weights_NP = (
            torch.cat(list(tensors))[place_N] for tensors in zip(*parts, strict=True)
        )
        return logits_NK, weights_NP

    def _has_optional_sensors(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return which sequences have any value of a thermopile or time of flight, (N,) bool.

        A flag is 1 at each step at which its sensors have values, so a value of 0 counts too.
        """
        step_T = torch.arange(x_NTC.shape[1], device=x_NTC.device)
        is_real_NT = step_T < lengths_N[:, None]
        return ((x_NTC[..., self._optional] != 0) & is_real_NT[..., None]).any(dim=2).any(dim=1)


def imu_sizes(sizes: NetworkSizes) -> NetworkSizes:
    """Return the sizes of the network without the optional columns."""
    kept = _kept_columns(sizes)
    branches = [
        (name, tuple(kept.index(column) for column in columns))
        for name, columns in sizes.branches
        if not set(columns) & set(sizes.optional_columns)
    ]
    return replace(sizes, num_channels=len(kept), branches=tuple(branches), optional_columns=())


def _kept_columns(sizes: NetworkSizes) -> list[int]:
    return [c for c in range(sizes.num_channels) if c not in sizes.optional_columns]
