"""The dataset of a run: its recordings, and the feature table and frames that are made of them.

In: a configuration and checked recordings. Out: ``TrainingData``, which folds are fitted on. How
recordings are read, and how many of them are in memory at a time: ``recordings``.

Shapes: N sequences, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.data.device_orientation import Vectors
from trainer.data.orientation_detector import fit_detector
from trainer.data.sequences import Annotations, Catalogue, LabelTable
from trainer.features.feature_table import FEATURE_VERSION, FeatureTable, grid_map, validate
from trainer.features.frames import Frames
from trainer.folds import FoldAssignment, assign_folds, check_sizes
from trainer.models.base import DataSize, FoldTask, Model
from trainer.own_code.code_files import CodeFile
from trainer.run.estimate import guess_num_features, has_optional_sensors
from trainer.run.inputs.folds_file import FoldsFile
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.tables.feature_cache import (
    FeatureCache,
    FeatureParts,
    cache_key,
    load_features,
    save_features,
)

NUM_BINS = 5  # equal time bins of the feature table
SPLIT_ADVICE = "Set folds to fewer, or assign the sequences yourself with --folds-file."
KEEP_BLOCK_S = 3.0  # blocks that took longer are kept: a table of 30 s is resumed


@dataclass(frozen=True)
class TrainingData:
    """What folds are fitted on: made by a dataset, or mapped by a worker process.

    Attributes:
        folds: Labels, subjects and folds of all sequences.
        annotations: Phase and posture, where the recordings have them.
        features: The feature table; None where no model is trained on it.
        frames: The frames; None where no model is trained on them.
    """

    folds: FoldAssignment
    annotations: Annotations
    features: FeatureTable | None
    frames: Frames | None

    def task(self, model: Model, fold: int) -> FoldTask:
        """Return what one fold of a model is fitted on."""
        train_idx, valid_idx = self.folds.split(fold)
        return FoldTask(
            inputs=self.features if model.inputs == "features" else self.frames,
            label_idx=self.folds.label_idx,
            num_classes=self.folds.labels.num_classes,
            num_targets=self.folds.labels.num_targets,
            train_idx=train_idx,
            valid_idx=valid_idx,
            annotations=self.annotations,
        )


@dataclass
class Dataset(ABC):
    """Recordings, and what is made of them when it is first needed.

    Attributes:
        config: The run's configuration.
        catalogue: Of the recordings: labelled, with subjects, checked.
        fingerprint: SHA-256 of their content.
        turned_subjects: Subjects whose device orientation was corrected.
        code: Own code of the run, approved and loaded.
    """

    config: Config
    catalogue: Catalogue
    fingerprint: str
    turned_subjects: tuple[str, ...] = field(default=(), kw_only=True)
    code: tuple[CodeFile, ...] = field(default=(), kw_only=True)
    _features: FeatureCache | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def frames(self) -> Frames:
        """Return the frames; ``open_frames`` comes first."""

    @property
    @abstractmethod
    def orientation_NF(self) -> Vectors:
        """Return features for the orientation detector, (N, F), device orientation corrected."""

    @abstractmethod
    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Make the frames where they do not exist yet.

        Args:
            folder: The run folder.
            poll: Called now and then; may raise to stop.
        """

    @abstractmethod
    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        """Build the feature table, and keep the parts of it that took long."""

    @property
    def labels(self) -> LabelTable:
        """Return the label table."""
        assert self.catalogue.labels is not None  # check_trainable refuses anything else
        return self.catalogue.labels

    @property
    def label_idx(self) -> NDArray[np.int64]:
        """Return (N,) class indices."""
        assert self.catalogue.label_idx is not None
        return self.catalogue.label_idx

    @property
    def subjects(self) -> NDArray[np.str_]:
        """Return (N,) subjects."""
        assert self.catalogue.subjects is not None
        return self.catalogue.subjects

    @property
    def features(self) -> FeatureCache:
        """Return the feature table; ``open_features`` comes first."""
        assert self._features is not None
        return self._features

    @property
    def size(self) -> DataSize:
        """Return the size of the recordings; the number of features is estimated until built."""
        guessed = guess_num_features(self.catalogue.groups)
        return DataSize(
            num_sequences=self.catalogue.num_sequences,
            num_rows=self.catalogue.num_rows,
            num_classes=self.labels.num_classes,
            num_features=guessed if self._features is None else len(self._features.names),
            has_optional_sensors=has_optional_sensors(self.catalogue.groups),
        )

    @property
    def feature_key(self) -> str:
        """Return the key of what the feature cache must have been made from."""
        mirror = int(self.config.data.mirror_left_handers)
        return cache_key(
            *(self.fingerprint, "features", FEATURE_VERSION, "mirror", mirror, NUM_BINS),
            *self._key_of_turned,
            *(file.entry for file in self.code),
        )

    @property
    def _key_of_turned(self) -> tuple[str, ...]:
        return ("turned", *self.turned_subjects) if self.turned_subjects else ()

    def open_cache(self, folder: CheckedFolder) -> str:
        """Load the feature cache; return in words whether it is reused, or why not."""
        cache = load_features(folder, self.feature_key, self.catalogue.num_sequences)
        if isinstance(cache, str):
            return f"built ({cache})"
        self._features = cache
        return f"reused, {len(cache.names):,} features"

    def open_features(self, folder: CheckedFolder, poll: Callable[[], None]) -> str | None:
        """Load the feature table or build and cache it; return why it was built, if it was.

        Args:
            folder: The run folder.
            poll: Called after each column; may raise to stop.
        """
        if self._features is not None:
            return None
        found = load_features(folder, self.feature_key, self.catalogue.num_sequences)
        if not isinstance(found, str):
            self._features = found
            return None
        parts = FeatureParts(folder, self.feature_key)
        table = validate(self._build_table(parts, poll))
        self._features = FeatureCache(
            key=self.feature_key,
            values_NF=table.values_NF,
            names=table.names,
            label_idx=self.label_idx,
            subjects=self.subjects,
            sequence_ids=self.catalogue.sequence_ids,
            grid_map={
                name: (
                    region.sensor,
                    region.rows[0],
                    region.rows[-1],
                    region.columns[0],
                    region.columns[-1],
                )
                for name, region in grid_map(table.names).items()
            },
        )
        save_features(folder, self._features)
        parts.drop()
        return found

    def training_data(self, folds: FoldAssignment, models: Iterable[Model]) -> TrainingData:
        """Return what the folds of these models are fitted on."""
        kinds = {model.inputs for model in models}
        features = None
        if "features" in kinds:
            features = FeatureTable(self.features.values_NF, self.features.names)
        return TrainingData(
            folds=folds,
            annotations=self.catalogue.annotations,
            features=features,
            frames=self.frames if "frames" in kinds else None,
        )

    def release(self) -> None:
        """Free the memory of the feature table and the frames: the workers have them."""
        self._features = None

    def fit_orientation_detector(self) -> dict[str, list[float]]:
        """Fit the detector of devices worn otherwise; return its numbers, or none without one."""
        if not self.config.data.turn_reversed:
            return {}
        detector = fit_detector(self.orientation_NF, self.subjects, self.label_idx)
        return {} if detector is None else detector.to_plain()

    def assign_folds(self, file: FoldsFile | None) -> FoldAssignment:
        """Assign every sequence to a fold, as a file does or at random, by subject.

        Raises:
            DataError: The file does not fit the recordings.
            FoldError: A fold is empty, or much smaller than another.
        """
        if file is not None:
            return self.fold_assignment(file.assign(self.catalogue.sequence_ids, self.subjects))
        num_folds = self.config.folds.count
        fold_N = assign_folds(self.label_idx, self.subjects, num_folds, self.config.seed)
        check_sizes(fold_N, num_folds, SPLIT_ADVICE)
        return self.fold_assignment(fold_N)

    def fold_assignment(self, fold_N: NDArray[np.int64]) -> FoldAssignment:
        """Return the assignment of fold numbers that were made before.

        Raises:
            StoreError: They are of another number of sequences.
        """
        if len(fold_N) != self.catalogue.num_sequences:
            raise StoreError(
                f"folds.parquet: expected {self.catalogue.num_sequences} sequences, got "
                f"{len(fold_N)}; it belongs to another run"
            )
        return FoldAssignment(
            self.catalogue.sequence_ids,
            self.subjects,
            self.label_idx,
            fold_N.astype(np.int64),
            self.labels,
        )
