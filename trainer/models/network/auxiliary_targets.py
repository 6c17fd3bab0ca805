"""Auxiliary targets: the annotated phase and posture, predicted in training beside the gesture.

They guide the encoder towards the steps at which the gesture is performed. They are never an input,
and prediction does not use them.

In: annotations. Out: targets of a batch, and the loss of a network's outputs for them.

Shapes: N sequences, T time steps, P pooled time steps, H postures, M members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainer.data.sequences import Annotations, FloatArray, IntArray
from trainer.models.network.gesture_net import NetworkOutput
from trainer.models.network.layers import TIME_MULTIPLE


@dataclass(frozen=True)
class AuxiliaryTargets:
    """Targets of all recordings; None where they are not annotated.

    Attributes:
        phase_T: (T + 1,) float32, 1 while the gesture is performed, 0 before, NaN unknown; the
            last is padding's, 0.
        posture_NH: (N, H) float32 one-hot, all 0 where unknown.
        postures: H names.
    """

    phase_T: FloatArray | None = None
    posture_NH: FloatArray | None = None
    postures: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuxiliaryBatch:
    """Targets of a batch.

    Attributes:
        phase_NT: (N, T) float32 share of "performed", NaN unknown, 0 on padding; or None.
        posture_NH: (N, H) float32 shares, less than 1 in sum where some are unknown; or None.
    """

    phase_NT: FloatArray | None = None
    posture_NH: FloatArray | None = None

    @property
    def is_any(self) -> bool:
        """Return whether there is any target."""
        return self.phase_NT is not None or self.posture_NH is not None

    def mixed(self, share: np.float32, other_idx: IntArray) -> AuxiliaryBatch:
        """Return every sequence's targets mixed with another's, as mixup mixes the inputs."""

        def mix(values: FloatArray | None) -> FloatArray | None:
            return None if values is None else share * values + (1 - share) * values[other_idx]

        return AuxiliaryBatch(mix(self.phase_NT), mix(self.posture_NH))


NO_TARGETS = AuxiliaryTargets()
NO_AUXILIARY_BATCH = AuxiliaryBatch()


def make_auxiliary_targets(annotations: Annotations) -> AuxiliaryTargets:
    """Return annotations as targets; a single posture is none."""
    phase_T = None
    postures: tuple[str, ...] = ()
    if annotations.phase_T is not None:
        known_T = np.where(annotations.phase_T < 0, np.nan, annotations.phase_T)
        phase_T = np.append(known_T, 0.0).astype(np.float32)
    if annotations.posture_N is not None:
        postures = tuple(sorted(set(annotations.posture_N.tolist()) - {""}))
    if annotations.posture_N is None or len(postures) < 2:
        return AuxiliaryTargets(phase_T)
    posture_NH = (annotations.posture_N[:, None] == np.array(postures)).astype(np.float32)
    return AuxiliaryTargets(phase_T, posture_NH, postures)


def auxiliary_batch(
    targets: AuxiliaryTargets, sequence_idx: IntArray, row_NT: IntArray
) -> AuxiliaryBatch:
    """Return the targets of some sequences.

    Args:
        targets: Of all recordings.
        sequence_idx: (N,) positions of the batch's sequences.
        row_NT: (N, T) which row of the recordings each step is, or is nearest to; on padding the
            row after the last.
    """
    return AuxiliaryBatch(
        None if targets.phase_T is None else targets.phase_T[row_NT],
        None if targets.posture_NH is None else targets.posture_NH[sequence_idx],
    )


def auxiliary_loss(output: NetworkOutput, targets: AuxiliaryBatch, lengths_N: Tensor) -> Tensor:
    """Return the sum of the cross entropies of phase and posture; unknown ones count in no mean.

    Args:
        output: Of the network.
        targets: Of the batch.
        lengths_N: (N,) real steps of each sequence.
    """
    loss = output.logits_NMK.new_zeros(())
    if output.phase_NMP is not None and targets.phase_NT is not None:
        loss = loss + _phase_loss(output.phase_NMP, targets.phase_NT, lengths_N)
    if output.posture_NMH is not None and targets.posture_NH is not None:
        target_NMH = torch.from_numpy(targets.posture_NH).to(loss.device)[:, None]
        log_proba_NMH = torch.log_softmax(output.posture_NMH.float(), dim=2)
        per_member = -(target_NMH * log_proba_NMH).sum() / output.posture_NMH.shape[1]
        loss = loss + per_member / target_NMH.sum().clamp_min(1.0)
    return loss


def _phase_loss(phase_NMP: Tensor, phase_NT: FloatArray, lengths_N: Tensor) -> Tensor:
    """Return the mean over known pooled steps; the target of one is the mean of its real steps."""
    num_members, num_pooled = phase_NMP.shape[1:]
    target_NT = torch.from_numpy(phase_NT).to(phase_NMP.device)
    missing = num_pooled * TIME_MULTIPLE - target_NT.shape[1]
    padded_NT = nn.functional.pad(target_NT, (0, missing))
    target_NP4 = padded_NT.view(len(padded_NT), num_pooled, -1)
    step_P4 = torch.arange(num_pooled * TIME_MULTIPLE, device=target_NT.device).view(num_pooled, -1)
    is_real_NP4 = step_P4 < lengths_N.to(target_NT.device)[:, None, None]
    num_real_NP = is_real_NP4.sum(dim=2)
    target_NP = torch.where(is_real_NP4, target_NP4, 0.0).sum(dim=2) / num_real_NP.clamp_min(1)
    is_known_NP = (num_real_NP > 0) & ~target_NP.isnan()
    losses_NMP = nn.functional.binary_cross_entropy_with_logits(
        phase_NMP.float(), target_NP.nan_to_num(0.0)[:, None].expand_as(phase_NMP), reduction="none"
    )
    total = torch.where(is_known_NP[:, None], losses_NMP, 0.0).sum() / num_members
    return total / is_known_NP.sum().clamp_min(1)
