"""The networks: which there are, what all of them do, and how one is made from its sizes.

In: a padded batch of frames, real steps first, and the number of real steps of each sequence.
Out: one logit per gesture. What stands in a padded step, and how many there are, has no influence:
padded steps are zero after every block, count in no statistic and no attention, and the recurrent
layers do not run through them.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
M members.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Architecture = Literal["time_series_net", "branches"]
IMU_PREFIX = "imu."  # of the names of the weights of a network for the IMU beside another


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
        tells_phase: Whether it learns to tell the phase of each step too.
        num_postures: How many postures it learns to tell apart too; 0 where none are known.
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
    tells_phase: bool = False
    num_postures: int = 0


class Taught(NamedTuple):
    """What a network says while it learns.

    Attributes:
        logits_NMK: (N, M, K) what each member says by itself; M is 1 where there is one network.
        phase_NMP: (N, M, P) logits of "the gesture is performed" at each pooled step, or None.
        posture_NMH: (N, M, H) logits of each posture, or None.
    """

    logits_NMK: Tensor
    phase_NMP: Tensor | None
    posture_NMH: Tensor | None


def side_by_side(parts: Sequence[Taught]) -> Taught:
    """Return what several networks say as what members of one say."""
    logits, phases, postures = zip(*parts, strict=True)
    return Taught(
        torch.cat(logits, dim=1),
        None if phases[0] is None else torch.cat(phases, dim=1),
        None if postures[0] is None else torch.cat(postures, dim=1),
    )


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

    @abstractmethod
    def forward_taught(self, x_NTC: Tensor, lengths_N: Tensor) -> Taught:
        """Return what each member says by itself, which is what it learns from.

        Args:
            x_NTC: As for ``forward``.
            lengths_N: As for ``forward``.
        """

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
        from trainer.models.network.routing import Routed, without_light

        whole = make_network(replace(sizes, light_columns=()))
        net = Routed(whole, make_network(without_light(sizes)), sizes)
    elif sizes.members > 1:
        from trainer.models.network.ensemble import Ensemble

        net = Ensemble([_make_member(sizes) for _ in range(sizes.members)])
    else:
        net = _make_member(sizes)
    net.temperature = sizes.temperature
    return net


def _make_member(sizes: NetworkSizes) -> GestureNet:
    if sizes.architecture == "branches":
        from trainer.models.network.branches import BranchNet

        return BranchNet(sizes)
    from trainer.models.network.time_series_net import TimeSeriesNet

    return TimeSeriesNet(sizes)
