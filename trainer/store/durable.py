"""Durable files: a reader sees the old file or the new one, never half of one.

In: bytes. Out: files. Order of a replacement: temporary file in the same folder, flush, fsync,
``os.replace``, fsync of the folder; on Windows a bounded retry while a reader has it open.

A new folder is its user's alone, and a new file has the permissions of its folder: recordings of
people are private unless the run's folder is opened to others, and then stay as open as it is.

Failpoints: with ``TRAINER_FAILPOINT=NAME:HIT`` in the environment, the process kills itself with
SIGKILL the HIT-th time that the named place of a write is reached. Only tests set it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
MAX_PID = 2**31  # psutil takes a C int
REPLACE_ATTEMPTS = 10  # Windows: a reader that has the file open makes os.replace fail
REPLACE_WAIT_S = 0.05
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
FAILPOINTS = (
    "write.opened",  # the temporary file exists and is empty
    "write.half",  # half of its bytes are in it
    "write.flushed",  # all of them, not yet on the disk
    "write.synced",  # on the disk, not yet renamed
    "replace.done",  # renamed, the folder not yet on the disk
    "folder.synced",
    "unit.rotated",  # the checkpoint is its previous generation, the new one not yet in place
    "unit.placed",  # the new generation is in place, no record names it
    "unit.recorded",
    "checksum.file_written",  # a whole file is in place, its checksum is not recorded
    "metrics.appended",
)

_BLOCK_BYTES = 1 << 20  # read at once in search of a line break

_armed, _, _hit = os.environ.get("TRAINER_FAILPOINT", "").partition(":")
_counts: Counter[str] = Counter()


class StoreError(RuntimeError):
    """A file of the state folder that cannot be written or read; the message names it."""


def reach(failpoint: str) -> None:
    """Kill this process if a test has armed this failpoint and the hit is due."""
    if failpoint != _armed:
        return
    _counts[failpoint] += 1
    if _counts[failpoint] == int(_hit or 1):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file without waiting for another process; return its descriptor.

    Args:
        path: The file. A named pipe would block, a device may never end.
        flags: As of ``os.open``.

    Raises:
        OSError: It cannot be opened.
        StoreError: It is no regular file.
    """
    no_wait = getattr(os, "O_NONBLOCK", 0)  # Windows has neither this flag nor named pipes in files
    permissions = file_mode(path.parent) if flags & os.O_CREAT else 0
    try:
        descriptor = os.open(path, flags | no_wait | getattr(os, "O_BINARY", 0), permissions)
    except OSError:  # a socket, and to write a folder or a pipe, cannot even be opened
        with contextlib.suppress(OSError):
            _demand_regular(path, os.stat(path).st_mode)  # noqa: PTH116 - as fstat below
        raise
    try:
        _demand_regular(path, os.fstat(descriptor).st_mode)
        if no_wait:
            os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _demand_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
        found = kinds.get(stat.S_IFMT(mode), "device")
        raise StoreError(f"{path}: expected a file, got a {found}. Move it away")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of the bytes as hex."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes, durable: bool = True) -> None:
    """Replace a file by new content, all or nothing.

    Args:
        path: The file; its folder is created if missing.
        data: The whole new content.
        durable: Whether the content must survive a power cut when this returns.

    Raises:
        StoreError: The disk is full or the folder cannot be written; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        write_new(temporary, data, durable)
        replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: could not write {len(data):,} bytes ({error.strerror or error}). The file "
            f"is as it was before. Make room or allow writing to {path.parent}, then resume"
        ) from error


def write_new(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a file in place, flushed and, if durable, synced to the disk."""
    make_folder(path.parent)
    create(path)
    with path.open("wb") as file:
        reach("write.opened")
        fitted = len(data) // 2
        file.write(data[:fitted])
        file.flush()
        reach("write.half")
        file.write(data[fitted:])
        file.flush()
        reach("write.flushed")
        if durable:
            os.fsync(file.fileno())
            reach("write.synced")


def create(path: Path) -> bool:
    """Create a file if it is missing, with the permissions of its folder.

    Returns:
        Whether it was missing: of several callers, one gets True.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, file_mode(path.parent)))
    except FileExistsError:
        return False
    return True


def file_mode(folder: Path) -> int:
    """Return the permissions of a new file: those of its folder, without execution."""
    return folder.stat().st_mode & 0o666 | PRIVATE_FILE


def replace(source: Path, target: Path) -> None:
    """Rename over an existing file; on Windows wait until readers have closed it."""
    for attempt in range(REPLACE_ATTEMPTS):
        try:
            os.replace(source, target)  # noqa: PTH105 - Path.replace hides the name of the promise
            reach("replace.done")
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(REPLACE_WAIT_S * (attempt + 1))


def make_folder(folder: Path) -> None:
    """Create a private folder if it is missing, so that its name survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that renames in it survive a power cut; Windows has no such call."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    reach("folder.synced")


def remove_temporary_files(root: Path) -> None:
    """Remove the temporary files of killed writers; those of running processes stay."""
    import psutil

    for path in root.rglob(".*.tmp"):
        pid = path.name.split(".")[-2].partition("-")[0]
        is_pid = pid.isdecimal() and int(pid) < MAX_PID  # any other number is no process's
        if pid.isdecimal() and not (is_pid and psutil.pid_exists(int(pid))):
            with contextlib.suppress(OSError):  # a folder of that name is not a writer's
                path.unlink(missing_ok=True)


def dump_json(value: Any) -> bytes:  # noqa: ANN401 - the JSON edge
    """Return indented UTF-8 JSON; NaN and infinity are refused, they are not JSON."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def append_line(path: Path, value: Any) -> None:  # noqa: ANN401 - the JSON edge
    """Append a value as one line of JSON, in a single write."""
    append_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    reach("metrics.appended")


def append_text(path: Path, text: str) -> None:
    """Append text in a single write.

    Raises:
        StoreError: The disk is full or the file cannot be written.
    """
    append_bytes(path, text.encode())


def append_bytes(path: Path, data: bytes) -> None:
    """Append bytes in a single write; see ``append_text``."""
    try:
        with os.fdopen(open_regular(path, APPEND), "ab") as file:
            file.write(data)
    except OSError as error:
        raise StoreError(
            f"{path}: could not append {len(data):,} bytes ({error.strerror or error}). Make room "
            f"or allow writing to {path.parent}, then resume"
        ) from error


def cut_torn_line(path: Path) -> int:
    """Remove an unfinished last line, as a kill leaves it; return how many bytes went.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        with os.fdopen(open_regular(path, os.O_RDWR), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            keep = _end_of_last_line(file, size)
            if keep < size:
                file.truncate(keep)
                os.fsync(file.fileno())
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(
            f"{path}: could not be opened and cut to its last whole line "
            f"({error.strerror or error}). Allow writing to {path.parent}, then resume"
        ) from error
    return size - keep


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    """Return the offset after the last line break; the file is read from its end."""
    end = size
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
