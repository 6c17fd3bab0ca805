"""A network of the user's own code among ours: what surrounds it is the same.

In and out: as every ``GestureNet``. The module gets padded steps as zeros; it must not let them
change its output, which ``python -m trainer check`` verifies.

Shapes: N sequences, T time steps, P pooled time steps, C channels, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainer.models import own_networks
from trainer.models.libraries import ModelError
from trainer.models.network.gesture_net import GestureNet, NetworkOutput, NetworkSizes
from trainer.models.network.layers import TIME_MULTIPLE, pad_time

ATTENTION = "forward_with_attention"  # the method of a module that offers it


class OwnNetwork(GestureNet):
    """Calls the module that a builder of own code has made."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        builder = own_networks.find(sizes.architecture)
        module = builder(sizes.num_channels, sizes.num_classes, sizes.dropout)
        if not isinstance(module, nn.Module):
            raise ModelError(
                f"network {sizes.architecture.partition(':')[0]}: expected a torch.nn.Module of "
                f"its builder; got {type(module).__name__}"
            )
        self.module = module
        self.num_classes = sizes.num_classes
        self.has_attention = hasattr(module, ATTENTION)

    def forward_training(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the logits; see ``GestureNet``. There are no auxiliary targets."""
        x_NTC, _ = pad_time(x_NTC, lengths_N)
        return NetworkOutput(
            self._checked(self.module(x_NTC, lengths_N), x_NTC)[:, None], None, None
        )

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and attention weights; equal ones where the module has none."""
        x_NTC, mask_NT = pad_time(x_NTC, lengths_N)
        if self.has_attention:
            output: Any = getattr(self.module, ATTENTION)(x_NTC, lengths_N)
            logits_NK, weights_NT = output
            if weights_NT.shape != mask_NT.shape:
                raise ModelError(
                    f"{ATTENTION}: expected weights of shape {tuple(mask_NT.shape)}, one for each "
                    f"time step; got {tuple(weights_NT.shape)}"
                )
            weights_NT = weights_NT * mask_NT
        else:
            logits_NK, weights_NT = self.module(x_NTC, lengths_N), mask_NT.to(x_NTC.dtype)
        weights_NT = weights_NT / weights_NT.sum(dim=1, keepdim=True).clamp_min(1e-12)
        weights_NP = weights_NT.unflatten(1, (-1, TIME_MULTIPLE)).sum(dim=2)
        return self._checked(logits_NK, x_NTC), weights_NP

    def _checked(self, logits_NK: object, x_NTC: Tensor) -> Tensor:
        expected = (len(x_NTC), self.num_classes)
        if not isinstance(logits_NK, Tensor) or logits_NK.shape != expected:
            found = tuple(logits_NK.shape) if isinstance(logits_NK, Tensor) else type(logits_NK)
            raise ModelError(f"network: expected logits of shape {expected}; got {found}")
        return logits_NK


def has_attention(architecture: str) -> bool:
    """Return whether a network of own code offers attention weights."""
    with torch.device("meta"):
        return OwnNetwork(NetworkSizes(8, 2, (1, 1), 1, 0.0, architecture)).has_attention
