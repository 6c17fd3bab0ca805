"""A network fold before and after: what it learns from, and what it came to.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.config import NetworkConfig
from trainer.features.frames import Frames, input_branches, num_input_channels
from trainer.metric import Score
from trainer.models.base import FoldTask
from trainer.models.network.augmentation import hideable_columns
from trainer.models.network.auxiliary_targets import NOTHING_NOTED, Hints, make_hints
from trainer.models.network.epochs import EpochRecord
from trainer.models.network.inference import NetworkModel
from trainer.models.network.modules import NetworkSizes


def network_sizes(task: FoldTask, config: NetworkConfig, hints: Hints) -> NetworkSizes:
    """Return the sizes of the network that fits a fold.

    Args:
        task: The fold.
        config: How it is trained.
        hints: Its auxiliary targets.
    """
    frames: Frames = task.inputs
    return NetworkSizes(
        num_channels=num_input_channels(frames),
        num_classes=task.num_classes,
        conv_channels=config.conv_channels,
        recurrent_units=config.recurrent_units,
        dropout=config.dropout,
        architecture=config.architecture,
        branches=input_branches(frames) if config.architecture == "branches" else (),
        members=config.members,
        temperature=config.temperature,
        light_columns=hideable_columns(frames) if config.imu_network else (),
        tells_phase=hints.phase_T is not None,
        num_postures=len(hints.postures),
    )


def auxiliary_targets(task: FoldTask, config: NetworkConfig) -> Hints:
    """Return what the network is trained to predict beside the gesture."""
    return make_hints(task.annotations) if config.auxiliary_weight > 0 else NOTHING_NOTED


@dataclass(frozen=True)
class NetworkFold:
    """A fitted fold.

    Attributes:
        model: The best epoch's network.
        best_epoch: Counted from 1.
        num_epochs: How many epochs ran.
        history: One record per epoch, as the monitor got them.
        score: Of the best epoch on the validation part.
        valid_proba_NK: Float64 probabilities of the validation part, in its order.
        valid_proba_imu_NK: The same with thermopiles and time of flight hidden; None where the
            frames have neither.
        last_proba_NK: The validation part as epoch ``fixed_epochs`` has it: no choice was made
            on it.
        last_proba_imu_NK: The same with thermopiles and time of flight hidden, or None.
    """

    model: NetworkModel
    best_epoch: int
    num_epochs: int
    history: tuple[EpochRecord, ...]
    score: Score
    valid_proba_NK: NDArray[np.float64]
    valid_proba_imu_NK: NDArray[np.float64] | None
    last_proba_NK: NDArray[np.float64]
    last_proba_imu_NK: NDArray[np.float64] | None
