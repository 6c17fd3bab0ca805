"""Digests of what a run has learnt: equal digests mean equal bits.

In: run folders. Out: per run a SHA-256 of every fold's model, of the out-of-fold table and of the
importance table; none of keys, times or names of settings, so a refactoring keeps them all.
Run: ``python -m benchmarks.digests state/RUN...``
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
import torch

IGNORED = ("key", "schema")  # of a fold file: what it was made from, not what was learnt


def run_digests(root: Path) -> dict[str, str]:
    """Return digests by file name of a run's folds and tables."""
    found = {}
    for path in sorted(root.glob("*_fold??.pkl")):
        found[path.name] = digest(joblib.load(path))
    for path in sorted(root.glob("torch_models/fold??.pt")):
        found[path.name] = digest(torch.load(path, map_location="cpu", weights_only=True))
    oof = root / "oof.parquet"
    if oof.exists():
        frame = pl.read_parquet(oof)
        found[oof.name] = digest({name: frame[name].to_list() for name in frame.columns})
    importance = root / "feature_importance.csv"
    if importance.exists():
        found[importance.name] = hashlib.sha256(importance.read_bytes()).hexdigest()
    return found


def digest(value: object) -> str:
    """Return the SHA-256 of plain data, whatever it is wrapped in."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: Any, value: object) -> None:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            if key not in IGNORED:
                sha.update(f"{key}:".encode())
                _feed(sha, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(sha, item)
    elif isinstance(value, np.ndarray):
        sha.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    else:
        sha.update(repr(value).encode())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        digests = run_digests(Path(name))
        whole = hashlib.sha256("".join(digests.values()).encode()).hexdigest()
        print(f"{Path(name).name}: {whole[:16]} of {len(digests)} files")
        for file, value in digests.items():
            print(f"  {value[:16]} {file}")
