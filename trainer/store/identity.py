"""Identity: which process holds a run, in a way that a recycled pid or a reboot cannot fool.

In: nothing, or what a status says. Out: host, boot, pid and start time; whether they still live.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

START_TOLERANCE_S = 2.0  # the system's start times are rounded; a recycled pid is seconds off

Liveness = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class ProcessIdentity:
    """One process on one boot of one host."""

    host: str
    boot_id: str
    pid: int
    started: float


@cache
def boot_id() -> str:
    """Return what changes with every boot."""
    import psutil

    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"boot-{int(psutil.boot_time())}"


def own_identity() -> ProcessIdentity:
    """Return the identity of this process."""
    import psutil

    started = float(psutil.Process().create_time())
    return ProcessIdentity(socket.gethostname(), boot_id(), os.getpid(), started)


def liveness(identity: ProcessIdentity) -> Liveness:
    """Tell whether that process lives; "unknown" on another host."""
    import psutil

    if identity.host != socket.gethostname():
        return "unknown"
    if identity.boot_id != boot_id():
        return "dead"
    try:
        process = psutil.Process(identity.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return "dead"
        same = abs(process.create_time() - identity.started) <= START_TOLERANCE_S
        return "alive" if same else "dead"
    except psutil.NoSuchProcess:
        return "dead"
    except psutil.AccessDenied:
        return "unknown"
