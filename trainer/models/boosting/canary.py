"""LightGBM's canary: the hash of five rounds on generated rows.

In: the run's settings. Out: a hash that depends on machine, libraries and settings only.
"""

from __future__ import annotations

import hashlib

import numpy as np

from trainer.config import BoostingConfig
from trainer.data.sequences import NO_ANNOTATIONS
from trainer.features.feature_table import FeatureTable
from trainer.models.base import FoldTask
from trainer.models.boosting.fold import fit_fold
from trainer.models.monitor import SilentMonitor

NUM_ROWS, NUM_FEATURES, NUM_CLASSES = 120, 16, 4
NUM_ROUNDS = 5
SEED = 1


def canary_hash(config: BoostingConfig) -> str:
    """Return the hash of the trees and of their predictions."""
    random = np.random.default_rng(SEED)
    label_idx = np.arange(NUM_ROWS) // 2 % NUM_CLASSES  # all classes in both parts
    values_NF = random.normal(size=(NUM_ROWS, NUM_FEATURES)).astype(np.float32)
    values_NF[:, :NUM_CLASSES] += np.eye(NUM_CLASSES, dtype=np.float32)[label_idx]
    names = tuple(f"acc.canary.{number}" for number in range(NUM_FEATURES))
    task = FoldTask(
        inputs=FeatureTable(values_NF, names),
        label_idx=label_idx,
        num_classes=NUM_CLASSES,
        num_targets=NUM_CLASSES // 2,
        train_idx=np.arange(0, NUM_ROWS, 2),
        valid_idx=np.arange(1, NUM_ROWS, 2),
        annotations=NO_ANNOTATIONS,
    )
    settings = config.model_copy(update={"rounds": NUM_ROUNDS})
    fitted = fit_fold(task, settings, SEED, 0, SilentMonitor())
    return hashlib.sha256(fitted.model.text.encode() + fitted.valid_proba_NK.tobytes()).hexdigest()
