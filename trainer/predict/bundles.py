"""Bundles: the files that prediction needs, one per model of a run.

In: a run folder, or any folder with a copy of a bundle. Out: its content as plain data, checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.models import registry
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import CodecError, loads, unseal
from trainer.store.names import RunPaths

BUNDLE_SCHEMA = 1
BUNDLE_PARTS = (
    *("schema", "model", "input_version", "gestures", "num_targets", "weights", "fold_weights"),
    *("mirror_left_handers", "fail_if_torch_missing", "folds"),
)


class PredictError(RuntimeError):
    """A prediction or explanation is not possible; the message gives the reason and the remedy."""


def read_bundle(root: Path, model: str) -> dict[str, Any] | None:
    """Return a model's bundle after its checksum was verified, None where there is none.

    Args:
        root: The folder with the bundle.
        model: The model's name.

    Raises:
        PredictError: It is damaged, has another version, was trained on features or frames that
            this version computes differently, or contains more than plain data.
    """
    path = RunPaths(root).bundle(model)
    if not path.exists():
        return None
    try:
        bundle: dict[str, Any] = loads(_verified(path))
    except CodecError as error:
        raise PredictError(f"{path}: {error}") from error
    if bundle.get("schema", 0) > BUNDLE_SCHEMA:
        raise PredictError(
            f"{path}: schema {bundle['schema']} is newer than this version's {BUNDLE_SCHEMA}. "
            f"Update the project to use it"
        )
    missing = [part for part in BUNDLE_PARTS if part not in bundle]
    if missing:
        raise PredictError(
            f"{path}: expected a bundle with {', '.join(missing)}, got one without: it was written "
            f"by an older version. Resume the run to write it again from the fold files"
        )
    input_version = registry.get(model).input_version
    if bundle["input_version"] != input_version:
        raise PredictError(
            f"{path}: expected a model trained on version {input_version} of its inputs, which is "
            f"the version that is computed here; it was trained on version "
            f"{bundle['input_version']}, so its predictions would be wrong. Train a new run, or "
            f"predict with the version of the project that trained this one"
        )
    return bundle


def _verified(path: Path) -> bytes:
    """Return a bundle's content, checked by the run's checksum or, without one, by its own."""
    folder = CheckedFolder(path.parent)
    data = folder.read(path.name)
    if data is None and folder.checksums().find(path.name) is None:
        data = path.read_bytes()
    content = None if data is None else unseal(data)
    if content is None:
        raise PredictError(
            f"{path}: its SHA-256 is not the recorded one, so it is damaged. Run python -m trainer "
            f"resume {path.parent.name} to write it again from the fold files, or copy it again"
        )
    return content
