"""The run's lock: an operating-system lock, so that a dead trainer leaves none.

In: the path of a lock file. Out: the lock held, or a refusal. Where the system has no locks (Google
Drive in Colab, most network folders), a lease with an owner file takes its place.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.store.durable import StoreError, make_folder
from trainer.store.lease import SETTLE_S, Lease, LeaseLostError, read_owner

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT_S = 1.0  # a dashboard that looks whether the lock is held holds it for a moment itself
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
MOUNTS = Path("/proc/mounts")
UNSHARED = "fuse."  # of such mounts another machine does not see the locks, if there are any


class LockedError(StoreError):
    """Someone else holds the lock."""


def acquire(path: Path, settle_s: float = SETTLE_S) -> FileLock | Lease:
    """Take the lock and keep it until ``release()`` or the end of the process.

    Args:
        path: The lock file.
        settle_s: How long a lease waits for others who take it in the same moment.

    Raises:
        LockedError: Another process holds it.
        StoreError: The folder cannot be written.
    """
    lock = FileLock(str(path))
    try:
        make_folder(path.parent)
        owner, now = read_owner(path), time.time()
        if owner is not None and owner.is_alive(now):
            raise LockedError(f"{path}: held by {owner.describe(now)}")
        if not has_system_locks(path):
            return Lease(path, settle_s)
        lock.acquire(timeout=WAIT_S, poll_interval=0.02)
    except LeaseLostError as error:
        raise LockedError(str(error)) from error
    except OSError as error:
        if isinstance(error, Timeout):
            raise LockedError(f"{path}: held by another process") from error
        raise StoreError(
            f"{path}: could not be opened for writing ({error.strerror or error}). Make room; a "
            f"read-only run is resumed from a copy: python -m trainer import {path.parent}"
        ) from error
    return lock


def is_held(path: Path) -> bool | None:
    """Tell whether somebody holds the lock; None where that cannot be seen.

    Looks through a shared lock where there is one, so that two who look do not see each other.
    """
    owner = read_owner(path)
    if owner is not None and owner.is_alive(time.time()):
        return True
    if not path.exists():
        return False
    try:
        return _is_held_exclusively(path) if fcntl is not None else _cannot_be_taken(path)
    except OSError as error:
        return False if error.errno in NO_LOCKS else None


def has_system_locks(path: Path) -> bool:
    """Tell whether a lock on this file would be seen by whoever else opens it.

    Raises:
        OSError: The file cannot be opened for writing.
    """
    if fcntl is None:
        return True
    if _mount_type(path.parent.resolve()).startswith(UNSHARED):
        return False
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in NO_LOCKS
    finally:
        os.close(descriptor)
    return True


def _mount_type(folder: Path) -> str:
    """Return the type of the file system that a folder is on; "" where that is not told."""
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    found, depth = "", -1
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        mount = Path(place.replace("\\040", " "))
        if folder.is_relative_to(mount) and len(mount.parts) > depth:
            found, depth = kind, len(mount.parts)
    return found


def _is_held_exclusively(path: Path) -> bool:
    assert fcntl is not None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _cannot_be_taken(path: Path) -> bool:
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
