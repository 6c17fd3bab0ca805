"""How a unit of work is fitted: the bridge from a run's material to one fold of one model.

In: material, fold table, configuration. Out: ``UnitWork``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.data.sequences import Annotations
from trainer.features.frames import Frames
from trainer.folds import split
from trainer.models import registry
from trainer.models.base import Checkpoint, FoldResult, FoldTask
from trainer.models.monitor import Monitor
from trainer.run.fold_job import UnitWork
from trainer.run.fold_result_file import score_row
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
    model = registry.get(paths.model)

    def fit(monitor: Monitor, checkpoint: Checkpoint | None) -> FoldResult:
        train_idx, valid_idx = split(table.fold_N, paths.fold)
        task = FoldTask(
            inputs=dataset.features if model.inputs == "features" else dataset.frames,
            label_idx=table.label_idx,
            num_classes=table.labels.num_classes,
            num_targets=table.labels.num_targets,
            train_idx=train_idx,
            valid_idx=valid_idx,
            annotations=dataset.annotations,
        )
        return model.fit(task, config, config.seed, paths.fold, monitor, checkpoint)

    def score(result: FoldResult) -> ScoreRow:
        true_idx = table.label_idx[table.fold_N == paths.fold]
        return score_row(true_idx, result.proba_NK, table.labels.num_targets)

    return UnitWork(model, paths, fit, score, config.network.save_interval_s, key)
