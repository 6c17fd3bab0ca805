"""Cluster: folds side by side on Dask's workers, on this machine or on many.

In: ``dask`` (a cluster on this machine, that ends with the trainer) or ``dask://HOST:PORT`` (a
scheduler that is there). Out: an engine. The run folder must lie at the same path on storage that
all machines see, and this project must be importable there. Needs requirements-cluster.txt.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from trainer.run.workers.engine import EngineError, Unit, block_interrupts
from trainer.run.workers.worker import FoldJob, JobOutcome, fit_unit

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

LOCAL = "dask"
PREFIX = "dask://"
CONNECT_S = 20.0
POLL_S = 0.02  # between two looks whether a fold has come back
GPU = "GPU"  # what a worker that has one is started with: --resources GPU=1


class DaskEngine:
    """Dask's workers, one fold each; which fold goes to which worker is decided here."""

    def __init__(
        self, client: Client, most: int | None, cluster: LocalCluster | None = None
    ) -> None:
        """Use a client.

        Args:
            client: Connected to the scheduler.
            most: Workers that are used at the most, or None.
            cluster: Ends with the engine.
        """
        self._client, self._cluster, self._most = client, cluster, most
        self._running: dict[Unit, tuple[str, Future[JobOutcome]]] = {}
        self._known: dict[str, dict[str, float]] = {}
        self._known = self._look()

    @property
    def client(self) -> Client:
        """Return the client."""
        return self._client

    def workers(self) -> frozenset[str]:
        """Return the addresses of the workers that there are now."""
        return frozenset(self._look())

    def num_workers(self) -> int:
        """Return how many units can be fitted at once."""
        there = max(1, len(self._known))
        return there if self._most is None else min(there, self._most)

    def is_free_for(self, unit: Unit) -> bool:
        """Return whether a worker could begin the unit now; workers may have come or gone."""
        is_full = self._most is not None and len(self._running) >= self._most
        return not is_full and self._choose(unit) is not None

    def begin(self, task: FoldJob) -> None:
        """Let a free worker fit a unit."""
        address = self._choose(task.unit)
        assert address is not None  # is_free_for was asked
        claims = {GPU: 1} if task.model == "torch" and self._has_gpu(address) else None
        future = self._client.submit(
            fit_unit,
            task,
            key=f"{task.model}-{task.fold}-{uuid4().hex}",  # never taken for an earlier one
            pure=False,
            workers=[address],
            allow_other_workers=False,
            resources=claims,
            retries=0,  # a fold that is lost is taken up again by the coordinator, which tells it
        )
        self._running[task.unit] = address, future

    def ended(self, timeout_s: float) -> list[tuple[Unit, JobOutcome]]:
        """Wait until a unit comes back, at most so long; return those that have."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not any(
            future.done() for _, future in self._running.values()
        ):
            time.sleep(POLL_S)
        self._known = self._look()
        found = []
        for unit, (address, future) in list(self._running.items()):
            ending = _ending(future) if future.done() else None
            if ending is None and address not in self._known:
                ending = JobOutcome("lost")
            if ending is not None:
                future.cancel()
                del self._running[unit]
                found.append((unit, ending))
        return found

    def close(self) -> None:
        """Let go of the workers; those of a cluster of our own end."""
        for _, future in self._running.values():
            if not future.done():  # where the scheduler is gone, all are: nobody is left to ask
                future.cancel()
        self._running.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _choose(self, unit: Unit) -> str | None:
        """Return a free worker: for the network one with a GPU where there is any such."""
        busy = {address for address, _ in self._running.values()}
        free = [address for address in self._known if address not in busy]
        if unit[0] == "torch" and any(map(self._has_gpu, self._known)):
            return next((address for address in free if self._has_gpu(address)), None)
        return min(free, key=self._has_gpu, default=None)

    def _has_gpu(self, address: str) -> bool:
        return self._known[address].get(GPU, 0.0) >= 1.0

    def _look(self) -> dict[str, dict[str, float]]:
        """Return the workers' resources by address, asked of the scheduler itself.

        ``Client.scheduler_info`` reads what the client keeps, and every two seconds the client
        keeps the answer to a question for no workers at all: they would seem to be lost.

        Raises:
            EngineError: The client has given the scheduler up.
        """
        scheduler, told = self._client.scheduler, None
        try:
            if scheduler is not None:
                told = self._client.sync(scheduler.identity, n_workers=-1)
        except OSError:
            return self._known  # the client tries for a while to reach it again
        except RuntimeError:
            pass  # it has closed its connections
        if told is None:
            raise EngineError("Dask's scheduler is gone. Start it and its workers, then resume")
        return {address: dict(one["resources"]) for address, one in told["workers"].items()}


def connect(engine: str, most: int | None, num_local: int) -> DaskEngine:
    """Return Dask's workers.

    Args:
        engine: ``dask`` or ``dask://HOST:PORT``.
        most: Workers that are used at the most, or None.
        num_local: How many a cluster on this machine gets.

    Raises:
        EngineError: Dask is not installed, nobody answers, or there is no worker.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise EngineError(
            f"--engine {engine}: Dask is not installed. Install it: python -m pip install -r "
            f"requirements-cluster.txt"
        ) from error
    cluster = None
    with block_interrupts():  # Dask's threads start their processes
        try:
            if engine == LOCAL:
                cluster = LocalCluster(
                    n_workers=num_local,
                    threads_per_worker=1,
                    memory_limit=0,  # a fold that is too large is told of by the system, not ended
                    dashboard_address="127.0.0.1:0",  # None would take 8787, and warn where it is
                    silence_logs=logging.CRITICAL,
                )
            address = f"tcp://{engine.removeprefix(PREFIX)}" if cluster is None else cluster
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise EngineError(
                f"--engine {engine}: no scheduler answers there ({error}). Start one: dask "
                f"scheduler"
            ) from error
    found = DaskEngine(client, most, cluster)
    if not found._known:
        found.close()
        raise EngineError(
            f"--engine {engine}: the scheduler has no worker. Start some: dask worker "
            f"{engine.removeprefix(PREFIX)} --nthreads 1"
        )
    return found


def _ending(future: Future[JobOutcome]) -> JobOutcome:
    """Return what a worker made of a unit; what Dask itself says of it is a loss."""
    if future.status == "finished":
        ending: JobOutcome = future.result()
        return ending
    if future.status == "error":
        return JobOutcome("lost", f"{type(future.exception()).__name__}: {future.exception()}")
    return JobOutcome("lost")
