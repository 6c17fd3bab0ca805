"""Sharing: the material of a run, laid out so that many processes read one copy.

In: material and fold table. Out: plain ``.npy`` files in ``units/at_work``, mapped into the memory
of every worker, and what they are called. They live as long as the workers; nothing in them runs
code when it is read, and a worker holds each against its checksum before it uses it.

Shapes: N sequences, T time steps, F features, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Annotations, LabelTable
from trainer.features.feature_table import FeatureTable
from trainer.features.frames import Frames
from trainer.run.dataset import Dataset
from trainer.run.result_tables import FoldTable
from trainer.store.durable import StoreError, file_sha256, make_folder

_ANNOTATIONS = tuple(field.name for field in fields(Annotations))


@dataclass(frozen=True)
class Shared:
    """What a worker is told of the material; small, it goes along with every unit.

    Attributes:
        folder: Where the arrays are.
        checksums: Name of each array, SHA-256 of its file.
        feature_names: F names; none where no table was shared.
        channels: C names; none where no frames were.
        groups: C sensor groups.
        maps_frames: Whether the frames are larger than memory, so that a fold scales them by rows.
        labels: The label table.
    """

    folder: Path
    checksums: tuple[tuple[str, str], ...]
    feature_names: tuple[str, ...]
    channels: tuple[str, ...]
    groups: tuple[str, ...]
    maps_frames: bool
    labels: LabelTable


class SharedDataset:
    """A worker's view of the material: arrays that are read where they lie."""

    def __init__(self, shared: Shared) -> None:
        """Open nothing yet."""
        self._shared = shared

    @cached_property
    def table(self) -> FoldTable:
        """Return the fold table."""
        return FoldTable(
            self._array("sequence_ids"),
            self._array("subjects"),
            self._array("label_idx"),
            self._array("fold_N"),
            self._shared.labels,
        )

    @cached_property
    def features(self) -> FeatureTable:
        """Return LightGBM's table."""
        return FeatureTable(self._array("features_NF"), self._shared.feature_names)

    @cached_property
    def frames(self) -> Frames:
        """Return what the network sees."""
        shared = self._shared
        values_TC = self._mapped("frames_TC")
        return Frames(
            self._array("offsets"),
            values_TC if shared.maps_frames else np.asarray(values_TC),
            shared.channels,
            shared.groups,
        )

    @cached_property
    def lengths_N(self) -> NDArray[np.int64]:
        """Return the sequences' lengths."""
        return self._array("lengths_N")

    @cached_property
    def annotations(self) -> Annotations:
        """Return what people have noted beside the gesture."""
        noted = {name for name, _ in self._shared.checksums} & set(_ANNOTATIONS)
        return Annotations(**{name: self._array(name) for name in noted})

    def _array(self, name: str) -> NDArray[Any]:
        return np.asarray(self._mapped(name))

    def _mapped(self, name: str) -> NDArray[Any]:
        path = _path(self._shared.folder, name)
        try:
            found = file_sha256(path)
            if found != dict(self._shared.checksums)[name]:
                raise StoreError(f"{path}: another content than the coordinator wrote")
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error})") from error
        return mapped


def share(dataset: Dataset, table: FoldTable, models: Sequence[str], folder: Path) -> Shared:
    """Write what the folds of these models need.

    Raises:
        StoreError: There is no room.
    """
    arrays: dict[str, NDArray[Any]] = {
        "sequence_ids": table.sequence_ids,
        "subjects": table.subjects,
        "label_idx": table.label_idx,
        "fold_N": table.fold_N,
        "lengths_N": dataset.lengths_N,
    }
    if "lgbm" in models:
        arrays["features_NF"] = dataset.features.values_NF
    if "torch" in models:
        arrays |= {"offsets": dataset.frames.offsets, "frames_TC": dataset.frames.values_TC}
        noted = ((name, getattr(dataset.annotations, name)) for name in _ANNOTATIONS)
        arrays |= {name: array for name, array in noted if array is not None}
    make_folder(folder)
    return Shared(
        folder=folder,
        checksums=tuple((name, _write(folder, name, array)) for name, array in arrays.items()),
        feature_names=dataset.features.names if "lgbm" in models else (),
        channels=dataset.frames.channels if "torch" in models else (),
        groups=dataset.frames.groups if "torch" in models else (),
        maps_frames="torch" in models and isinstance(dataset.frames.values_TC, np.memmap),
        labels=table.labels,
    )


def num_bytes(dataset: Dataset, models: Sequence[str]) -> int:
    """Return about how many bytes the shared arrays of these models take."""
    features = dataset.features.values_NF.nbytes if "lgbm" in models else 0
    return features + (dataset.frames.values_TC.nbytes if "torch" in models else 0)


def _write(folder: Path, name: str, array: NDArray[Any]) -> str:
    path = _path(folder, name)
    try:
        np.save(path, array, allow_pickle=False)
    except OSError as error:
        raise StoreError(
            f"{path}: could not write {array.nbytes:,} bytes ({error.strerror or error}). Make "
            f"room, or resume with --workers 1, which needs no copy of the recordings"
        ) from error
    return file_sha256(path)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"
