"""A model on the feature table that is fitted in one go, in two methods.

In and out: see ``trainer.models.base``. A fold is not resumed inside: an interrupted one is fitted
again.

Shapes: N sequences, F features, K classes, P classes that the training part has.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from trainer.config import Config
from trainer.features.feature_table import FeatureTable, align
from trainer.models.base import (
    Checkpoint,
    FittedFold,
    FoldResult,
    FoldTask,
    Model,
    Packed,
    Proba,
    feature_groups,
)
from trainer.models.monitor import Monitor, Paused
from trainer.models.seeds import derive_seed
from trainer.plain_data import DamagedDataError, array, integer, names, part, reading

MAX_FEATURES, MAX_CLASSES = 100_000, 1000
OPTIONAL_SENSORS = ("thm_", "tof_")

Values = NDArray[np.float32]


class TableModel(Model):
    """Base of such models: the subclass has a name, a title and two methods."""

    inputs = "features"

    @abstractmethod
    def fit_table(
        self, values_NF: Values, class_idx: NDArray[np.int64], settings: BaseModel, seed: int
    ) -> Packed:
        """Fit sequences and return the model as plain data: arrays, numbers, texts.

        Args:
            values_NF: (N, F) float32, NaN missing.
            class_idx: (N,) int64 from 0 to P - 1, each of which occurs.
            settings: ``parameters.<name>`` of the configuration, of ``settings_class``.
            seed: Of every random number.
        """

    @abstractmethod
    def predict_table(self, packed: Mapping[str, Any], values_NF: Values) -> Proba:
        """Return the probabilities of sequences, (N, P) float64, by a fitted model."""

    def max_steps(self, config: Config) -> int:
        """Return 1: a fold is one step."""
        return 1

    def fit(
        self,
        task: FoldTask,
        config: Config,
        seed: int,
        fold: int,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
    ) -> FoldResult:
        """Fit one fold; see ``Model.fit``."""
        if monitor.should_stop():
            raise Paused
        table: FeatureTable = task.inputs
        known_idx, class_idx = np.unique(task.label_idx[task.train_idx], return_inverse=True)
        model = self.fit_table(
            table.values_NF[task.train_idx],
            class_idx,
            self.settings(config),
            derive_seed(seed, self.name, fold),
        )
        packed = {
            "feature_names": list(table.names),
            "known_idx": known_idx,
            "num_classes": task.num_classes,
            "model": model,
        }
        monitor.advance(1, 1)
        opened, valid_NF = FittedTable(self, packed), table.values_NF[task.valid_idx]
        is_optional_F = np.array([name.startswith(OPTIONAL_SENSORS) for name in table.names])
        proba_NK, proba_imu_NK = opened.predict_values(valid_NF), None
        if is_optional_F.any():
            hidden_NF = np.where(is_optional_F, np.float32(np.nan), valid_NF)
            proba_imu_NK = opened.predict_values(hidden_NF)
        return FoldResult(
            *(proba_NK, proba_imu_NK, task.known_K, 1, packed),
            best_proba_NK=proba_NK,
            best_proba_imu_NK=proba_imu_NK,
        )

    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Return the model of a packed fold."""
        names(packed, "feature_names", MAX_FEATURES)
        num_classes = integer(packed, "num_classes", 1, MAX_CLASSES)
        known_idx = array(packed, "known_idx", "i", (None,))
        if not np.isin(known_idx, np.arange(num_classes)).all():
            raise DamagedDataError("known_idx: expected classes")
        part(packed, "model", dict)
        return FittedTable(self, packed)


@dataclass(frozen=True)
class FittedTable(FittedFold):
    """One fold of a ``TableModel``.

    Attributes:
        model: The model that fitted it.
        packed: As ``TableModel.fit`` packs it.
    """

    model: TableModel
    packed: Mapping[str, Any]

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups of the features."""
        return feature_groups(self.packed["feature_names"])

    def predict(self, inputs: FeatureTable, is_batch: bool = False) -> Proba:
        """Return the probabilities of all sequences of a table, (N, K)."""
        with reading(self.model.title):
            return self.predict_values(align(inputs, tuple(self.packed["feature_names"])))

    def predict_values(self, values_NF: Values) -> Proba:
        """Return the probabilities of values in the model's order of columns, (N, K)."""
        proba_NP = self.model.predict_table(self.packed["model"], values_NF)
        proba_NK = np.zeros((len(values_NF), self.packed["num_classes"]))
        proba_NK[:, self.packed["known_idx"]] = proba_NP
        return proba_NK
