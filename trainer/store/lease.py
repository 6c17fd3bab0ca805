"""Lease: who works on a run where the system has no locks, as on Google Drive in Colab.

In: the path of a lock file. Out: an owner file beside it, renewed while the owner lives. It is
weaker than a lock: the folder may be seen late elsewhere, so two machines that start in the same
seconds could both believe it theirs; the attempt number in every commit then stops one of them.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.store.durable import StoreError, dump_json, write_atomic
from trainer.store.identity import ProcessIdentity, liveness, own_identity

RENEW_S = 20.0
LEASE_S = 120.0  # six renewals: a folder that is synchronised in the background lags by tens of s
SETTLE_S = 2.0  # after taking it: whoever took it in the same moment has written by then


class LeaseLostError(StoreError):
    """Another process has taken the run over while this one worked on it."""


class Owner(BaseModel):
    """What an owner file says."""

    model_config = ConfigDict(frozen=True)

    nonce: str
    host: str
    boot_id: str
    pid: int
    started: float
    renewed_at: float

    def is_alive(self, now: float) -> bool:
        """Return whether the owner is at work: by its process here, by its renewals elsewhere."""
        process = liveness(ProcessIdentity(self.host, self.boot_id, self.pid, self.started))
        return now - self.renewed_at < LEASE_S if process == "unknown" else process == "alive"

    def describe(self, now: float) -> str:
        """Say who it is."""
        return f"pid {self.pid} on {self.host}, renewed {max(0.0, now - self.renewed_at):.0f} s ago"


def owner_path(lock: Path) -> Path:
    """Return where the owner of a lock is written."""
    return lock.with_name(f"{lock.name}.owner")


def read_owner(lock: Path) -> Owner | None:
    """Return the owner that is written beside a lock, alive or not; None where none can be read."""
    try:
        return Owner.model_validate_json(owner_path(lock).read_bytes())
    except (OSError, ValidationError):
        return None


class Lease:
    """Held from its making to ``release()``, the end of the process, or its loss."""

    def __init__(self, lock: Path, settle_s: float = SETTLE_S) -> None:
        """Take it; nobody alive may own it.

        Raises:
            LeaseLostError: Another process took it in the same moment.
            StoreError: The folder cannot be written.
        """
        self._lock = lock
        self._nonce = uuid.uuid4().hex
        self._stopped = threading.Event()
        self._lost_to: Owner | None = None
        self._write()
        self._stopped.wait(settle_s)
        self._look()
        self.demand()
        self._thread = threading.Thread(target=self._renew_forever, name="lease", daemon=True)
        self._thread.start()

    def demand(self) -> None:
        """Refuse to go on where another process has taken it.

        Raises:
            LeaseLostError: It has.
        """
        if self._lost_to is not None:
            raise LeaseLostError(
                f"{owner_path(self._lock)}: taken by {self._lost_to.describe(time.time())}. This "
                f"trainer ends; that one goes on"
            )

    def release(self) -> None:
        """Give it back."""
        self._stopped.set()
        self._thread.join()
        self._look()
        if self._lost_to is None:
            with contextlib.suppress(OSError):
                owner_path(self._lock).unlink(missing_ok=True)

    def _renew_forever(self) -> None:
        while not self._stopped.wait(RENEW_S):
            self._look()
            if self._lost_to is not None:
                return
            with contextlib.suppress(StoreError):  # a renewal that fails is tried again
                self._write()

    def _look(self) -> None:
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
