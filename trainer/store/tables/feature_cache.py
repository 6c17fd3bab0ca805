"""Feature cache: one file, valid only for the key of the data and code it was made from.

In: the feature matrix with names, labels, subjects and ids. Out: ``train_features.joblib``.

Shapes: N sequences, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.store.checksums import CheckedFolder
from trainer.store.codec import CodecError, dumps, loads
from trainer.store.durable import sha256

FILE_NAME = "train_features.joblib"


@dataclass(frozen=True)
class FeatureCache:
    """The content of ``train_features.joblib``.

    Attributes:
        key: Key of the recordings' content, the feature code and the settings that matter.
        values_NF: (N, F) float32.
        names: F feature names.
        label_idx: (N,) int64.
        subjects: (N,) unicode.
        sequence_ids: (N,) unicode.
        grid_map: Feature name to (sensor, first row, last row, first column, last column) of the
            8 x 8 time-of-flight grid, for the features that belong to a part of it.
    """

    key: str
    values_NF: NDArray[np.float32]
    names: tuple[str, ...]
    label_idx: NDArray[np.int64]
    subjects: NDArray[np.str_]
    sequence_ids: NDArray[np.str_]
    grid_map: dict[str, tuple[str, int, int, int, int]]


def cache_key(*parts: str | int | float) -> str:
    """Return the key of all that a cache is made from."""
    return sha256("/".join(str(part) for part in parts).encode())


def save_features(folder: CheckedFolder, cache: FeatureCache) -> None:
    """Write the cache as one file."""
    folder.write(
        FILE_NAME,
        dumps(
            {
                "schema": 1,
                "key": cache.key,
                "features": cache.values_NF,
                "feature_names": list(cache.names),
                "labels": cache.label_idx,
                "subjects": cache.subjects,
                "sequence_ids": cache.sequence_ids,
                "tof_grid_map": {name: list(place) for name, place in cache.grid_map.items()},
            }
        ),
    )


def load_features(folder: CheckedFolder, key: str | None = None) -> FeatureCache | str:
    """Return the cache, or the reason in words why it cannot be used.

    Args:
        folder: The run folder.
        key: The key that it must have; None accepts any.
    """
    if not (folder.root / FILE_NAME).exists():
        return "not there yet"
    data = folder.read(FILE_NAME)
    if data is None:
        return "content differs from its recorded SHA-256"
    try:
        raw = loads(data)
    except CodecError as error:
        return str(error)
    if key is not None and raw["key"] != key:
        return "made from other recordings, settings or feature code"
    return FeatureCache(
        key=raw["key"],
        values_NF=raw["features"],
        names=tuple(raw["feature_names"]),
        label_idx=raw["labels"],
        subjects=raw["subjects"],
        sequence_ids=raw["sequence_ids"],
        grid_map={name: tuple(place) for name, place in raw["tof_grid_map"].items()},
    )


@dataclass(frozen=True)
class FeatureParts:
    """Blocks of an unfinished feature table, kept until the whole table is written.

    Attributes:
        folder: The run folder.
        key: Key of the table; parts with another key are ignored.
    """

    folder: CheckedFolder
    key: str

    def save(self, block: str, values_NF: NDArray[np.float32], names: tuple[str, ...]) -> None:
        """Keep one block."""
        plain = {"key": self.key, "features": values_NF, "feature_names": list(names)}
        self.folder.write(_part_name(block), dumps(plain))

    def load(self, block: str) -> tuple[NDArray[np.float32], tuple[str, ...]] | None:
        """Return one block; None if it is missing, damaged or has another key."""
        data = self.folder.read(_part_name(block))
        if data is None:
            return None
        plain = loads(data)
        if plain["key"] != self.key:
            return None
        return plain["features"], tuple(plain["feature_names"])

    def drop(self) -> None:
        """Remove the parts after the whole table was written."""
        for path in self.folder.root.glob(_part_name("*")):
            self.folder.remove(path.relative_to(self.folder.root).as_posix())


def _part_name(block: str) -> str:
    return f"units/features_{block}.pkl"
