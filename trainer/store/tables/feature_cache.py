"""Feature cache: one file, valid only for the key of the data and code it was made from.

In: the feature matrix with names, labels, subjects and ids. Out: ``train_features.joblib``.

Shapes: N sequences, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.plain_data import DamagedDataError, array, integer, names, part, reading
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import dumps, loads
from trainer.store.durable import sha256

FILE_NAME = "train_features.joblib"
MAX_FEATURES = 100_000


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


def load_features(
    folder: CheckedFolder, key: str | None = None, num_sequences: int | None = None
) -> FeatureCache | str:
    """Return the cache, or the reason in words why it cannot be used.

    Args:
        folder: The run folder.
        key: The key that it must have; None accepts any.
        num_sequences: N that it must have; None accepts any.
    """
    if not (folder.root / FILE_NAME).exists():
        return "not there yet"
    data = folder.read(FILE_NAME)
    if data is None:
        return "content differs from its recorded SHA-256"
    try:
        cache = _read_cache(loads(data))
    except DamagedDataError as error:
        return str(error)
    if key is not None and cache.key != key:
        return "made from other recordings, settings or feature code"
    if num_sequences not in (None, len(cache.label_idx)):
        return f"expected {num_sequences:,} sequences, got {len(cache.label_idx):,}"
    return cache


def _read_cache(raw: dict[str, Any]) -> FeatureCache:
    """Return the cache of plain data from a file, whose parts must agree with each other."""
    with reading("feature cache"):
        columns = names(raw, "feature_names", MAX_FEATURES)
        label_idx = array(raw, "labels", "i", (None,))
        shape = (len(label_idx), len(columns))
        if label_idx.dtype != np.int64 or label_idx.min(initial=0) < 0:
            raise DamagedDataError("labels: expected int64 classes")
        return FeatureCache(
            key=part(raw, "key", str),
            values_NF=_values(raw, shape),
            names=tuple(columns),
            label_idx=label_idx,
            subjects=array(raw, "subjects", "U", label_idx.shape),
            sequence_ids=array(raw, "sequence_ids", "U", label_idx.shape),
            grid_map={
                name: (part({"sensor": sensor}, "sensor", str), *_place(place))
                for name, (sensor, *place) in part(raw, "tof_grid_map", dict).items()
            },
        )


def _values(raw: dict[str, Any], shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """Return feature values, NaN where a sensor is missing."""
    values_NF = array(raw, "features", "f", shape, is_finite=False)
    if values_NF.dtype != np.float32:
        raise DamagedDataError("features: expected float32")
    return values_NF


def _place(place: list[Any]) -> tuple[int, int, int, int]:
    first, last, left, right = (integer({"grid": one}, "grid", 0, 64) for one in place)
    return first, last, left, right


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
        try:
            with reading("features"):
                plain = loads(data)
                if plain["key"] != self.key:
                    return None
                columns = names(plain, "feature_names", MAX_FEATURES)
                return _values(plain, (None, len(columns))), tuple(columns)
        except DamagedDataError:
            return None

    def drop(self) -> None:
        """Remove the parts after the whole table was written."""
        for path in self.folder.root.glob(_part_name("*")):
            self.folder.remove(path.relative_to(self.folder.root).as_posix())


def _part_name(block: str) -> str:
    return f"units/features_{block}.pkl"
