"""The canary: a tiny fit per model, hashed; tells before hours are spent whether bits will agree.

In: the run's configuration. Out: a hash per model. It uses the run's own threads and sizes, fixed
data and a fixed seed, so it depends on machine, libraries and settings only.
"""

from __future__ import annotations

import hashlib

import numpy as np

from trainer.config import Config
from trainer.models.boosting.fold import BoostingTask
from trainer.models.boosting.fold import fit_fold as fit_boosting
from trainer.models.monitor import SilentMonitor

NUM_ROWS, NUM_FEATURES, NUM_CLASSES = 120, 16, 4
NUM_ROUNDS = 5
NUM_STEPS, NUM_CHANNELS = 16, 8
SEED = 1


def canary_hashes(config: Config) -> dict[str, str]:
    """Return the hash of a tiny fit of each model of the run."""
    songs = {"lgbm": _boost, "torch": _train}
    return {model: songs[model](config) for model in config.models}


def _boost(config: Config) -> str:
    """Hash five rounds of LightGBM."""
    random = np.random.default_rng(SEED)
    label_idx = np.arange(NUM_ROWS) // 2 % NUM_CLASSES  # all classes in both parts
    values_NF = random.normal(size=(NUM_ROWS, NUM_FEATURES)).astype(np.float32)
    values_NF[:, :NUM_CLASSES] += np.eye(NUM_CLASSES, dtype=np.float32)[label_idx]
    task = BoostingTask(
        values_NF=values_NF,
        names=tuple(f"acc.canary.{number}" for number in range(NUM_FEATURES)),
        label_idx=label_idx,
        num_classes=NUM_CLASSES,
        num_targets=NUM_CLASSES // 2,
        train_idx=np.arange(0, NUM_ROWS, 2),
        valid_idx=np.arange(1, NUM_ROWS, 2),
    )
    settings = config.boosting.model_copy(update={"rounds": NUM_ROUNDS})
    fitted = fit_boosting(task, settings, SEED, 0, SilentMonitor())
    return hashlib.sha256(fitted.model.text.encode() + fitted.valid_proba_NK.tobytes()).hexdigest()


def _train(config: Config) -> str:
    """Hash an epoch of two steps of the network, in the run's sizes."""
    from trainer.features.frames import Frames
    from trainer.models.network.fold import NetworkTask
    from trainer.models.network.fold import fit_fold as fit_network

    random = np.random.default_rng(SEED)
    num_sequences = 2 * 8
    values_TC = random.normal(size=(num_sequences * NUM_STEPS, NUM_CHANNELS)).astype(np.float32)
    sequence_idx = np.arange(num_sequences)
    task = NetworkTask(
        frames=Frames(
            offsets=np.arange(num_sequences + 1) * NUM_STEPS,
            values_TC=values_TC,
            channels=tuple(f"canary_{number}" for number in range(NUM_CHANNELS)),
            groups=("acc",) * NUM_CHANNELS,
        ),
        label_idx=sequence_idx % NUM_CLASSES,
        num_classes=NUM_CLASSES,
        num_targets=NUM_CLASSES // 2,
        train_idx=sequence_idx,
        valid_idx=sequence_idx[:4],
        length=NUM_STEPS,
    )
    settings = config.network.model_copy(update={"epochs": 1, "batch_size": 8})
    fitted = fit_network(task, settings, SEED, 0, SilentMonitor())
    digest = hashlib.sha256()
    for name, tensor in sorted(fitted.model.weights.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
