"""Verification: every file of a run is compared with its recorded checksum, and models are opened.

In: a run folder. Out: one check per file. A checksum that comes with a run proves nothing about its
origin, so the content of models is checked too, before any library parses it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from trainer.models import registry
from trainer.models.own_networks import NotLoadedError
from trainer.plain_data import DamagedDataError
from trainer.predict.fitted_models import PredictError, open_model, read_bundle
from trainer.run.fold_result_file import load_block
from trainer.store.checksums import FILE_NAME as CHECKSUMS_NAME
from trainer.store.checksums import Checksums
from trainer.store.durable import StoreError
from trainer.store.file_kinds import file_sha256, read_file
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import (
    Command,
    FileRef,
    FoldRecord,
    ModelState,
    Notes,
    RunFile,
    Scores,
    Status,
    read_record,
)


@dataclass(frozen=True)
class Check:
    """The result of checking one file."""

    name: str
    is_good: bool
    detail: str


def verify_run(root: Path) -> list[Check]:
    """Check every file that a record of the run names, and every record itself.

    The generations of a checkpoint count by content: either of its two files may hold either. A
    finished run names no checkpoints any more; files that no record names are not checked.
    """
    checks = _check_records(root)
    try:
        named = read_record(root / CHECKSUMS_NAME, Checksums).files
    except (FileNotFoundError, StoreError):
        named = ()  # one of the checks above
    checks += [_check_file(root, ref) for ref in named]
    try:
        records = RunReader(root).fold_records()
    except StoreError:
        records = ()  # one of the checks above
    contents = {
        RunPaths(root).bundle(model.name).name: partial(_open_bundle, root, model.name)
        for model in registry.all_models()
    }
    for record in records:
        checks += _check_fold(root, record)
        fold = RunPaths(root).fold(registry.get(record.model), record.fold)
        contents[fold.final] = partial(_open_fold, fold.final_path, record.model)
    return [
        _check_content(check, contents[check.name])
        if check.is_good and check.name in contents
        else check
        for check in checks
    ]


def _check_records(root: Path) -> list[Check]:
    """Read every JSON file; those on which others depend must exist."""
    paths = RunPaths(root)
    kinds: dict[Path, type[BaseModel]] = {
        paths.config: RunFile,
        paths.status: Status,
        root / CHECKSUMS_NAME: Checksums,
        paths.scores: Scores,
        paths.notes: Notes,
        paths.command: Command,
    }
    needed = [paths.config, paths.status, root / CHECKSUMS_NAME]
    for model in registry.all_models():
        kinds[paths.model_state(model.name)] = ModelState
        if any(paths.units.glob(f"{model.name}_*.json")):
            needed.append(paths.model_state(model.name))
    checks = [_check_record(path, kind, path in needed) for path, kind in kinds.items()]
    return [check for check in checks if check is not None]


def _check_record(path: Path, kind: type[BaseModel], is_needed: bool) -> Check | None:
    try:
        read_record(path, kind)
    except FileNotFoundError:
        return Check(path.name, False, "missing") if is_needed else None
    except StoreError as error:
        return Check(path.name, False, str(error))
    return Check(path.name, True, f"a {kind.__name__} record")


def _check_file(root: Path, ref: FileRef) -> Check:
    try:
        found = file_sha256(root / ref.name)
    except FileNotFoundError:
        return Check(ref.name, False, "missing")
    except StoreError as error:
        return Check(ref.name, False, str(error))
    if found == ref.sha256:
        return Check(ref.name, True, f"{ref.num_bytes:,} bytes")
    detail = f"expected SHA-256 {ref.sha256[:12]} of {ref.num_bytes:,} bytes, got {found[:12]}"
    return Check(ref.name, False, detail)


def _check_fold(root: Path, record: FoldRecord) -> list[Check]:
    """Check a fold by its own record or, if that is damaged or older, by the model's state file."""
    path = RunPaths(root).fold(registry.get(record.model), record.fold).record
    checks = []
    try:
        own = read_record(path, FoldRecord)
        record = max(record, own, key=lambda one: one.generation)
    except (FileNotFoundError, StoreError) as error:
        if record.generation:
            checks.append(Check(str(path.relative_to(root)), False, str(error)))
    if record.final is not None:
        checks.append(_check_file(root, record.final))
    if record.last is None:
        return checks
    newest = _check_generation(root, record.last)
    checks.append(newest)
    is_rotated = newest.is_good and newest.name != record.last.name  # a commit was cut off there
    if record.last_previous is not None and not is_rotated:
        checks.append(_check_generation(root, record.last_previous))
    return checks


def _check_content(check: Check, open_content: Callable[[], object]) -> Check:
    """Open a model whose checksum is right; return the check, bad where it cannot be opened."""
    try:
        open_content()
    except (StoreError, DamagedDataError, PredictError) as error:
        return Check(check.name, False, f"content: {error}")
    except (ImportError, OSError, NotLoadedError) as error:  # a library, or own code
        return replace(check, detail=f"{check.detail}; content not checked: {error}")
    return check


def _open_bundle(root: Path, model: str) -> None:
    bundle = read_bundle(root, model)
    if bundle is not None:
        open_model(bundle, RunPaths(root).bundle(model))


def _open_fold(path: Path, name: str) -> None:
    model = registry.get(name)
    registry.open_packed(model, load_block(model, read_file(path)).result.packed)


def _check_generation(root: Path, ref: FileRef) -> Check:
    """Search for a generation in both files; the check is named after the file that holds it.

    A commit that is cut off after it has moved the newest generation to the previous one's place,
    and before its record is written, has overwritten the previous one; the newest is enough.
    """
    for name in (ref.name, f"{ref.name}.prev"):
        with contextlib.suppress(FileNotFoundError, StoreError):
            if file_sha256(root / name) == ref.sha256:
                return Check(name, True, f"{ref.num_bytes:,} bytes")
    return Check(ref.name, False, f"no file with SHA-256 {ref.sha256[:12]} here or in .prev")
