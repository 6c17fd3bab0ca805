"""LightGBM as a model of a run: gradient boosted trees on the feature table.

In and out: see ``trainer.models.base``.

Shapes: N sequences, F features, K classes, P classes that the fold was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import BoostingConfig, Config
from trainer.models.base import (
    Checkpoint,
    DataSize,
    FittedFold,
    FoldContributions,
    FoldResult,
    FoldTask,
    Index,
    Model,
    Packed,
    Proba,
    feature_groups,
)
from trainer.models.fold_task import CANARY_SEED, generated_task
from trainer.models.monitor import Monitor, SilentMonitor
from trainer.models.temperature import TEMPERATURES
from trainer.plain_data import LARGEST, DamagedDataError, array, integer, names, number, part

if TYPE_CHECKING:
    from trainer.features.feature_table import FeatureTable
    from trainer.models.boosting.booster import BoostingModel

# measured as described in trainer.run.estimate
S_PER_TREE = 6e-4  # per round and class
S_PER_SPLIT_CELL = 2.7e-9  # and per row and feature that is searched for a split
CANARY_ROUNDS = 5


class LightGBM(Model):
    """LightGBM on the feature table, in segments that resume exactly."""

    name = "lgbm"
    title = "LightGBM"
    step_title = "round"
    inputs = "features"
    libraries = ("lightgbm",)
    code_name = "boosting"
    code_version = 8
    has_importance = True
    has_contributions = True
    memory_settings = ("boosting.num_leaves", "boosting.max_bin")

    def settings(self, config: Config) -> BoostingConfig:
        """Return the model's part of the configuration."""
        return config.boosting

    def max_steps(self, config: Config) -> int:
        """Return the number of rounds."""
        return config.boosting.rounds

    def selects_best(self, config: Config) -> bool:
        """Return whether the best round on the validation part is selected."""
        return config.boosting.select == "best"

    def num_threads(self, config: Config) -> int:
        """Return LightGBM's threads."""
        return config.boosting.num_threads

    def estimate_s(self, config: Config, size: DataSize) -> float:
        """Return about how many seconds a fold takes, by its trees and cells."""
        boosting = config.boosting
        num_rows = size.num_sequences * (1.0 - 1.0 / config.folds.count)
        if size.has_optional_sensors:
            num_rows *= 1.0 + boosting.masked_copies
        num_cells = num_rows * size.num_features * boosting.feature_fraction
        num_trees = boosting.rounds * size.num_classes
        return num_trees * (S_PER_TREE + num_cells * S_PER_SPLIT_CELL)

    def fit(
        self,
        task: FoldTask,
        config: Config,
        seed: int,
        fold: int,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
    ) -> FoldResult:
        """Fit one fold; see ``trainer.models.boosting.fold``."""
        from trainer.models.boosting.fold import fit_fold

        _check_memory(config.boosting, len(task.inputs.names))
        fitted = fit_fold(task, config.boosting, seed, fold, monitor, checkpoint)
        return FoldResult(
            proba_NK=fitted.valid_proba_NK,
            proba_imu_NK=fitted.valid_proba_imu_NK,
            known_K=task.known_K,
            best_step=fitted.best_round,
            packed=pack(fitted.model),
            best_proba_NK=fitted.best_proba_NK,
            best_proba_imu_NK=fitted.best_proba_imu_NK,
            gain_F=fitted.gain_F,
            split_F=fitted.split_F,
        )

    def steps_done(self, checkpoint: Checkpoint) -> int:
        """Return the number of rounds of a checkpoint."""
        return len(checkpoint["losses"])

    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Return the model of a packed fold."""
        return FittedBoosting(unpack(packed))

    def canary(self, config: Config) -> str:
        """Return the hash of the trees of five rounds and of their predictions."""
        from trainer.models.boosting.fold import fit_fold

        task = generated_task(self.inputs)
        settings = config.boosting.model_copy(update={"rounds": CANARY_ROUNDS})
        fitted = fit_fold(task, settings, CANARY_SEED, 0, SilentMonitor())
        return sha256(fitted.model.text.encode() + fitted.valid_proba_NK.tobytes()).hexdigest()


@dataclass(frozen=True)
class FittedBoosting(FittedFold):
    """One fold's trees.

    Attributes:
        model: Its trees are parsed at the first prediction.
    """

    model: BoostingModel

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups of the features."""
        return feature_groups(self.model.names)

    def predict(self, inputs: FeatureTable, is_batch: bool = False) -> Proba:
        """Return the probabilities of all rows of a feature table, (N, K)."""
        from trainer.features.feature_table import align
        from trainer.models.boosting import booster

        predict = booster.predict_many if is_batch else booster.predict
        return predict(self.model, align(inputs, self.model.names))

    def gains(self) -> dict[str, float]:
        """Return the total gain of each feature."""
        gain_F = self.model.booster.feature_importance("gain")
        return dict(zip(self.model.names, map(float, gain_F), strict=True))

    def contributions(self, table: FeatureTable, class_idx: Index) -> FoldContributions:
        """Return the trees' Shapley values for these classes, which the training part must have."""
        from trainer.features.feature_table import align
        from trainer.models.boosting import booster

        values_NF = align(table, self.model.names)
        place = [self.model.class_idx.tolist().index(k) for k in class_idx]
        added_NCF = booster.contributions(self.model, values_NF)[:, place]
        return FoldContributions(
            names=self.model.names,
            added_NCF=added_NCF[:, :, :-1],
            start_NC=added_NCF[:, :, -1],
            raw_NC=booster.raw_scores(self.model, values_NF)[:, place],
        )


