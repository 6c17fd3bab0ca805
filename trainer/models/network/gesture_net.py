"""The interface of every network: its sizes, its outputs, and ``GestureNet``.

In: a padded batch of frames, real steps first, and the number of real steps of each sequence. Out:
one logit per gesture. Neither the content nor the number of padded steps has any influence: padded
steps are zero after every block, count in no statistic and no attention, and the recurrent layers
do not run through them.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
H postures, M submodels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkSizes:
    """All that is needed to build a network again, beside its weights.

    Attributes:
        num_channels: C of the input, presence flags included.
        num_classes: K.
        conv_channels: Output channels of the two convolutions; of ``branches``, of a whole stage.
        recurrent_units: Units of each direction of a recurrent layer.
        dropout: Share dropped between blocks and in the head, in training only.
        architecture: Of each submodel; of own code ``NAME:SHA256``.
        branches: For ``branches``: the input columns of each; branches of one name share weights.
        members: Number of such networks that are trained together; their probabilities are
            averaged.
        statistics_members: Number of networks on statistics (``StatisticsNet``) beside them.
        temperature: Divisor of the logits before the softmax, in prediction only.
        optional_columns: Input columns of thermopiles and time of flight, flags included, where a
            second network without them predicts the sequences that lack them; else none.
        has_phase_head: Whether the phase of each step is predicted too.
        num_postures: H of the posture head; 0: there is none.
    """

    num_channels: int
    num_classes: int
    conv_channels: tuple[int, int]
    recurrent_units: int
    dropout: float
    architecture: str = "time_series_net"
    branches: tuple[tuple[str, tuple[int, ...]], ...] = ()
    members: int = 1
    statistics_members: int = 0
    temperature: float = 1.0
    optional_columns: tuple[int, ...] = ()
    has_phase_head: bool = False
    num_postures: int = 0


class NetworkOutput(NamedTuple):
    """The outputs that the training loss is computed from.

    Attributes:
        logits_NMK: (N, M, K) logits of each submodel; M is 1 where there is one network.
        phase_NMP: (N, M, P) logits of "the gesture is performed" at each pooled step, of the
            submodels that have such a head; None where none has.
        posture_NMH: (N, M, H) logits of each posture; the same.
    """

    logits_NMK: Tensor
    phase_NMP: Tensor | None
    posture_NMH: Tensor | None


def concatenate(outputs: Sequence[NetworkOutput]) -> NetworkOutput:
    """Join the outputs of several networks along the axis of submodels; not all have all heads."""
    logits, phases, postures = (
        [tensor for tensor in tensors if tensor is not None]
        for tensors in zip(*outputs, strict=True)
    )
    return NetworkOutput(
        torch.cat(logits, dim=1),
        torch.cat(phases, dim=1) if phases else None,
        torch.cat(postures, dim=1) if postures else None,
    )


class GestureNet(nn.Module, ABC):
    """A network from frames to gestures.

    Attributes:
        temperature: Divisor of the logits before the softmax, in prediction only.
        has_attention: Whether its attention weights differ between steps.
        quick_parts: Names of the modules that prediction may compute in float32: not one that
            divides by small deviations.
    """

    temperature: float = 1.0
    has_attention: bool = True
    quick_parts: tuple[str, ...] = ()

    def forward(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return the logits of each gesture.

        Args:
            x_NTC: (N, T, C) float32; steps from ``lengths_N`` on may hold any value.
            lengths_N: (N,) int64 real steps, at least 1.

        Returns:
            (N, K) logits.
        """
        logits_NK, _ = self.forward_with_attention(x_NTC, lengths_N)
        return logits_NK

    @abstractmethod
    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the outputs of each submodel; arguments as for ``forward``."""

    def submodels(self) -> list[GestureNet]:
        """Return the networks that this one is composed of; itself where it is a single one."""
        return [self]

    @abstractmethod
    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the attention weight of each pooled step.

        Args:
            x_NTC: As for ``forward``.
            lengths_N: As for ``forward``.

        Returns:
            (N, K) logits, and (N, P) weights: P is T rounded up to a multiple of 4, over 4;
            pooled step p covers steps 4 p to 4 p + 3. They sum to 1 over real steps, and are 0 on
            padding.
        """
