"""Shared arrays: training data as files that many processes map instead of copying.

In: ``TrainingData``. Out: plain ``.npy`` files in ``units/at_work``, and the same ``TrainingData``
opened from them in a worker. The files live as long as the workers; nothing in them runs code when
it is read, and a worker verifies the checksum of each before it uses it.

Shapes: N sequences, T time steps, F features, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Annotations, LabelTable
from trainer.features.feature_table import FeatureTable
from trainer.features.frames import Frames
from trainer.folds import FoldAssignment
from trainer.run.inputs.dataset import TrainingData
from trainer.store.durable import StoreError, create, make_folder
from trainer.store.file_kinds import file_sha256

_ANNOTATIONS = tuple(field.name for field in fields(Annotations))


@dataclass(frozen=True)
class SharedArrays:
    """Where the arrays are, and what is not in them; small, so that it is sent with every fold.

    Attributes:
        folder: Where the arrays are.
        checksums: Name of each array, SHA-256 of its file.
        feature_names: F names; none where no feature table is shared.
        channels: C names; none where no frames are.
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

    def open(self) -> TrainingData:
        """Map the arrays.

        Raises:
            StoreError: One of them is missing or has another checksum.
        """
        annotated = {name for name, _ in self.checksums} & set(_ANNOTATIONS)
        features = frames = None
        if self.feature_names:
            features = FeatureTable(self._array("features_NF"), self.feature_names)
        if self.channels:
            values_TC = self._map("frames_TC")
            values_TC = values_TC if self.maps_frames else np.asarray(values_TC)
            frames = Frames(self._array("offsets"), values_TC, self.channels, self.groups)
        return TrainingData(
            folds=FoldAssignment(
                self._array("sequence_ids"),
                self._array("subjects"),
                self._array("label_idx"),
                self._array("fold_N"),
                self.labels,
            ),
            annotations=Annotations(**{name: self._array(name) for name in annotated}),
            features=features,
            frames=frames,
        )

    def _array(self, name: str) -> NDArray[Any]:
        return np.asarray(self._map(name))

    def _map(self, name: str) -> NDArray[Any]:
        path = _path(self.folder, name)
        try:
            if file_sha256(path) != dict(self.checksums)[name]:
                raise StoreError(f"{path}: its SHA-256 is not the one that the coordinator wrote")
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error})") from error
        return mapped


def share(data: TrainingData, folder: Path) -> SharedArrays:
    """Write training data for other processes.

    Raises:
        StoreError: The disk is full.
    """
    arrays: dict[str, NDArray[Any]] = {
        "sequence_ids": data.folds.sequence_ids,
        "subjects": data.folds.subjects,
        "label_idx": data.folds.label_idx,
        "fold_N": data.folds.fold_N,
    }
    if data.features is not None:
        arrays["features_NF"] = data.features.values_NF
    if data.frames is not None:
        arrays |= {"offsets": data.frames.offsets, "frames_TC": data.frames.values_TC}
        noted = ((name, getattr(data.annotations, name)) for name in _ANNOTATIONS)
        arrays |= {name: array for name, array in noted if array is not None}
    make_folder(folder)
    return SharedArrays(
        folder=folder,
        checksums=tuple((name, _write(folder, name, array)) for name, array in arrays.items()),
        feature_names=() if data.features is None else data.features.names,
        channels=() if data.frames is None else data.frames.channels,
        groups=() if data.frames is None else data.frames.groups,
        maps_frames=data.frames is not None and isinstance(data.frames.values_TC, np.memmap),
        labels=data.folds.labels,
    )


def num_bytes(data: TrainingData) -> int:
    """Return about how many bytes the shared arrays take."""
    features = 0 if data.features is None else data.features.values_NF.nbytes
    return features + (0 if data.frames is None else data.frames.values_TC.nbytes)


def _write(folder: Path, name: str, array: NDArray[Any]) -> str:
    path = _path(folder, name)
    try:
        create(path)
        np.save(path, array, allow_pickle=False)
    except OSError as error:
        raise StoreError(
            f"{path}: could not write {array.nbytes:,} bytes ({error.strerror or error}). Make "
            f"room, or resume with --workers 1, which needs no copy of the recordings"
        ) from error
    return file_sha256(path)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"
