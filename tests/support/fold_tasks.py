"""Small folds for tests of models: a feature table and frames with a signal of the class."""

from __future__ import annotations

from functools import partial

import numpy as np

from trainer.config import BoostingConfig, NetworkConfig
from trainer.data.sequences import NO_ANNOTATIONS, Annotations
from trainer.features.feature_table import FeatureTable
from trainer.features.frames import Frames
from trainer.models.base import FoldTask
from trainer.models.boosting.fold import fit_fold as fit_boosting
from trainer.models.monitor import SilentMonitor
from trainer.models.network import fold as network_fold

BOOSTING_CONFIG = BoostingConfig(
    rounds=11,
    segment_rounds=3,
    patience_rounds=11,
    min_data_in_leaf=3,
    num_leaves=5,
    learning_rate=0.2,
    feature_fraction=0.3,
    num_threads=1,
)
BOOSTING_SEED = 42
BOOSTING_FOLD = 1
FEATURE_NAMES = (
    *(f"acc.x.stat{i}" for i in range(4)),
    *(f"rot.w.stat{i}" for i in range(2)),
    *(f"thm_1.value.stat{i}" for i in range(2)),
    *(f"tof_2.all.stat{i}" for i in range(2)),
)
NETWORK_CONFIG = NetworkConfig(
    epochs=3,
    batch_size=4,
    learning_rate=0.1,
    dropout=0.3,
    modality_dropout=0.3,
    mixup_alpha=0.4,
    rotation_deg=10.0,
    ema_decay=0.9,
    stretch=0.2,
    shift=0.1,
    conv_channels=(4, 6),
    recurrent_units=3,
    patience_epochs=3,
    num_threads=1,
)
NETWORK_SEED = 10  # with it the last epoch is not the best, so that a lost best epoch is noticed

# frames of 20 steps: longer than most of the sequences, shorter than some
fit_network = partial(network_fold.fit_fold, length=20)


def make_table_task(num_train=90, num_valid=30, num_classes=3, names=FEATURE_NAMES, seed=0):
    """Return a task in which every feature depends a little on the class."""
    random = np.random.default_rng(seed)
    label_idx = np.arange(num_train + num_valid) % num_classes
    values_NF = random.normal(size=(len(label_idx), len(names))) + 0.7 * label_idx[:, None]
    values_NF[random.random(values_NF.shape) < 0.05] = np.nan
    return FoldTask(
        inputs=FeatureTable(values_NF.astype(np.float32), tuple(names)),
        label_idx=label_idx,
        num_classes=num_classes,
        num_targets=1,
        train_idx=np.arange(num_train),
        valid_idx=np.arange(num_train, num_train + num_valid),
        annotations=NO_ANNOTATIONS,
    )


def make_frame_task() -> FoldTask:
    """18 sequences of 3 gestures, 5 to 22 steps; a sensor is missing here and there."""
    rng = np.random.default_rng(0)
    label_idx = np.arange(18) % 3
    lengths_N = 5 + np.arange(18)
    values_TC = rng.normal(size=(lengths_N.sum(), 6)).astype(np.float32)
    values_TC[:, 0] += np.repeat(label_idx, lengths_N)
    values_TC[::7, 3] = np.nan
    values_TC[:60, 4:] = np.nan
    frames = Frames(
        offsets=np.concatenate([[0], np.cumsum(lengths_N)]),
        values_TC=values_TC,
        channels=("acc_x", "acc_y", "acc_z", "linear_x", "thm_1", "tof_1.mean"),
        groups=("acc", "acc", "acc", "rot", "thm", "tof"),
    )
    return FoldTask(
        inputs=frames,
        label_idx=label_idx,
        num_classes=3,
        num_targets=2,
        train_idx=np.arange(12),
        valid_idx=np.arange(12, 18),
        annotations=Annotations(
            phase_T=rng.integers(-1, 2, lengths_N.sum()).astype(np.int8),
            posture_N=np.array(["lying", "sitting", ""])[np.arange(18) // 3 % 3],
        ),
    )


def fit_table_fold(
    task=None, config=BOOSTING_CONFIG, monitor=None, checkpoint=None, seed=BOOSTING_SEED
):
    """Fit the LightGBM fold."""
    task, monitor = task or make_table_task(), monitor or SilentMonitor()
    return fit_boosting(task, config, seed, BOOSTING_FOLD, monitor, checkpoint)


def fit_frame_fold(monitor=None, checkpoint=None, config=NETWORK_CONFIG):
    return fit_network(
        make_frame_task(), config, NETWORK_SEED, 1, monitor or SilentMonitor(), checkpoint
    )
