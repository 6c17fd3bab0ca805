"""Resources: what the trainer and its machine use, read now and then.

In: the run folder, this process. Out: numbers for the status, and for the history's "beat" lines.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

BEAT_EVENT = "beat"
READING_S = 10.0  # between two lines of history: 12 h are about 4,000 lines, less than 1 MB


class Meter:
    """Reads what was used since the last reading; belongs to one thread, as psutil's clocks do."""

    def __init__(self) -> None:
        """Begin to measure."""
        import psutil

        own = psutil.Process()
        self._processes = {own.pid: own}
        self._began, self._busy_s = time.monotonic(), self._busy_of(())
        psutil.cpu_percent()  # its first answer means nothing

    def is_due(self) -> bool:
        """Return whether the last reading is long enough ago."""
        return time.monotonic() - self._began >= READING_S

    def read(self, folder: Path, workers: tuple[int, ...] = ()) -> dict[str, float | int]:
        """Return the averages since the last reading, and memory and disk as they are now.

        Args:
            folder: On the disk that is asked about.
            workers: The trainer's other processes on this machine, by pid.

        Returns:
            trainer_cores: processor cores that the trainer and its workers kept busy;
            machine_cpu_percent: 0..100 over all cores and programs; then what ``space`` returns;
            then, on a GPU, gpu_used_memory_mb and gpu_free_memory_mb.
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

        A worker between two folds is asked too, as long as it is there.
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
    """Return what a kill by the system would be explained with: memory and disk, in MB."""
    import psutil

    return {
        "used_memory_mb": psutil.Process().memory_info().rss >> 20,
        "free_memory_mb": psutil.virtual_memory().available >> 20,
        "free_disk_mb": psutil.disk_usage(str(folder)).free >> 20,
    }


def _gpu_memory() -> dict[str, int]:
    """Return the GPU's memory where the network is on one; never imports torch for this."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)  # absent while torch is being imported
    if cuda is None or is_initialized is None or not is_initialized():
        return {}
    free, total = cuda.mem_get_info()
    return {"gpu_used_memory_mb": (total - free) >> 20, "gpu_free_memory_mb": free >> 20}
