"""The worker pool: how many workers fit folds side by side, and where.

In: the options of the command line, the work that is left, the machine. Out: an engine, or none
where one fold after the other in the coordinator's own process is best; and why, in words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.config import Config
from trainer.models import registry
from trainer.run.inputs.parts import LocalPartMaker, PartMaker
from trainer.run.workers.engine import Engine, LocalEngine
from trainer.run.workers.semaphores import SHARED_MEMORY, has_room
from trainer.store.names import RunPaths
from trainer.store.recorder import Recorder

MIN_WORK_S = 60.0  # two workers cost 16 s of processor on `asl`, most of it to load libraries
WORKER_BYTES = 400 << 20  # a process with LightGBM, torch and polars
COPIES = 3.0  # of the shared arrays that a fold makes for itself: rows, bins, scaled frames
RESERVE_BYTES = 512 << 20  # kept free for other processes
LOCAL = "local"
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Work:
    """What is left to do.

    Attributes:
        num_folds: Folds of models.
        seconds: Estimate of all of them one after the other.
        num_threads: Of the model with the most.
        num_bytes: Of the arrays that all folds read.
        has_system_locks: Whether the run's folder has locks of the operating system.
    """

    num_folds: int
    seconds: float
    num_threads: int
    num_bytes: int
    has_system_locks: bool


@dataclass(frozen=True)
class WorkerPool:
    """Which workers fit the folds in one start of the trainer; the results never depend on it.

    Attributes:
        workers: How many at once; None is as many as fit the machine, or as Dask has.
        engine: ``local``, ``dask`` or ``dask://HOST:PORT``.
    """

    workers: int | None = 1
    engine: str = LOCAL

    def start(self, work: Work) -> tuple[Engine | None, str]:
        """Return the workers, and why they are so many.

        Raises:
            EngineError: Dask's workers cannot be reached.
        """
        if self.engine != LOCAL:
            from trainer.run.workers.dask_cluster import connect

            most = None if self.workers is None else min(self.workers, work.num_folds)
            cluster = connect(self.engine, most, most or _fitting_number(work)[0])
            return cluster, f"folds on {self.engine}: {cluster.num_workers()} workers"
        if not work.has_system_locks:
            return None, "folds one by one: this folder has no locks of the operating system"
        if self.workers is not None:
            number, why = min(self.workers, work.num_folds), "as requested"
        else:
            number, why = _fitting_number(work)
        if number <= 1:
            return None, f"folds one by one ({why})"
        if not has_room():
            return (
                None,
                f"folds one by one: no room for semaphores of workers in {SHARED_MEMORY}",
            )
        return LocalEngine(number), f"{number} folds side by side ({why})"

    def run_engine(self, num_runs: int) -> Engine | None:
        """Return Dask's workers for whole runs; None without Dask, and for a single run.

        Raises:
            EngineError: They cannot be reached.
        """
        if self.engine == LOCAL or num_runs < 2:
            return None
        import joblib

        from trainer.run.workers.dask_cluster import connect

        most = None if self.workers is None else min(self.workers, num_runs)
        return connect(self.engine, most, most or min(num_runs, joblib.cpu_count()))

    def part_maker(self, paths: RunPaths, recorder: Recorder) -> PartMaker:
        """Return what computes recordings in parts: Dask's workers where there are any.

        Args:
            paths: The run's files.
            recorder: Receives log lines and problems.
        """
        if self.engine == LOCAL:
            return LocalPartMaker()
        import joblib

        from trainer.run.workers.dask_parts import DaskPartMaker

        return DaskPartMaker(
            paths=paths,
            attempt=recorder.attempt,
            engine=self.engine,
            most=self.workers,
            num_local=self.workers or joblib.cpu_count(),
            log=recorder.log,
            report_problem=recorder.problem,
        )


def most_threads(config: Config, models: Iterable[str]) -> int:
    """Return the threads of the model that has the most."""
    return max(model.num_threads(config) for model in registry.select(models))


def free_bytes() -> int:
    """Return the memory that is free for this process, in a container too."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = (CGROUP / "memory.current").read_text().strip()
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))


def _fitting_number(work: Work) -> tuple[int, str]:
    """Return for how many workers there is work, memory and a core, and what limits them."""
    import joblib

    if _has_gpu():
        return 1, "auto: they would share one GPU"
    if work.seconds < MIN_WORK_S:
        return 1, f"auto: about {work.seconds:.0f} s of work"
    per_worker = WORKER_BYTES + COPIES * work.num_bytes
    in_memory = int((free_bytes() - RESERVE_BYTES - work.num_bytes) / per_worker)
    limits = {
        "auto: cores": joblib.cpu_count() // work.num_threads,
        "auto: memory": max(1, in_memory),
        "auto: folds left": work.num_folds,
    }
    why = min(limits, key=lambda name: limits[name])
    return max(1, limits[why]), why


def _has_gpu() -> bool:
    """Return whether there is a GPU; only where torch is loaded already."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())
