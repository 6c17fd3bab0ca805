"""The recordings of a run: read, checked, and held in memory where they are one file.

In: a configuration. Out: a ``Dataset``; of a folder of Parquet files a ``PartitionedDataset``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from trainer.config import Config
from trainer.data.device_orientation import (
    Vectors,
    correct_orientation,
    find_reversed,
    find_reversed_by,
)
from trainer.data.orientation_detector import odd_features
from trainer.data.partitions import survey
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import Sequences
from trainer.data.sources import check_trainable, fingerprint, open_partitions
from trainer.features.feature_table import FeatureTable, build_block, build_blocks
from trainer.features.frames import Frames, build_frames
from trainer.own_code.code_files import CodeFile
from trainer.own_code.loader import load_approved
from trainer.run.inputs.dataset import KEEP_BLOCK_S, NUM_BINS, Dataset
from trainer.run.inputs.partitioned_dataset import PartitionedDataset
from trainer.run.inputs.parts import LocalPartMaker, PartMaker
from trainer.simulation.any_source import load
from trainer.store.checksums import CheckedFolder
from trainer.store.tables.feature_cache import FeatureParts


def load_dataset(
    config: Config,
    maker: PartMaker = LocalPartMaker(),  # noqa: B008 - has no state
    show: Callable[[str], None] = lambda _: None,
    code: tuple[CodeFile, ...] = (),
) -> Dataset:
    """Read and check the recordings.

    Args:
        config: The run's configuration.
        maker: Computes features and frames of recordings in parts.
        show: Receives the progress of recordings in parts, in words.
        code: Own code of the run, approved and loaded.

    Raises:
        DataError: They cannot be read or trained on.
    """
    num_folds = 1 if config.folds.file_sha256 else config.folds.count  # else the file is checked
    parts = open_partitions(config.data.source)
    if parts is None:
        sequences = load(config.data.source)
        check_trainable(sequences, num_folds)
        turned = find_reversed(sequences) if config.data.turn_reversed else ()
        return InMemoryDataset(
            config,
            sequences.catalogue,
            fingerprint(sequences),
            correct_orientation(sequences, turned, in_place=True),  # the fingerprint is taken
            turned_subjects=turned,
            code=code,
        )
    surveyed = survey(parts, fingerprint)
    catalogue = surveyed.catalogue
    check_trainable(catalogue, num_folds)
    turned = ()
    if config.data.turn_reversed:
        turned = find_reversed_by(catalogue.subjects, surveyed.poses_N3)
    return PartitionedDataset(
        *(config, catalogue, surveyed.fingerprint, parts, surveyed, maker, show),
        turned_subjects=turned,
        code=code,
    )


@dataclass
class InMemoryDataset(Dataset):
    """Recordings that are held in memory.

    Attributes:
        sequences: All of them, device orientation corrected.
    """

    sequences: Sequences
    _guard: threading.Lock = field(default_factory=threading.Lock, kw_only=True)  # of the parts

    @property
    def orientation_NF(self) -> Vectors:
        """Return features for the orientation detector."""
        return odd_features(self.sequences)

    @cached_property
    def signals(self) -> Signals:
        """Return the preprocessed recordings."""
        return preprocess(self.sequences, self.config.data.mirror_left_handers)

    @cached_property
    def frames(self) -> Frames:
        """Return the frames."""
        return build_frames(self.signals, self.config.network.motion_channels)

    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Do nothing: frames in memory take a moment, and are made when first needed."""

    def release(self) -> None:
        """Free the feature table, the frames, and the signals that they were made from."""
        super().release()
        for name in ("signals", "frames"):
            self.__dict__.pop(name, None)

    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        own = load_approved(self.code).blocks
        return build_blocks(self.signals, own, lambda block: self._block(block, parts, poll))

    def _block(self, block: str, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        """Return one block of the table, from an earlier attempt where it was kept."""
        with self._guard:
            kept = parts.load(block)
        if kept is not None and len(kept[0]) == len(self.signals.offsets) - 1:
            return FeatureTable(*kept)
        began = time.monotonic()
        own = load_approved(self.code).blocks
        table = build_block(self.signals, block, NUM_BINS, poll, own, may_miss=False)
        if time.monotonic() - began >= KEEP_BLOCK_S:
            with self._guard:
                parts.save(block, table.values_NF, table.names)
        return table
