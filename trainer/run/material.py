"""Material: the recordings of a run and what is made of them, each made when first needed.

In: a configuration. Out: sequences, feature table, frames, folds.

Shapes: N sequences, F features.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import LabelTable, Sequences
from trainer.data.sources import check_trainable, fingerprint, load
from trainer.features.frames import Frames, build_frames
from trainer.features.table import (
    FEATURE_VERSION,
    FeatureTable,
    blocks_of,
    build_block,
    grid_map,
    join_blocks,
    validate,
)
from trainer.folds import assign_folds
from trainer.run.estimate import Size, guess_num_features
from trainer.run.views import FoldTable
from trainer.store.cache import (
    FeatureCache,
    FeatureParts,
    cache_key,
    load_features,
    save_features,
)
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError

NUM_BINS = 5  # equal time bins of the feature table
KEEP_BLOCK_S = 3.0  # a block that took longer is kept: a table of 7 blocks in 30 s is resumed


@dataclass
class Material:
    """Recordings and what is made of them.

    Attributes:
        config: The run's configuration.
        sequences: Labelled, with subjects, checked.
        fingerprint: SHA-256 of their content.
    """

    config: Config
    sequences: Sequences
    fingerprint: str
    _features: FeatureCache | None = field(default=None)

    @property
    def labels(self) -> LabelTable:
        """Return the label table."""
        assert self.sequences.labels is not None  # check_trainable refuses anything else
        return self.sequences.labels

    @property
    def label_idx(self) -> NDArray[np.int64]:
        """Return (N,) class indices."""
        assert self.sequences.label_idx is not None
        return self.sequences.label_idx

    @property
    def subjects(self) -> NDArray[np.str_]:
        """Return (N,) subjects."""
        assert self.sequences.subjects is not None
        return self.sequences.subjects

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Return the sequences' lengths."""
        return self.sequences.lengths_N

    @property
    def features(self) -> FeatureCache:
        """Return the feature table; ``open_features`` comes first."""
        assert self._features is not None
        return self._features

    @property
    def size(self) -> Size:
        """Return how large the recordings are; the features are guessed until they are built."""
        guessed = guess_num_features(self.sequences.groups)
        return Size(
            num_sequences=self.sequences.num_sequences,
            num_rows=int(self.sequences.offsets[-1]),
            num_classes=self.labels.num_classes,
            num_features=guessed if self._features is None else len(self._features.names),
        )

    @cached_property
    def signals(self) -> Signals:
        """Return the preprocessed recordings."""
        return preprocess(self.sequences, self.config.data.mirror_left_handers)

    @cached_property
    def frames(self) -> Frames:
        """Return what the network sees."""
        return build_frames(self.signals)

    @property
    def feature_key(self) -> str:
        """Return the key of what the feature cache must have been made from."""
        mirror = int(self.config.data.mirror_left_handers)
        return cache_key(self.fingerprint, "features", FEATURE_VERSION, "mirror", mirror, NUM_BINS)

    def look_at_cache(self, folder: CheckedFolder) -> str:
        """Say whether the feature cache is reused or why not."""
        cache = load_features(folder, self.feature_key)
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
        found = load_features(folder, self.feature_key)
        if not isinstance(found, str):
            self._features = found
            return None
        parts = FeatureParts(folder, self.feature_key)
        blocks = blocks_of(self.signals)
        table = validate(join_blocks([self._block(block, parts, poll) for block in blocks]))
        self._features = FeatureCache(
            key=self.feature_key,
            values_NF=table.values_NF,
            names=table.names,
            label_idx=self.label_idx,
            subjects=self.subjects,
            sequence_ids=self.sequences.sequence_ids,
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
        parts.drop(blocks)
        return found

    def _block(self, block: str, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        """Return one block of the table, from an earlier attempt where it was kept."""
        kept = parts.load(block)
        if kept is not None:
            return FeatureTable(*kept)
        began = time.monotonic()
        table = build_block(self.signals, block, NUM_BINS, poll)
        if time.monotonic() - began >= KEEP_BLOCK_S:
            parts.save(block, table.values_NF, table.names)
        return table

    def forget(self) -> None:
        """Let go of what the folds are fitted on: the workers have it."""
        self._features = None
        for name in ("signals", "frames"):
            self.__dict__.pop(name, None)

    def assign_folds(self) -> FoldTable:
        """Assign every sequence to a fold."""
        fold_N = assign_folds(
            self.label_idx, self.subjects, self.config.folds.count, self.config.seed
        )
        return self.fold_table(fold_N)

    def fold_table(self, fold_N: NDArray[np.int64]) -> FoldTable:
        """Return the fold table of fold numbers that were assigned before.

        Raises:
            StoreError: They are of another number of sequences.
        """
        if len(fold_N) != self.sequences.num_sequences:
            raise StoreError(
                f"folds.parquet: expected {self.sequences.num_sequences} sequences, got "
                f"{len(fold_N)}; it belongs to another run"
            )
        return FoldTable(
            self.sequences.sequence_ids,
            self.subjects,
            self.label_idx,
            fold_N.astype(np.int64),
            self.labels,
        )


def load_material(config: Config) -> Material:
    """Read and check the recordings.

    Raises:
        DataError: They cannot be read or trained on.
    """
    sequences = load(config.data.source)
    check_trainable(sequences, config.folds.count)
    return Material(config, sequences, fingerprint(sequences))
