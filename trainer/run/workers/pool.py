"""Crew: how many workers fit folds side by side, and where.

In: what whoever started the trainer asked for, the work, the machine. Out: an engine, or none where
one by one in the coordinator's own process is best; and why, in words.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config import Config
from trainer.run.parts import MadeHere, PartMaker
from trainer.run.workers.engine import Engine, LocalEngine
from trainer.store.names import RunPaths
from trainer.store.recorder import Recorder

MIN_WORK_S = 60.0  # two workers cost 16 s of processor on `asl`, most of it to load libraries
WORKER_BYTES = 400 << 20  # a process with LightGBM, torch and polars
COPIES = 3.0  # of the shared arrays that a fold makes for itself: rows, bins, scaled frames
RESERVE_BYTES = 512 << 20  # kept free for whatever else runs
LOCAL = "local"
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Work:
    """What is left to do.

    Attributes:
        num_units: Folds of models.
        seconds: That all of them take one by one, guessed.
        num_threads: Of the unit with the most.
        count_bytes: Returns the bytes of the arrays that all units read; makes them for it.
        has_system_locks: Whether the run's folder has locks of the system.
    """

    num_units: int
    seconds: float
    num_threads: int
    count_bytes: Callable[[], int]
    has_system_locks: bool


@dataclass(frozen=True)
class Crew:
    """Who fits the folds in one start of the trainer; the results are the same whoever does.

    Attributes:
        workers: How many at once; None is as many as there is room for, or as Dask has.
        engine: ``local``, ``dask`` or ``dask://HOST:PORT``.
    """

    workers: int | None = 1
    engine: str = LOCAL

    def muster(self, work: Work) -> tuple[Engine | None, str]:
        """Return the workers and why they are so many.

        Raises:
            EngineError: Dask's workers cannot be had.
        """
        if self.engine != LOCAL:
            return self._muster_dask(work)
        if not work.has_system_locks:
            return None, "folds one by one: this folder has no locks of the system"
        if self.workers is not None:
            number, why = min(self.workers, work.num_units), "as told"
        else:
            number, why = _room(work)
        if number <= 1:
            return None, f"folds one by one ({why})"
        return LocalEngine(number), f"{number} folds side by side ({why})"

    def part_maker(self, paths: RunPaths, recorder: Recorder) -> PartMaker:
        """Return who works out recordings that lie in parts: Dask's workers where it is asked for.

        Args:
            paths: The run's files.
            recorder: Told of workers that are lost.
        """
        if self.engine == LOCAL:
            return MadeHere()
        import joblib

        from trainer.run.workers.dask_parts import MadeOnDask

        def tell_problem(text: str) -> None:
            recorder.event("problem", text=text)
            recorder.log(f"problem: {text}")

        num_local = self.workers or joblib.cpu_count()
        return MadeOnDask(
            paths=paths,
            attempt=recorder.attempt,
            engine=self.engine,
            most=self.workers,
            num_local=num_local,
            log=recorder.log,
            tell_problem=tell_problem,
        )

    def _muster_dask(self, work: Work) -> tuple[Engine, str]:
        from trainer.run.workers.dask_cluster import connect

        most = None if self.workers is None else min(self.workers, work.num_units)
        found = connect(self.engine, most, most or _room(work)[0])
        return found, f"folds on {self.engine}: {found.num_workers()} workers"


def most_threads(config: Config, models: Sequence[str]) -> int:
    """Return the threads of the model that has the most."""
    threads = {"lgbm": config.boosting.num_threads, "torch": config.network.num_threads}
    return max(threads[model] for model in models)


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


def _room(work: Work) -> tuple[int, str]:
    """Return how many workers there is work, memory and a core for, and what there is least of."""
    import joblib

    if _has_gpu():
        return 1, "auto: they would share one GPU"
    if work.seconds < MIN_WORK_S:
        return 1, f"auto: about {work.seconds:.0f} s of work"
    num_bytes = work.count_bytes()
    per_worker = WORKER_BYTES + COPIES * num_bytes
    in_memory = int((free_bytes() - RESERVE_BYTES - num_bytes) / per_worker)
    rooms = {
        "auto: cores": joblib.cpu_count() // work.num_threads,
        "auto: memory": max(1, in_memory),
        "auto: folds left": work.num_units,
    }
    why = min(rooms, key=lambda name: rooms[name])
    return max(1, rooms[why]), why


def _has_gpu() -> bool:
    """Return whether the network is fitted on a GPU; only where torch is loaded already."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())
