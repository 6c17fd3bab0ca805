"""Approvals: which files of own code this user allows to be executed on this machine.

In: SHA-256 of a file's content. Out: one JSON file outside every state folder, by default
``~/.config/gesture-dashboard/approved.json``; ``GESTURE_APPROVALS`` names another one. What comes
with a run (a record of a hash, a link) never approves anything.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from trainer.store.durable import StoreError, make_folder, open_regular, write_atomic
from trainer.store.names import RunPaths
from trainer.store.record_types import Name, Seconds, Time
from trainer.store.records import Record, dump_record, parse_record

ENVIRONMENT = "GESTURE_APPROVALS"
MAX_BYTES = 4 << 20
OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Approval(Record):
    """One approved file."""

    name: Name
    at: Time
    by: Name
    checked_with: Name = ""  # the versions with which ``check`` has accepted it
    checked_s: dict[Name, Seconds] = Field(default_factory=dict)  # of each model, per sequence


class ApprovedFiles(Record):
    """``approved.json``: each approved file by its SHA-256."""

    files: dict[Name, Approval] = Field(default_factory=dict)


def approvals_path() -> Path:
    """Return the path of the file with the approvals."""
    if given := os.environ.get(ENVIRONMENT):
        return Path(given).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "gesture-dashboard" / "approved.json"


def approved() -> frozenset[str]:
    """Return the SHA-256 of every approved file.

    Raises:
        StoreError: The file is a link, others may write it, or it is damaged.
    """
    return frozenset(_read().files)


def approve(files: Mapping[str, str], by: str) -> None:
    """Approve files.

    Args:
        files: SHA-256 to name.
        by: What approved them, such as "train --use".

    Raises:
        StoreError: The approvals cannot be read or written.
    """
    if not files:
        return
    known = _read().files
    added = {
        digest: Approval(name=name, at=time.time(), by=by)
        for digest, name in files.items()
        if digest not in known
    }
    if added:
        _write({**known, **added})


def note_checked(digests: Iterable[str], versions: str, seconds: Mapping[str, float]) -> None:
    """Note of approved files that ``check`` has accepted them, so that a next run need not.

    Args:
        digests: Of the files.
        versions: With which they were checked.
        seconds: Of a fit per sequence, by the model's name.
    """
    known = _read().files
    noted = {
        digest: known[digest].model_copy(
            update={"checked_with": versions, "checked_s": dict(seconds)}
        )
        for digest in digests
        if digest in known
    }
    if any(noted[digest] != known[digest] for digest in noted):
        _write({**known, **noted})


def are_checked(digests: Iterable[str], versions: str) -> bool:
    """Return whether ``check`` has accepted all of these files with these versions."""
    known = _read().files
    return all(digest in known and known[digest].checked_with == versions for digest in digests)


def checked_seconds(digests: Iterable[str]) -> dict[str, float]:
    """Return what ``check`` has measured of the models of approved files, by their names."""
    known = _read().files
    found = [known[digest].checked_s for digest in digests if digest in known]
    return {name: seconds for one in found for name, seconds in one.items()}


def missing(digests: Iterable[str]) -> list[str]:
    """Return those of some SHA-256 that are not approved."""
    known = approved()
    return [digest for digest in digests if digest not in known]


def _write(files: Mapping[str, Approval]) -> None:
    path = approvals_path()
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made ({error.strerror or error})") from error
    _demand_outside_runs(path)
    write_atomic(path, dump_record(ApprovedFiles(files=dict(files))))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def _read() -> ApprovedFiles:
    path = approvals_path()
    if path.is_symlink():
        raise _refused(path, "a link")
    try:
        descriptor = open_regular(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return ApprovedFiles()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if hasattr(os, "getuid"):  # Windows has neither owners nor these permissions
            if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & OTHERS:
                raise _refused(path, "one that others may read or write (chmod 600)")
            if stat.S_IMODE(path.parent.stat().st_mode) & OTHERS_WRITE:
                raise _refused(path, "one in a folder that others may write (chmod 700)")
        if found.st_size > MAX_BYTES:
            raise _refused(path, f"{found.st_size:,} bytes")
        _demand_outside_runs(path)
        return parse_record(file.read(MAX_BYTES), path, ApprovedFiles)


def _demand_outside_runs(path: Path) -> None:
    """Refuse approvals in a run's folder, which may come from anywhere."""
    if any(RunPaths(folder).has_config for folder in path.resolve().parents):
        raise _refused(path, "one in a run's folder")


def _refused(path: Path, got: str) -> StoreError:
    return StoreError(
        f"{path}: expected a file that only you can read and write, which holds the approvals of "
        f"own code; got {got}. Move it away, and approve again"
    )
