"""How a unit of work is fitted: the bridge from a run's material to one fold of one model.

In: material, fold table, configuration. Out: ``UnitWork``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.data.sequences import Annotations
from trainer.features.frames import Frames, frame_length
from trainer.folds import split
from trainer.models.boosting.fold import BoostingTask
from trainer.models.boosting.fold import fit_fold as fit_boosting
from trainer.models.monitor import Monitor
from trainer.run.fold_files import FoldBlock, boosting_block, network_block, score_row
from trainer.run.fold_job import Checkpoint, UnitWork
from trainer.run.result_tables import FoldTable
from trainer.store.names import FoldPaths
from trainer.store.records import ScoreRow


class Features(Protocol):
    """A feature table."""

    @property
    def values_NF(self) -> NDArray[np.float32]:
        """Return (N, F) values."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return F names."""


class Supply(Protocol):
    """What folds are fitted on: the run's material, or a worker's view of it."""

    @property
    def features(self) -> Features:
        """Return LightGBM's table."""

    @property
    def frames(self) -> Frames:
        """Return what the network sees."""

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Return the sequences' lengths."""

    @property
    def annotations(self) -> Annotations:
        """Return what people have noted beside the gesture."""


def unit_work(
    paths: FoldPaths, dataset: Supply, table: FoldTable, config: Config, key: str
) -> UnitWork:
    """Return what there is to do for one fold of one model."""
    fit_model = {"lgbm": _fit_boosting, "torch": _fit_network}[paths.model]

    def fit(monitor: Monitor, checkpoint: Checkpoint | None) -> FoldBlock:
        return fit_model(dataset, table, config, paths.fold, monitor, checkpoint)

    def score(block: FoldBlock) -> ScoreRow:
        true_idx = table.label_idx[table.fold_N == paths.fold]
        return score_row(true_idx, block.proba_NK, table.labels.num_targets)

    return UnitWork(paths, fit, score, config.network.save_interval_s, key)


def _fit_boosting(
    dataset: Supply,
    table: FoldTable,
    config: Config,
    fold: int,
    monitor: Monitor,
    checkpoint: Checkpoint | None,
) -> FoldBlock:
    train_idx, valid_idx = split(table.fold_N, fold)
    task = BoostingTask(
        values_NF=dataset.features.values_NF,
        names=dataset.features.names,
        label_idx=table.label_idx,
        num_classes=table.labels.num_classes,
        num_targets=table.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
    )
    fitted = fit_boosting(task, config.boosting, config.seed, fold, monitor, checkpoint)
    return boosting_block(fold, fitted)


def _fit_network(
    dataset: Supply,
    table: FoldTable,
    config: Config,
    fold: int,
    monitor: Monitor,
    checkpoint: Checkpoint | None,
) -> FoldBlock:
    from trainer.models.network.fold import NetworkTask
    from trainer.models.network.fold import fit_fold as fit_network

    train_idx, valid_idx = split(table.fold_N, fold)
    task = NetworkTask(
        frames=dataset.frames,
        label_idx=table.label_idx,
        num_classes=table.labels.num_classes,
        num_targets=table.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
        length=frame_length(dataset.lengths_N, train_idx, config.frames.length),
        annotations=dataset.annotations,
    )
    fitted = fit_network(task, config.network, config.seed, fold, monitor, checkpoint)
    knows_K = np.isin(np.arange(table.labels.num_classes), table.label_idx[train_idx])
    return network_block(fold, fitted, knows_K)
