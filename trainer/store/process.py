"""Process: which process holds a run, and how much of the machine it uses.

In: nothing, an identity that a status file holds, or a run folder. Out: host, boot, pid and start
time, which a recycled pid or a reboot cannot match; whether that process still runs; readings of
processor, memory and disk for the status and for the ``beat`` lines of the event log.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

START_TOLERANCE_S = 2.0  # the system's start times are rounded; a recycled pid is seconds off
BEAT_EVENT = "beat"
READING_S = 10.0  # between two beat lines: 12 h are about 4,000 lines, less than 1 MB

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
    """Return an id that changes with every boot."""
    import psutil

    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"boot-{int(psutil.boot_time())}"


def own_identity() -> ProcessIdentity:
    """Return the identity of this process."""
    import psutil

    started = float(psutil.Process().create_time())
    return ProcessIdentity(socket.gethostname(), boot_id(), os.getpid(), started)


def liveness(identity: ProcessIdentity) -> Liveness:
    """Return whether that process is alive; "unknown" on another host."""
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
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process has such a pid
        return "dead"
    except psutil.AccessDenied:
        return "unknown"


class Meter:
    """Measures use since its last reading; only one thread may use it, as psutil requires."""

    def __init__(self) -> None:
        """Start measuring."""
        import psutil

        own = psutil.Process()
        self._processes = {own.pid: own}
        self._began, self._busy_s = time.monotonic(), self._busy_of(())
        psutil.cpu_percent()  # the first value has no meaning

    def is_due(self) -> bool:
        """Return whether the next reading is due."""
        return time.monotonic() - self._began >= READING_S

    def read(self, folder: Path, workers: tuple[int, ...] = ()) -> dict[str, float | int]:
        """Return the averages since the last reading, and memory and disk as they are now.

        Args:
            folder: A folder on the disk whose free space is read.
            workers: Pids of the trainer's other processes on this machine.

        Returns:
            trainer_cores, the number of processor cores that the trainer and its workers kept
            busy; machine_cpu_percent, 0..100 over all cores and programs; the values of ``space``;
            on a GPU also gpu_used_memory_mb and gpu_free_memory_mb.
        """
        import psutil

        now, busy_s = time.monotonic(), self._busy_of(workers)
        spent_s = sum(seconds - self._busy_s.get(pid, 0.0) for pid, seconds in busy_s.items())
        cores = spent_s / max(now - self._began, 1e-3)
        self._began, self._busy_s = now, busy_s
        return {
            "trainer_cores": round(cores, 2),
            "machine_cpu_percent": psutil.cpu_percent(),
            **space(folder),
            **_gpu_memory(),
        }

    def _busy_of(self, workers: tuple[int, ...]) -> dict[int, float]:
        """Return the processor seconds of this process and its workers so far, by pid.

        A worker that waits between two folds counts too, as long as its process runs.
        """
        import psutil

        for pid in workers:
            with contextlib.suppress(psutil.Error):  # a worker that has just ended
                if pid not in self._processes or not self._processes[pid].is_running():
                    self._processes[pid] = psutil.Process(pid)
        busy_s = {}
        for pid, process in self._processes.items():
            with contextlib.suppress(psutil.Error):
                if process.is_running():  # and no other has its pid by now
                    times = process.cpu_times()
                    busy_s[pid] = float(times.user + times.system)
        self._processes = {pid: self._processes[pid] for pid in busy_s}
        return busy_s


def space(folder: Path) -> dict[str, int]:
    """Return memory and free disk space in MB: a shortage explains a kill by the system."""
    import psutil

    return {
        "used_memory_mb": psutil.Process().memory_info().rss >> 20,
        "free_memory_mb": psutil.virtual_memory().available >> 20,
        "free_disk_mb": psutil.disk_usage(str(folder)).free >> 20,
    }


def _gpu_memory() -> dict[str, int]:
    """Return the GPU's memory if torch uses a GPU in this process; never imports torch."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)  # absent while torch is being imported
    if cuda is None or is_initialized is None or not is_initialized():
        return {}
    free, total = cuda.mem_get_info()
    return {"gpu_used_memory_mb": (total - free) >> 20, "gpu_free_memory_mb": free >> 20}
