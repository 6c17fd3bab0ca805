"""One training batch: time warp, hidden sensors, small rotations, mixup; all from one seed.

In: scaled frames, positions, class shares, a seed. Out: a ``TrainingBatch`` of tensors.

Shapes: N sequences of the batch, T time steps, C channels, K classes, V vectors of three channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.config import NetworkConfig
from trainer.data.sequences import FloatArray, IntArray
from trainer.features.batches import (
    Batch,
    FrameScaler,
    NetworkInput,
    hide_groups,
    make_batch,
    padded_length,
    scale,
)
from trainer.features.frames import OPTIONAL_GROUPS, Frames
from trainer.models.network.auxiliary_targets import (
    NO_AUXILIARY_BATCH,
    NO_TARGETS,
    AuxiliaryBatch,
    AuxiliaryTargets,
    auxiliary_batch,
)

HIDEABLE_GROUPS = ("thm", "tof")  # half of the competition's test sequences lack both
_VECTORS = (
    "acc",
    "linear",
    "gravity",
    "omega",
    "turn",
)  # in sensor axes, so that they rotate with the sensor


@dataclass(frozen=True)
class TrainingBatch:
    """The input and targets of one optimizer step.

    Attributes:
        x_NTC: (N, T, C) float32, real steps first.
        lengths_N: (N,) int64 real steps.
        target_NK: (N, K) float32 class shares; one-hot without mixup.
        auxiliary: Auxiliary targets.
    """

    x_NTC: Tensor
    lengths_N: Tensor
    target_NK: Tensor
    auxiliary: AuxiliaryBatch = NO_AUXILIARY_BATCH


@dataclass(frozen=True)
class Warp:
    """How each sequence of a batch is warped.

    Attributes:
        head_N: (N,) share of its steps that is cut off at the start, 0 to below 0.5.
        tail_N: (N,) the same at the end.
        factor_N: (N,) how much longer the rest becomes; 1 leaves it.
    """

    head_N: NDArray[np.float64]
    tail_N: NDArray[np.float64]
    factor_N: NDArray[np.float64]


class BatchMaker:
    """Draws training batches from the frames of one fold."""

    def __init__(
        self,
        frames: Frames,
        scaler: FrameScaler,
        length: int,
        config: NetworkConfig,
        auxiliary: AuxiliaryTargets = NO_TARGETS,
    ) -> None:
        """Scale the frames once.

        Args:
            frames: Of all sequences.
            scaler: Of the fold's training part.
            length: Time steps of a frame.
            config: The strengths of the augmentation.
            auxiliary: Auxiliary targets of all sequences.
        """
        self.scaled = scale(frames, scaler)
        self._scaler = scaler
        self._length = length
        self._config = config
        self._auxiliary = auxiliary
        self._column_V3 = _vector_columns(frames.channels)

    def draw(self, sequence_idx: IntArray, target_NK: FloatArray, seed: int) -> TrainingBatch:
        """Make one training batch.

        With mixup every sequence is mixed with another one of the batch, and its targets in the
        same ratio; the shorter of two is zero after its end. Source: Zhang et al. 2018, "mixup".

        Args:
            sequence_idx: (N,) positions of its sequences.
            target_NK: (N, K) their class shares.
            seed: Of everything drawn here.
        """
        rng = np.random.default_rng(seed)
        hidden_N = rng.random(len(sequence_idx)) < self._config.modality_dropout
        if self._config.stretch > 0 or self._config.shift > 0:
            batch = warped_batch(
                self.scaled, sequence_idx, self._length, self._draw_warp(len(sequence_idx), rng)
            )
        else:
            batch = make_batch(self.scaled, sequence_idx, self._length)
        x_NTC, lengths_N = batch.values_NTC, batch.lengths_N
        auxiliary = auxiliary_batch(self._auxiliary, sequence_idx, batch.row_NT)
        hide_groups(x_NTC, self.scaled, HIDEABLE_GROUPS, hidden_N)
        if self._config.rotation_deg > 0:
            x_NTC = self._rotate(x_NTC, rng)
        if self._config.mixup_alpha > 0:
            share = np.float32(rng.beta(self._config.mixup_alpha, self._config.mixup_alpha))
            other_idx = rng.permutation(len(lengths_N))
            x_NTC, target_NK = (
                share * values + (1 - share) * values[other_idx] for values in (x_NTC, target_NK)
            )
            lengths_N = np.maximum(lengths_N, lengths_N[other_idx])
            auxiliary = auxiliary.mixed(share, other_idx)
        return TrainingBatch(
            x_NTC=torch.from_numpy(x_NTC),
            lengths_N=torch.from_numpy(lengths_N),
            target_NK=torch.from_numpy(target_NK),
            auxiliary=auxiliary,
        )

    def _draw_warp(self, num_sequences: int, rng: np.random.Generator) -> Warp:
        """Draw how much of each sequence is cut off, and how much longer the rest becomes."""
        cut_N2 = self._config.shift * rng.random((num_sequences, 2))
        log_N = np.log1p(self._config.stretch) * rng.uniform(-1, 1, num_sequences)
        return Warp(head_N=cut_N2[:, 0], tail_N=cut_N2[:, 1], factor_N=np.exp(log_N))

    def _rotate(self, x_NTC: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Rotate the sensor axes by a small random angle, drawn for each sequence.

        Missing and padded steps are 0 in all three channels, and stay so. Lengths of vectors and
        components along gravity do not change. Source: the competition's 10th place.
        """
        std_rad = np.deg2rad(self._config.rotation_deg)
        matrix_N33 = _rotation_matrices(std_rad * rng.standard_normal((len(x_NTC), 3)))
        for column_3 in self._column_V3:
            mean_3, std_3 = self._scaler.mean_C[column_3], self._scaler.std_C[column_3]
            x_NT3 = x_NTC[..., column_3]
            rotated_NT3 = ((x_NT3 * std_3 + mean_3) @ matrix_N33 - mean_3) / std_3
            x_NTC[..., column_3] = np.where(x_NT3.any(axis=2, keepdims=True), rotated_NT3, 0)
        return x_NTC


