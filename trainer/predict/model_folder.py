"""Model folder: the trained models of a run for others, without pickle; ``share`` writes it.

In: bundles, as ``fitted_models.read_bundle`` returns them. Out: the content of each file, and back.
Arrays are safetensors, long texts (LightGBM's models) text files, all else JSON. A folder may come
from anywhere: names of files are computed, never read, every file must have its SHA-256, and the
bundles that come out are checked as those of a run are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainer.models.libraries import ModelError, import_problem
from trainer.own_description import OwnDescription, note
from trainer.plain_data import DamagedDataError, integer, part, reading
from trainer.store.durable import dump_json, sha256
from trainer.store.file_kinds import read_file

SCHEMA = 1
DESCRIPTION = "gesture_models.json"  # it makes a folder a model folder
FROM_CHARACTERS = 1_000  # a text of so many has a file of its own
MAX_FOLDS = 1_000
ARRAY, TEXT, STRINGS = "$array", "$text", "$strings"  # keys of what stands for such a value
_NAME = re.compile(r"[a-z0-9_]{1,80}")  # of a model, or of a text in a file name
_NO_ARRAY = "OUV"  # kinds of dtype that safetensors has not


def is_model_folder(root: Path) -> bool:
    """Return whether a folder holds shared models and no bundles of its own."""
    return (root / DESCRIPTION).is_file() and not any(root.glob("*_bundle.pkl"))


def dump_models(
    bundles: Mapping[str, Mapping[str, Any]],
    is_simulated: bool = False,
    own_code: OwnDescription | None = None,
) -> dict[str, bytes]:
    """Return the files of bundles, by name; the description is the last one.

    Args:
        bundles: By model; plain data.
        is_simulated: Whether they were trained on simulated recordings.
        own_code: The names and words of their own code, where they have some.

    Raises:
        ModelError: safetensors cannot be imported.
        DamagedDataError: A model contains what no such file can hold.
    """
    files: dict[str, bytes] = {}
    models = {}
    for model, bundle in bundles.items():
        for fold, packed in enumerate(bundle["folds"]):
            files |= _dump_fold(_stem(model, fold), packed)
        models[model] = {
            **{name: value for name, value in bundle.items() if name != "folds"},
            "num_folds": len(bundle["folds"]),
        }
    description = {
        "schema": SCHEMA,
        "is_simulated": is_simulated,
        "models": models,
        "files": {name: sha256(data) for name, data in files.items()},
    }
    if own_code is not None:
        description["own_code"] = own_code.model_dump(mode="json")
    return files | {DESCRIPTION: _json(description)}


def read_description(root: Path) -> dict[str, Any]:
    """Return the description of a folder.

    Returns:
        ``models``, the bundles without their folds; ``files``, the SHA-256 of each by its name;
        ``is_simulated``.

    Raises:
        DamagedDataError: It is damaged, or of a newer schema.
        StoreError: It cannot be read.
    """
    description = _parse(_read(root, DESCRIPTION), DESCRIPTION)
    with reading(DESCRIPTION):
        if (schema := integer(description, "schema", 0, 2**31)) > SCHEMA:
            raise DamagedDataError(
                f"schema {schema} is newer than this version's {SCHEMA}. Update the project"
            )
        part(description, "is_simulated", bool)
        part(description, "files", dict)
        note(OwnDescription.model_validate(description.get("own_code", {})))
        for model in part(description, "models", dict):
            part(description["models"], model, dict)
    return description


def read_shared_bundle(root: Path, model: str) -> dict[str, Any] | None:
    """Return the bundle of a model, None where the folder does not have it; it is not checked.

    Raises:
        ModelError: safetensors cannot be imported.
        DamagedDataError: A file is missing or damaged, or of a newer schema.
        StoreError: A file cannot be read.
    """
    description = read_description(root)
    if model not in description["models"]:
        return None
    bundle = dict(description["models"][model])
    with reading(DESCRIPTION):
        num_folds = integer(bundle, "num_folds", 1, MAX_FOLDS)
        del bundle["num_folds"]
        stems = [_stem(model, fold) for fold in range(num_folds)]
        return bundle | {"folds": [_read_fold(root, one, description["files"]) for one in stems]}


def _stem(model: str, fold: int) -> str:
    if not _NAME.fullmatch(model):
        raise DamagedDataError(f"model: expected letters, digits and _; got {model!r:.80}")
    return f"{model}_fold{fold:02d}"


def _dump_fold(stem: str, fold: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of one fold."""
    arrays: dict[str, Any] = {}
    texts: dict[str, bytes] = {}
    plain = _dump(fold, "", arrays, texts)
    files = {f"{stem}_{name}.txt": data for name, data in texts.items()}
    if arrays:
        files[f"{stem}.safetensors"] = bytes(_safetensors().save(arrays))
    return files | {f"{stem}.json": _json(plain)}


