"""A Dask cluster of processes of their own, on loopback.

In: a folder. Out: ``dask scheduler`` and ``dask worker``, as people start them on their machines.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.tiny_runs import PROJECT
from tests.support.worker_runs import wait_for
from trainer.run.workers.dask_cluster import connect
from trainer.run.workers.engine import EngineError


class Cluster:
    """``dask scheduler`` and ``dask worker``, as users start them on their machines."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.file = folder / "scheduler.json"
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_for(lambda: self.file.exists() and self.file.stat().st_size)
        self.port = int(self.file.read_text().partition("tcp://127.0.0.1:")[2].partition('"')[0])

    @property
    def engine(self):
        return f"dask://127.0.0.1:{self.port}"

    def start(self, kind, *options):
        with (self.folder / f"{kind}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self.file), *options],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(PROJECT)},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def add_worker(self, *options):
        words = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        self.start("worker", *words, "--local-directory", str(self.folder), *options)

    def add_workers(self, number):
        """Start workers, and wait until the scheduler counts all that there are."""
        expected = len(self.workers()) + number
        for _ in range(number):
            self.add_worker()
        wait_for(lambda: len(self.workers()) == expected)

    def workers(self):
        """Return the workers' addresses; none without a scheduler."""
        try:
            engine = connect(self.engine, None, 1)
        except EngineError:
            return []
        found = sorted(engine.workers())
        engine.close()
        return found

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
