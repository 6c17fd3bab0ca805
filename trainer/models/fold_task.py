"""The task of fitting one fold, a small generated one for canaries, and the size of recordings.

Shapes: N sequences, F features, K classes, T time steps of all sequences, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trainer.data.sequences import Annotations
    from trainer.features.feature_table import FeatureTable
    from trainer.features.frames import Frames

Index = NDArray[np.int64]
Inputs = Literal["features", "frames"]

CANARY_SEED = 1


@dataclass(frozen=True)
class FoldTask:
    """The data that one fold is fitted on.

    Attributes:
        inputs: The feature table or the frames of all sequences, by ``Model.inputs``. Values of a
            missing sensor are NaN.
        label_idx: (N,) int64 class indices, targets first.
        num_classes: K.
        num_targets: Number of targets among the K classes.
        train_idx: Positions of the sequences to train on.
        valid_idx: Positions of the sequences to validate on: early stopping and scores.
        annotations: Phase and posture, where the recordings have them.
    """

    inputs: Any
    label_idx: Index
    num_classes: int
    num_targets: int
    train_idx: Index
    valid_idx: Index
    annotations: Annotations

    @property
    def known_K(self) -> NDArray[np.bool_]:
        """Return which classes the training part has, (K,) bool."""
        return np.isin(np.arange(self.num_classes), self.label_idx[self.train_idx])


@dataclass(frozen=True)
class DataSize:
    """The size of recordings, for an estimate of the training time."""

    num_sequences: int
    num_rows: int
    num_classes: int
    num_features: int
    has_optional_sensors: bool = False  # thermopiles or time of flight


def generated_task(inputs: Inputs) -> FoldTask:
    """Return a small task of random numbers and 4 classes, for a canary."""
    from trainer.data.sequences import NO_ANNOTATIONS
    from trainer.features.feature_table import FeatureTable
    from trainer.features.frames import Frames

    random = np.random.default_rng(CANARY_SEED)
    data: FeatureTable | Frames
    if inputs == "features":
        label_idx = np.arange(120) // 2 % 4  # all classes in both parts
        train_idx, valid_idx = np.arange(0, 120, 2), np.arange(1, 120, 2)
        values_NF = random.normal(size=(120, 16)).astype(np.float32)
        values_NF[:, :4] += np.eye(4, dtype=np.float32)[label_idx]
        data = FeatureTable(values_NF, tuple(f"acc.canary.{number}" for number in range(16)))
    else:
        label_idx = np.arange(16) % 4
        train_idx, valid_idx = np.arange(16), np.arange(4)
        values_TC = random.normal(size=(16 * 16, 8)).astype(np.float32)
        channels = tuple(f"canary_{number}" for number in range(8))
        data = Frames(np.arange(17) * 16, values_TC, channels, groups=("acc",) * 8)
    return FoldTask(data, label_idx, 4, 2, train_idx, valid_idx, NO_ANNOTATIONS)
