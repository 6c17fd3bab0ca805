"""The run's lock: an operating-system lock, so that a dead trainer leaves none.

In: the path of a lock file. Out: the lock held, or a refusal.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.store.durable import StoreError, make_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT_S = 1.0  # a dashboard that looks whether the lock is held holds it for a moment itself


class LockedError(StoreError):
    """Someone else holds the lock."""


def acquire(path: Path) -> FileLock:
    """Take the lock and keep it until ``release()`` or the end of the process.

    Raises:
        LockedError: Another process holds it.
        StoreError: The folder cannot be written.
    """
    lock = FileLock(str(path))
    try:
        make_folder(path.parent)
        lock.acquire(timeout=WAIT_S, poll_interval=0.02)
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
    if not path.exists():
        return False
    try:
        return _is_held_exclusively(path) if fcntl is not None else _cannot_be_taken(path)
    except OSError:
        return None


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
