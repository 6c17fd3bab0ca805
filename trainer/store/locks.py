"""Locks: one process at a time works on a run or on a fold.

In: the path of a lock file. Out: the lock, held, or ``LockedError``. It is a lock of the operating
system, so a process that dies leaves none behind. Where the file system has no locks (Google Drive
in Colab, most network folders), a ``Lease`` takes its place: an owner file beside the lock file,
renewed while its owner runs. A lease is weaker than a lock: such a folder may be synchronised late,
so two machines that start within seconds could both hold the lease; the attempt number in every
commit then stops one of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import uuid
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from trainer.store.durable import (
    StoreError,
    dump_json,
    file_mode,
    make_folder,
    open_regular,
    write_atomic,
)
from trainer.store.process import ProcessIdentity, liveness, own_identity
from trainer.store.record_types import Name, Pid, Time
from trainer.store.records import read_record

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT_S = 1.0  # a dashboard that checks whether the lock is held holds it for a moment itself
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
MOUNTS = Path("/proc/mounts")
UNSHARED = "fuse."  # another machine does not see locks on such mounts, if they have any
RENEW_S = 20.0
LEASE_S = 120.0  # six renewals: a folder that is synchronised in the background lags by tens of s
SETTLE_S = 2.0  # after taking a lease: another process that took it too has written by then


class LockedError(StoreError):
    """Another process holds the lock."""


class LeaseLostError(StoreError):
    """Another process has taken the run over while this one worked on it."""


def acquire(
    path: Path, settle_s: float = SETTLE_S, creates_folder: bool = True
) -> FileLock | Lease:
    """Take the lock; it is held until ``release()`` or the end of the process.

    Args:
        path: The lock file.
        settle_s: How long a new lease waits for other processes that take it at the same time.
        creates_folder: Whether to create the file's folder if it is missing.

    Raises:
        LockedError: Another process holds it, or has moved its folder meanwhile.
        StoreError: The folder cannot be written.
    """
    try:
        if creates_folder:
            make_folder(path.parent)
        lock = FileLock(str(path), mode=file_mode(path.parent))
        owner, now = read_owner(path), time.time()
        if owner is not None and owner.is_alive(now):
            raise LockedError(f"{path}: held by {owner.describe(now)}")
        if not has_system_locks(path):
            return Lease(path, settle_s)
        lock.acquire(timeout=WAIT_S, poll_interval=0.02)
        if fcntl is not None and not (path.exists() and _is_held_exclusively(path)):
            lock.release()  # its file was moved away between opening and locking
            raise LockedError(f"{path}: moved by another process")
    except LeaseLostError as error:
        raise LockedError(str(error)) from error
    except FileNotFoundError as error:
        raise LockedError(f"{path}: its folder was renamed or deleted") from error
    except OSError as error:
        if isinstance(error, Timeout):
            raise LockedError(f"{path}: held by another process") from error
        raise StoreError(
            f"{path}: could not be opened for writing ({error.strerror or error}). Make room; a "
            f"read-only run is resumed from a copy: python -m trainer import {path.parent}"
        ) from error
    return lock


def is_held(path: Path) -> bool | None:
    """Return whether a process holds the lock; None where that cannot be determined.

    Takes a shared lock to find out, so that two callers do not take each other for a holder.
    """
    owner = read_owner(path)
    if owner is not None and owner.is_alive(time.time()):
        return True
    if not path.exists():
        return False
    try:
        return _is_held_exclusively(path) if fcntl is not None else _cannot_be_taken(path)
    except StoreError:
        return False  # no file: nothing can hold it, and a start names it
    except OSError as error:
        return False if error.errno in NO_LOCKS else None


def has_system_locks(path: Path) -> bool:
    """Return whether other processes that open this file would see a lock on it.

    Raises:
        OSError: The file cannot be opened for writing.
    """
    if fcntl is None:
        return True
    if _mount_type(path.parent.resolve()).startswith(UNSHARED):
        return False
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in NO_LOCKS
    finally:
        os.close(descriptor)
    return True


class Owner(BaseModel):
    """The content of an owner file."""

    model_config = ConfigDict(frozen=True)

    nonce: Name
    host: Name
    boot_id: Name
    pid: Pid
    started: Time
    renewed_at: Time

    def is_alive(self, now: float) -> bool:
        """Return whether the owner runs: by its process on this host, by its renewals elsewhere.

        A renewal in the future counts no longer than one in the past: a wrong clock or an owner
        file from elsewhere must not hold a run for ever.
        """
        process = liveness(ProcessIdentity(self.host, self.boot_id, self.pid, self.started))
        return abs(now - self.renewed_at) < LEASE_S if process == "unknown" else process == "alive"

    def describe(self, now: float) -> str:
        """Return the owner in words."""
        age_s = now - self.renewed_at
        renewed = f"renewed {age_s:.0f} s ago" if age_s >= 0 else "renewed just now"
        return f"pid {self.pid} on {self.host}, {renewed}"


def owner_path(lock: Path) -> Path:
    """Return the path of a lock's owner file."""
    return lock.with_name(f"{lock.name}.owner")


def read_owner(lock: Path) -> Owner | None:
    """Return the content of a lock's owner file; None if it is missing or damaged."""
    try:
        return read_record(owner_path(lock), Owner)
    except (FileNotFoundError, StoreError):
        return None


class Lease:
    """Held from its creation until ``release()``, the end of the process, or its loss."""

    def __init__(self, lock: Path, settle_s: float = SETTLE_S) -> None:
        """Take the lease; no living process may own it.

        Raises:
            LeaseLostError: Another process took it at the same time.
            StoreError: The folder cannot be written.
        """
        self._lock = lock
        self._nonce = uuid.uuid4().hex
        self._stopped = threading.Event()
        self._lost_to: Owner | None = None
        self._write()
        self._stopped.wait(settle_s)
        self._check_owner()
        self.demand()
        self._thread = threading.Thread(target=self._renew_forever, name="lease", daemon=True)
        self._thread.start()

    def demand(self) -> None:
        """Raise if another process has taken the lease.

        Raises:
            LeaseLostError: Another process has taken it.
        """
        if self._lost_to is not None:
            raise LeaseLostError(
                f"{owner_path(self._lock)}: taken by {self._lost_to.describe(time.time())}. This "
                f"trainer ends; that one goes on"
            )

    def release(self) -> None:
        """Release the lease and delete the owner file."""
        self._stopped.set()
        self._thread.join()
        self._check_owner()
        if self._lost_to is None:
            with contextlib.suppress(OSError):
                owner_path(self._lock).unlink(missing_ok=True)

    def _renew_forever(self) -> None:
        while not self._stopped.wait(RENEW_S):
            self._check_owner()
            if self._lost_to is not None:
                return
            with contextlib.suppress(StoreError):  # a renewal that fails is tried again
                self._write()

    def _check_owner(self) -> None:
        owner = read_owner(self._lock)
        if owner is not None and owner.nonce != self._nonce:
            self._lost_to = owner

    def _write(self) -> None:
        me = own_identity()
        owner = Owner(
            nonce=self._nonce,
            host=me.host,
            boot_id=me.boot_id,
            pid=me.pid,
            started=me.started,
            renewed_at=time.time(),
        )
        write_atomic(owner_path(self._lock), dump_json(owner.model_dump()), durable=False)


def _mount_type(folder: Path) -> str:
    """Return the type of the file system that a folder is on; "" if it is unknown."""
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
    descriptor = open_regular(path, os.O_RDONLY)
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
