"""The oracle: all that must be equal to the last bit, and nothing that a clock has touched.

In: a run folder. Out: a name and a hash per thing that was computed: the models' texts and
tensors, the out-of-fold table, the folds, the scores, the importance; and the bytes of their files.
"""

from __future__ import annotations

import hashlib
import json

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


def consult(root, num_folds=2, models=("lgbm", "torch")):
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
    block = load_block(registry.get(unit.model), unit.final_path.read_bytes()).result
    model = block.packed["model_text"] if unit.model == "lgbm" else weight_digest(block)
    importance = "" if block.gain_F is None else block.gain_F.tobytes() + block.split_F.tobytes()
    return {
        f"bytes of {unit.final}": file_digest(unit.final_path),
        f"{name}: model": digest(model),
        f"{name}: best step": str(block.best_step),
        f"{name}: out of fold": array_digest(block.proba_NK, block.proba_imu_NK),
        f"{name}: importance": digest(importance),
    }


def weight_digest(block):
    """Hash the tensors by name, type, shape and bytes."""
    parts = []
    for name, array in sorted(block.packed["weights"].items()):
        parts += [name, array.dtype, array.shape, array.tobytes()]
    return digest(*parts)


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
