"""One training batch: frames, hidden modalities, small rotations, mixup; all from one seed.

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
from trainer.features.frames import (
    OPTIONAL_GROUPS,
    Frames,
    FrameScaler,
    hide_groups,
    make_batch,
    scale,
)
from trainer.models.network.auxiliary_targets import (
    NO_HINTS,
    NOTHING_NOTED,
    HintBatch,
    Hints,
    hint_batch,
)
from trainer.models.network.warp import Warp, warped_batch

HIDEABLE_GROUPS = ("thm", "tof")  # half of the competition's test has neither
_VECTORS = ("acc", "linear", "gravity", "omega")  # in sensor axes: they turn with the sensor


@dataclass(frozen=True)
class TrainingBatch:
    """What one step learns from.

    Attributes:
        x_NTC: (N, T, C) float32, real steps first.
        lengths_N: (N,) int64 real steps.
        target_NK: (N, K) float32 class shares; one-hot without mixup.
        hints: What else is to be told.
    """

    x_NTC: Tensor
    lengths_N: Tensor
    target_NK: Tensor
    hints: HintBatch = NO_HINTS


class BatchMaker:
    """Draws training batches from the frames of one fold."""

    def __init__(
        self,
        frames: Frames,
        scaler: FrameScaler,
        length: int,
        config: NetworkConfig,
        hints: Hints = NOTHING_NOTED,
    ) -> None:
        """Scale the frames once.

        Args:
            frames: Of all sequences.
            scaler: Of the fold's training part.
            length: Time steps of a frame.
            config: modality_dropout, rotation_deg, mixup_alpha.
            hints: What else of the sequences is to be told.
        """
        self.scaled = scale(frames, scaler)
        self._scaler = scaler
        self._length = length
        self._config = config
        self._hints = hints
        self._column_V3 = _vector_columns(frames.channels)
        self._sensor_masks = _sensor_masks(frames)

    def draw(self, sequence_idx: IntArray, target_NK: FloatArray, seed: int) -> TrainingBatch:
        """Make one training batch.

        With mixup every sequence is blended with another one of the batch, and its targets in the
        same ratio; the shorter of two counts as zero where it has ended. Source: Zhang et al.
        2018, "mixup".

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
        hints = hint_batch(self._hints, sequence_idx, batch.row_NT)
        hide_groups(x_NTC, self.scaled, HIDEABLE_GROUPS, hidden_N)
        if self._config.sensor_dropout > 0:
            self._hide_a_sensor(x_NTC, rng)
        if self._config.rotation_deg > 0:
            x_NTC = self._rotate(x_NTC, rng)
        if self._config.mixup_alpha > 0:
            share = np.float32(rng.beta(self._config.mixup_alpha, self._config.mixup_alpha))
            other_idx = rng.permutation(len(lengths_N))
            x_NTC, target_NK = (
                share * values + (1 - share) * values[other_idx] for values in (x_NTC, target_NK)
            )
            lengths_N = np.maximum(lengths_N, lengths_N[other_idx])
            hints = hints.mixed(share, other_idx)
        return TrainingBatch(
            x_NTC=torch.from_numpy(x_NTC),
            lengths_N=torch.from_numpy(lengths_N),
            target_NK=torch.from_numpy(target_NK),
            hints=hints,
        )

    def _draw_warp(self, num_sequences: int, rng: np.random.Generator) -> Warp:
        """Draw how much of each sequence is cut off, and how fast the rest is played."""
        cut_N2 = self._config.shift * rng.random((num_sequences, 2))
        log_N = np.log1p(self._config.stretch) * rng.uniform(-1, 1, num_sequences)
        return Warp(head_N=cut_N2[:, 0], tail_N=cut_N2[:, 1], factor_N=np.exp(log_N))

    def _hide_a_sensor(self, x_NTC: FloatArray, rng: np.random.Generator) -> None:
        """Hide one sensor of some sequences: the orientation, or one that sees the skin."""
        is_hidden_N = rng.random(len(x_NTC)) < self._config.sensor_dropout
        sensor_N = rng.integers(len(self._sensor_masks), size=len(x_NTC))
        x_NTC *= ~(self._sensor_masks[sensor_N] & is_hidden_N[:, None])[:, None]

    def _rotate(self, x_NTC: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Turn the sensor a little on its wrist, each sequence its own way.

        Missing and padded steps are 0 in all three channels, and stay so. Lengths of vectors and
        what is measured along gravity do not change. Source: the competition's 10th place.
        """
        std_rad = np.deg2rad(self._config.rotation_deg)
        matrix_N33 = _rotation_matrices(std_rad * rng.standard_normal((len(x_NTC), 3)))
        for column_3 in self._column_V3:
            mean_3, std_3 = self._scaler.mean_C[column_3], self._scaler.std_C[column_3]
            x_NT3 = x_NTC[..., column_3]
            turned_NT3 = ((x_NT3 * std_3 + mean_3) @ matrix_N33 - mean_3) / std_3
            x_NTC[..., column_3] = np.where(x_NT3.any(axis=2, keepdims=True), turned_NT3, 0)
        return x_NTC


def hideable_columns(frames: Frames) -> tuple[int, ...]:
    """Return the columns of a batch that can be hidden, flags included; none without sensors."""
    if not set(HIDEABLE_GROUPS) & set(frames.groups):
        return ()
    is_hideable_C = np.isin([*frames.groups, *OPTIONAL_GROUPS], HIDEABLE_GROUPS)
    return tuple(np.flatnonzero(is_hideable_C).tolist())


def _vector_columns(channels: tuple[str, ...]) -> list[list[int]]:
    """Return the places of x, y and z of each vector that the channels hold in full."""
    names_V3 = [[f"{vector}_{axis}" for axis in "xyz"] for vector in _VECTORS]
    return [
        [channels.index(name) for name in names_3]
        for names_3 in names_V3
        if set(names_3) <= set(channels)
    ]


def _sensor_masks(frames: Frames) -> NDArray[np.bool_]:
    """Return which columns of a batch each sensor that can fail has, (sensors, C + 3).

    The orientation takes its presence flag along; one of five thermopiles or ranges does not.
    """
    sensors = [
        "rot" if group == "rot" else name.partition(".")[0]
        for name, group in zip(frames.channels, frames.groups, strict=True)
    ]
    columns = np.array([*sensors, *OPTIONAL_GROUPS])
    failing = sorted(
        {sensor for sensor, group in zip(sensors, frames.groups, strict=True) if group != "acc"}
    )
    return np.array([columns == sensor for sensor in failing]).reshape(len(failing), len(columns))


def _rotation_matrices(rotation_vector_N3: NDArray[np.float64]) -> FloatArray:
    """Return matrices (N, 3, 3) that turn row vectors about an axis, by its length in rad.

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
