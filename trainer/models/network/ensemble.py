"""Ensemble: networks of one kind that learn side by side, each from its own first weights.

In and out: as every ``GestureNet``. The members see the same batches, drop other units, and never
see each other: one module with one optimiser is a fold that pauses and resumes like any other.

Shapes: N sequences, T time steps, P pooled time steps, C channels, K classes, M members.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trainer.models.network.modules import GestureNet, Taught, side_by_side


class Ensemble(GestureNet):
    """Says the mean of its members' probabilities.

    Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation
    using deep ensembles".
    """

    def __init__(self, members: list[GestureNet]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def bare_nets(self) -> list[GestureNet]:
        """Return the members' networks; see ``GestureNet``."""
        return [bare for member in self._nets for bare in member.bare_nets()]

    def forward_taught(self, x_NTC: Tensor, lengths_N: Tensor) -> Taught:
        """Return what each member says by itself; see ``GestureNet``."""
        return side_by_side([member.forward_taught(x_NTC, lengths_N) for member in self._nets])

    def forward_with_attention(self, x_NTC: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return log probabilities and the mean attention; see ``GestureNet``."""
        told = [member.forward_with_attention(x_NTC, lengths_N) for member in self._nets]
        log_proba_MNK = torch.stack([torch.log_softmax(logits_NK, dim=1) for logits_NK, _ in told])
        mean_NK = torch.logsumexp(log_proba_MNK, dim=0)  # of M: one number more for every class
        return mean_NK, torch.stack([weights_NP for _, weights_NP in told]).mean(dim=0)

    @property
    def _nets(self) -> list[GestureNet]:
        return [cast(GestureNet, member) for member in self.members]
