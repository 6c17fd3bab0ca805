"""The training data of a run: features, labels and subjects from its feature cache.

In: a run folder. Out: ``Training``, or a ``PredictError`` with the reason why it is missing.

Shapes: N sequences, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.quality.training_comparison import TrainingSummary
from trainer.features.feature_table import FeatureTable
from trainer.predict.fitted_models import PredictError
from trainer.store.checksums import CheckedFolder
from trainer.store.tables.feature_cache import FILE_NAME, load_features


@dataclass(frozen=True)
class Training:
    """The sequences that the models of a run were trained on.

    Attributes:
        table: N rows of features, preprocessed as in training.
        label_idx: (N,) int64 class indices.
        subjects: (N,) unicode.
        sequence_ids: (N,) unicode.
    """

    table: FeatureTable
    label_idx: NDArray[np.int64]
    subjects: NDArray[np.str_]
    sequence_ids: NDArray[np.str_]

    @classmethod
    def load(cls, root: Path) -> Training:
        """Load a run's ``train_features.joblib`` after its checksum was verified.

        Args:
            root: The run folder.

        Raises:
            PredictError: It is missing or damaged.
        """
        cache = load_features(CheckedFolder(root))
        if isinstance(cache, str):
            raise PredictError(
                f"{root / FILE_NAME}: {cache}, so the recording cannot be compared with the "
                f"training data. Predictions do not need it; resuming the run writes it again"
            )
        return cls(
            table=FeatureTable(cache.values_NF, cache.names),
            label_idx=cache.label_idx,
            subjects=cache.subjects,
            sequence_ids=cache.sequence_ids,
        )

    @property
    def summary(self) -> TrainingSummary:
        """Return what the input check compares recordings with."""
        mean_acc_M3 = np.stack([self.column(f"acc.acc_{axis}.mean") for axis in "xyz"], axis=1)
        return TrainingSummary(self.column("acc.length.steps"), mean_acc_M3)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one feature of the training data, (N,) float64.

        Raises:
            PredictError: The training data has none of this name.
        """
        if name not in self.table.names:
            raise PredictError(f"{FILE_NAME}: expected a feature {name}, found none of this name")
        return self.table.values_NF[:, self.table.names.index(name)].astype(np.float64)