def _check_memory(config: BoostingConfig, num_features: int) -> None:
    """Refuse histograms larger than the free memory: LightGBM would end the process.

    It allocates a histogram of every feature for every leaf at once: 16 bytes a bin, and about 100.
    """
    import psutil

    num_bytes = config.num_leaves * num_features * (16 * config.max_bin + 100)
    free = psutil.virtual_memory().available
    if num_bytes > free:
        raise MemoryError(
            f"the histograms of {config.num_leaves:,} leaves and {num_features:,} features need "
            f"{num_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        )


def pack(model: BoostingModel) -> Packed:
    """Return a fold's model as plain data."""
    return {
        "model_text": model.text,
        "feature_names": list(model.names),
        "class_idx": model.class_idx,
        "log_shares": model.log_shares_P,
        "num_classes": model.num_classes,
        "temperature": model.temperature,
    }


def unpack(packed: Mapping[str, Any]) -> BoostingModel:
    """Return the model of a packed fold.

    Raises:
        DamagedDataError: It is not one, or LightGBM could not parse its text.
    """
    from trainer.models.boosting.booster import BoostingModel
    from trainer.models.boosting.text_check import MAX_CLASSES, check_text
    from trainer.models.boosting.tree_check import MAX_FEATURES

    num_classes = integer(packed, "num_classes", 1, MAX_CLASSES)
    class_idx = array(packed, "class_idx", "iu", (None,)).astype(np.int64)
    if not len(class_idx) or class_idx[0] < 0 or class_idx[-1] >= num_classes:
        raise DamagedDataError(f"class_idx: expected classes from 0 to {num_classes - 1}")
    if (np.diff(class_idx) <= 0).any():
        raise DamagedDataError("class_idx: expected classes in ascending order")
    log_shares_P = array(packed, "log_shares", "f", class_idx.shape).astype(np.float64)
    if np.abs(log_shares_P).max() > LARGEST:
        raise DamagedDataError(f"log_shares: expected numbers up to {LARGEST:g}")
    feature_names = names(packed, "feature_names", MAX_FEATURES)
    text = part(packed, "model_text", str)
    check_text(text, len(class_idx), len(feature_names))
    return BoostingModel(
        text=text,
        names=tuple(feature_names),
        class_idx=class_idx,
        log_shares_P=log_shares_P,
        num_classes=num_classes,
        temperature=number(packed, "temperature", *TEMPERATURES, default=1.0),
    )