def hideable_columns(frames: Frames) -> tuple[int, ...]:
    """Return the columns of a batch that can be hidden, flags included; none without sensors."""
    if not set(HIDEABLE_GROUPS) & set(frames.groups):
        return ()
    is_hideable_C = np.isin([*frames.groups, *OPTIONAL_GROUPS], HIDEABLE_GROUPS)
    return tuple(np.flatnonzero(is_hideable_C).tolist())


def warped_batch(scaled: NetworkInput, sequence_idx: IntArray, length: int, warp: Warp) -> Batch:
    """Cut, stretch and pad some sequences.

    Speeds and accelerations keep their values: a stretched sequence is one of more steps, not of
    slower motion. Between two steps values are interpolated; where a sensor begins or ends there,
    the values of the nearer step are taken.

    Args:
        scaled: All scaled frames.
        sequence_idx: (N,) positions of the batch's sequences.
        length: Steps kept at most, the last ones.
        warp: How each is warped.
    """
    starts_N, stops_N = scaled.offsets[:-1][sequence_idx], scaled.offsets[1:][sequence_idx]
    steps_N = stops_N - starts_N
    first_N = starts_N + np.floor(warp.head_N * steps_N).astype(np.int64)
    last_N = np.maximum(first_N, stops_N - 1 - np.floor(warp.tail_N * steps_N).astype(np.int64))
    full_N = np.maximum(1, np.rint((last_N - first_N + 1) * warp.factor_N).astype(np.int64))
    lengths_N = np.minimum(full_N, length)
    pace_N = (last_N - first_N) / np.maximum(1, full_N - 1)

    step_T = np.arange(padded_length(lengths_N))
    is_real_NT = step_T < lengths_N[:, None]
    back_NT = np.where(is_real_NT, lengths_N[:, None] - 1 - step_T, 0)  # steps to the end
    position_NT = np.maximum(last_N[:, None] - back_NT * pace_N[:, None], first_N[:, None])
    row_NT = np.floor(position_NT).astype(np.int64)
    next_NT = np.minimum(row_NT + 1, last_N[:, None])
    share_NT1 = (position_NT - row_NT)[..., None].astype(np.float32)

    before_NTC = scaled.rows(np.where(is_real_NT, row_NT, scaled.padding_row))
    after_NTC = scaled.rows(np.where(is_real_NT, next_NT, scaled.padding_row))
    flags = slice(-len(OPTIONAL_GROUPS), None)
    differs_NT1 = (before_NTC[..., flags] != after_NTC[..., flags]).any(axis=2, keepdims=True)
    share_NT1 = np.where(differs_NT1, np.rint(share_NT1), share_NT1)
    nearest_NT = np.where(share_NT1[..., 0] < 0.5, row_NT, next_NT)
    return Batch(
        before_NTC + share_NT1 * (after_NTC - before_NTC),
        lengths_N,
        np.where(is_real_NT, nearest_NT, scaled.padding_row),
    )


def _vector_columns(channels: tuple[str, ...]) -> list[list[int]]:
    """Return the columns of x, y and z of each vector whose three channels exist."""
    names_V3 = [[f"{vector}_{axis}" for axis in "xyz"] for vector in _VECTORS]
    return [
        [channels.index(name) for name in names_3]
        for names_3 in names_V3
        if set(names_3) <= set(channels)
    ]


def _rotation_matrices(rotation_vector_N3: NDArray[np.float64]) -> FloatArray:
    """Return matrices (N, 3, 3) that rotate row vectors about an axis, by its length in rad.

    Source: Rodrigues' formula.
    """
    angle_N1 = np.linalg.norm(rotation_vector_N3, axis=1, keepdims=True)
    axis_N3 = rotation_vector_N3 / angle_N1
    angle_N11 = angle_N1[:, :, None]
    matrix_N33: NDArray[np.float64] = (
        np.cos(angle_N11) * np.eye(3)
        + np.sin(angle_N11) * np.cross(axis_N3[:, None, :], np.eye(3))
        + (1 - np.cos(angle_N11)) * axis_N3[:, :, None] * axis_N3[:, None, :]
    )
    return matrix_N33.astype(np.float32)