def _dump(value: Any, path: str, arrays: dict[str, Any], texts: dict[str, bytes]) -> Any:  # noqa: ANN401 - plain data
    """Return plain data as JSON can hold it, and put the rest into arrays and texts, by name."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            raise DamagedDataError(f"{path or 'model'}: expected names that begin without $")
        return {
            key: _dump(item, f"{path}.{key}".strip("."), arrays, texts)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_dump(item, f"{path}.{place}", arrays, texts) for place, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        if value.dtype.kind in _NO_ARRAY:
            return {STRINGS: value.tolist()}
        return {ARRAY: _put(arrays, path, np.ascontiguousarray(value).reshape(value.shape))}
    name = path.rpartition(".")[2]
    if isinstance(value, str) and len(value) > FROM_CHARACTERS and _NAME.fullmatch(name):
        return {TEXT: _put(texts, name, value.encode())}
    return value


def _put(found: dict[str, Any], name: str, value: Any) -> str:  # noqa: ANN401 - array or bytes
    if name in found:
        raise DamagedDataError(f"{name[:80]}: two parts of the model have this name")
    found[name] = value
    return name


def _read_fold(root: Path, stem: str, hashes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - plain data
    def verified(name: str) -> bytes:
        data = _read(root, name)
        if hashes.get(name) != sha256(data):
            raise DamagedDataError(
                f"{name}: its SHA-256 is not that of {DESCRIPTION}. Share the run again, or copy "
                f"the whole folder again"
            )
        return data

    arrays: dict[str, Any] = {}
    if f"{stem}.safetensors" in hashes:
        data = verified(f"{stem}.safetensors")
        library = _safetensors()
        try:
            arrays = library.load(data)
        except Exception as error:  # its errors are of a compiled class that has changed its name
            raise DamagedDataError(f"{stem}.safetensors: {error}") from error

    def restore(value: Any) -> Any:  # noqa: ANN401 - plain data
        if isinstance(value, list):
            return [restore(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]].copy()  # writable
        if value.keys() == {STRINGS}:
            return np.array(value[STRINGS], dtype=np.str_)
        if value.keys() == {TEXT}:
            name = part(value, TEXT, str)
            if not _NAME.fullmatch(name):
                raise DamagedDataError(f"{stem}.json: expected the name of a text")
            return verified(f"{stem}_{name}.txt").decode()
        return {key: restore(item) for key, item in value.items()}

    name = f"{stem}.json"
    return restore(_parse(verified(name), name))


def _read(root: Path, name: str) -> bytes:
    try:
        return read_file(root / name)
    except FileNotFoundError as error:
        raise DamagedDataError(f"{name}: missing. Copy the whole folder again") from error


def _json(value: Any) -> bytes:  # noqa: ANN401 - the JSON edge
    with reading("model"):
        return dump_json(value)


def _parse(data: bytes, name: str) -> dict[str, Any]:
    with reading(name):
        value = json.loads(data)
        if not isinstance(value, dict):
            raise DamagedDataError("expected a table")
        return value


def _safetensors() -> Any:  # noqa: ANN401 - a module without types
    """Return the module that reads and writes arrays."""
    if problem := import_problem(["safetensors.numpy"]):
        raise ModelError(
            f"shared models need safetensors, which cannot be imported ({problem}). Install it: "
            f"pip install -r requirements-share.txt"
        )
    import safetensors.numpy

    return safetensors.numpy
