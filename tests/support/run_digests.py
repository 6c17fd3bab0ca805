"""Digests of a run: of all that must be equal to the last bit, and of nothing that holds a time.

In: a run folder. Out: a name and a hash per thing that was computed: the models' texts and
tensors, the out-of-fold table, the folds, the scores, the importance; and the bytes of their files.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import polars as pl

from trainer.models import registry
from trainer.run.fold_result_file import load_block
from trainer.store.names import RunPaths

FILES = (
    *("folds.parquet", "oof.parquet", "scores.json", "feature_importance.csv"),
    *("lgbm_bundle.pkl", "torch_bundle.pkl", "train_features.joblib"),
)


def digest(*parts):
    """Return the SHA-256 of parts of bytes or text."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else str(part).encode())
    return found.hexdigest()[:16]


def digests_of(root, num_folds=2, models=("lgbm", "torch")):
    """Return what a finished run holds, by name."""
    paths = RunPaths(root)
    found = {}
    for model in models:
        for fold in range(num_folds):
            found |= fold_digests(paths.fold(registry.get(model), fold))
    names = [name for name in FILES if not name.endswith("_bundle.pkl") or name[:-11] in models]
    found |= {f"bytes of {name}": file_digest(root / name) for name in names}
    if paths.oof.exists():
        found |= table_digests(pl.read_parquet(paths.oof))
    if paths.scores.exists():
        found["scores"] = digest(repr(json.loads(paths.scores.read_bytes())))
    return found


def differences(found, expected):
    """Return the names of what is not equal."""
    return [name for name in expected | found if found.get(name) != expected.get(name)]


def file_digest(path):
    return digest(path.read_bytes()) if path.exists() else "missing"


def fold_digests(unit):
    name = f"{unit.model} fold {unit.fold}"
    if not unit.final_path.exists():
        return {name: "missing"}
    fold = load_block(registry.get(unit.model), unit.final_path.read_bytes()).result
    return {
        f"bytes of {unit.final}": file_digest(unit.final_path),
        f"{name}: model": value_digest(fold.packed),
        f"{name}: best step": str(fold.best_step),
        f"{name}: out of fold": array_digest(fold.proba_NK, fold.proba_imu_NK),
        f"{name}: importance": array_digest(fold.gain_F, fold.split_F),
    }


def value_digest(value):
    """Hash plain values by content, arrays by type, shape and bytes."""
    if isinstance(value, dict):
        return digest(*(f"{name} {value_digest(item)} " for name, item in sorted(value.items())))
    if isinstance(value, list | tuple):
        return digest(*(f"{value_digest(item)} " for item in value))
    return array_digest(value) if isinstance(value, np.ndarray) else digest(repr(value))


def array_digest(*arrays):
    return digest(
        *(part for a in arrays if a is not None for part in (a.dtype, a.shape, a.tobytes()))
    )


def table_digests(frame):
    """Hash a table column by column."""
    return {
        f"oof {name}": digest(frame[name].dtype, repr(frame[name].to_list()))
        for name in frame.columns
    }
