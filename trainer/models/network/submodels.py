"""BareNet: one network by itself: an encoder, and heads for all that it learns to tell.

In and out: as every ``GestureNet``.

Shapes: N sequences, T time steps, P time steps after both poolings, C channels, K classes,
H postures.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, cast

from torch import Tensor, nn

from trainer.models.network.modules import GestureNet, NetworkSizes, Taught


class Encoded(NamedTuple):
    """What a network knows of sequences before its heads.

    Attributes:
        steps_NPC: (N, P, C) of each pooled step.
        pooled_NC: (N, C) of the whole sequence.
        weights_NP: (N, P) how much each pooled step weighed in it.
    """

    steps_NPC: Tensor
    pooled_NC: Tensor
    weights_NP: Tensor


class BareNet(GestureNet):
    """Encodes sequences, and tells the gesture from that by an MLP; phase and posture linearly."""

    def add_heads(self, sizes: NetworkSizes, width: int, hidden: int) -> None:
        """Add dropout and heads; called last, so that no other weight depends on them.

        Args:
            sizes: Of the network.
            width: C of what is encoded.
            hidden: Units of the gesture's head.
        """
        self.dropout = nn.Dropout(sizes.dropout)
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(sizes.dropout),
            nn.Linear(hidden, sizes.num_classes),
        )  # fmt: skip
        self.phase = nn.Linear(width, 1) if sizes.tells_phase else None
        self.posture = nn.Linear(width, sizes.num_postures) if sizes.num_postures else None

    @abstractmethod
    def encode(self, x_NTC: Tensor, lengths_N: Tensor) -> Encoded:
        """Return what is known of sequences; arguments as for ``forward``."""

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and how much each pooled step weighed; see ``GestureNet``."""
        encoded = self.encode(x_NTC, lengths_N)
        return self._logits(encoded), encoded.weights_NP

    def forward_taught(self, x_NTC: Tensor, lengths_N: Tensor) -> Taught:
        """Return what the network says while it learns; see ``GestureNet``."""
        encoded = self.encode(x_NTC, lengths_N)
        return Taught(
            self._logits(encoded)[:, None],
            None if self.phase is None else self.phase(encoded.steps_NPC)[:, None, :, 0],
            None if self.posture is None else self.posture(encoded.pooled_NC)[:, None],
        )

    def _logits(self, encoded: Encoded) -> Tensor:
        return cast(Tensor, self.head(self.dropout(encoded.pooled_NC)))
