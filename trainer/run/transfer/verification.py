"""Verification: every file of a run against its recorded checksum.

In: a run folder. Out: one check per file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from trainer.store.checksums import FILE_NAME as CHECKSUMS_NAME
from trainer.store.checksums import Checksums
from trainer.store.durable import StoreError, sha256
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
    """One file's verdict."""

    name: str
    is_good: bool
    detail: str


def verify_run(root: Path) -> list[Check]:
    """Check every file that a record of the run names, and every record itself.

    A checkpoint's generations count by content: either place may hold either.
    """
    checks = _check_records(root)
    try:
        whole = read_record(root / CHECKSUMS_NAME, Checksums).files
    except (FileNotFoundError, StoreError):
        whole = ()  # said above
    checks += [_check_file(root, ref) for ref in whole]
    try:
        units = RunReader(root).units()
    except StoreError:
        units = ()  # said above
    for unit in units:
        checks += _check_unit(root, unit)
    return checks


def _check_records(root: Path) -> list[Check]:
    """Read every JSON file as what it is; those on which others rest must be there."""
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
    for model in ("lgbm", "torch"):
        kinds[paths.model_state(model)] = ModelState
        if any(root.glob(f"units/{model}_*.json")):
            needed.append(paths.model_state(model))
    checks = [_check_record(path, kind, path in needed) for path, kind in kinds.items()]
    return [check for check in checks if check is not None]


def _check_record(path: Path, kind: type[BaseModel], is_needed: bool) -> Check | None:
    try:
        read_record(path, kind)
    except FileNotFoundError:
        return Check(path.name, False, "not there") if is_needed else None
    except StoreError as error:
        return Check(path.name, False, str(error))
    return Check(path.name, True, f"a {kind.__name__} record")


def _check_file(root: Path, ref: FileRef) -> Check:
    try:
        data = (root / ref.name).read_bytes()
    except OSError as error:
        return Check(ref.name, False, f"cannot be read: {error.strerror}")
    found = sha256(data)
    if found == ref.sha256:
        return Check(ref.name, True, f"{len(data):,} bytes")
    return Check(
        ref.name,
        False,
        f"expected SHA-256 {ref.sha256[:12]}, got {found[:12]} ({len(data):,} bytes)",
    )


def _check_unit(root: Path, unit: FoldRecord) -> list[Check]:
    paths = RunPaths(root).unit(unit.model, unit.fold)
    checks = []
    try:
        own = read_record(paths.record, FoldRecord)
        unit = max(unit, own, key=lambda record: record.generation)
    except (FileNotFoundError, StoreError) as error:
        if unit.generation:
            checks.append(Check(str(paths.record.relative_to(root)), False, str(error)))
    if unit.final is not None:
        checks.append(_check_file(root, unit.final))
    if unit.last is None:
        return checks
    newest = _check_generation(root, unit.last)
    checks.append(newest)
    is_rotated = newest.is_good and newest.name != unit.last.name  # a commit was cut off there
    if unit.last_previous is not None and not is_rotated:
        checks.append(_check_generation(root, unit.last_previous))
    return checks


def _check_generation(root: Path, ref: FileRef) -> Check:
    """Look for a generation in both places; the name of the check is the place it is in.

    A commit that is cut off after it has moved the newest generation to the place of the one
    before, and before its record is written, leaves that one nowhere, and nothing else to do.
    """
    for name in (ref.name, f"{ref.name}.prev"):
        path = root / name
        if path.exists() and sha256(path.read_bytes()) == ref.sha256:
            return Check(name, True, f"{ref.num_bytes:,} bytes")
    return Check(ref.name, False, f"no file with SHA-256 {ref.sha256[:12]} here or in .prev")
