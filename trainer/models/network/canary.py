"""The network's canary: the hash of an epoch of two steps on generated frames, in the run's sizes.

In: the run's settings. Out: a hash that depends on machine, libraries and settings only.
"""

from __future__ import annotations

import hashlib

import numpy as np

from trainer.config import NetworkConfig
from trainer.data.sequences import NO_ANNOTATIONS
from trainer.features.frames import Frames
from trainer.models.base import FoldTask
from trainer.models.monitor import SilentMonitor
from trainer.models.network.fold import fit_fold

NUM_SEQUENCES, NUM_STEPS, NUM_CHANNELS = 16, 16, 8
NUM_CLASSES = 4
SEED = 1


def canary_hash(config: NetworkConfig) -> str:
    """Return the hash of the weights after two steps."""
    random = np.random.default_rng(SEED)
    values_TC = random.normal(size=(NUM_SEQUENCES * NUM_STEPS, NUM_CHANNELS)).astype(np.float32)
    sequence_idx = np.arange(NUM_SEQUENCES)
    task = FoldTask(
        inputs=Frames(
            offsets=np.arange(NUM_SEQUENCES + 1) * NUM_STEPS,
            values_TC=values_TC,
            channels=tuple(f"canary_{number}" for number in range(NUM_CHANNELS)),
            groups=("acc",) * NUM_CHANNELS,
        ),
        label_idx=sequence_idx % NUM_CLASSES,
        num_classes=NUM_CLASSES,
        num_targets=NUM_CLASSES // 2,
        train_idx=sequence_idx,
        valid_idx=sequence_idx[:4],
        annotations=NO_ANNOTATIONS,
    )
    settings = config.model_copy(update={"epochs": 1, "batch_size": 8})
    fitted = fit_fold(task, settings, SEED, 0, SilentMonitor(), length=NUM_STEPS)
    digest = hashlib.sha256()
    for name, tensor in sorted(fitted.model.weights.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
