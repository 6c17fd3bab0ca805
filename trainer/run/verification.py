"""Verification: every file of a run against its recorded checksum.

In: a run folder. Out: one check per file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, sha256
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import FileRef, UnitRecord, read_record


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
    checks = [_check_records(root)]
    try:
        whole = CheckedFolder(root).checksums().files
    except StoreError as error:
        return [*checks, Check("checksums.json", False, str(error))]
    checks += [_check_file(root, ref) for ref in whole]
    reader = RunReader(root)
    try:
        units = reader.units()
    except StoreError as error:
        return [*checks, Check("state", False, str(error))]
    for unit in units:
        checks += _check_unit(root, unit)
    return checks


def _check_records(root: Path) -> Check:
    reader = RunReader(root)
    try:
        reader.run_file(), reader.status(), reader.notes(), reader.command(), reader.scores()
    except StoreError as error:
        return Check("records", False, str(error))
    return Check("records", True, "config, status, notes, command, scores can be read")


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


def _check_unit(root: Path, unit: UnitRecord) -> list[Check]:
    paths = RunPaths(root).unit(unit.model, unit.fold)
    checks = []
    try:
        own = read_record(paths.record, UnitRecord)
        unit = max(unit, own, key=lambda record: record.generation)
    except (FileNotFoundError, StoreError) as error:
        if unit.generation:
            checks.append(Check(str(paths.record.relative_to(root)), False, str(error)))
    if unit.final is not None:
        checks.append(_check_file(root, unit.final))
    generations = [ref for ref in (unit.last, unit.last_previous) if ref is not None]
    return [*checks, *(_check_generation(root, ref) for ref in generations)]


def _check_generation(root: Path, ref: FileRef) -> Check:
    for name in (ref.name, f"{ref.name}.prev"):
        path = root / name
        if path.exists() and sha256(path.read_bytes()) == ref.sha256:
            return Check(name, True, f"{ref.num_bytes:,} bytes")
    return Check(ref.name, False, f"no file with SHA-256 {ref.sha256[:12]} here or in .prev")
