"""Cluster: folds side by side on Dask's workers, on this machine or on many.

In: ``dask`` (a cluster on this machine, that ends with the trainer) or ``dask://HOST:PORT`` (an
existing scheduler). Out: an engine. The run folder must lie at the same path on storage that
all machines see, and this project must be importable there. Needs requirements-cluster.txt.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from trainer.models import registry
from trainer.run.fold_job import FoldKey
from trainer.run.workers.engine import EngineError, Work, block_interrupts
from trainer.run.workers.worker import JobOutcome

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

LOCAL = "dask"
PREFIX = "dask://"
CONNECT_S = 20.0
POLL_S = 0.02  # between two looks whether a fold has ended
GPU = "GPU"  # resource of a worker that has one: dask worker --resources GPU=1


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
        self._running: dict[FoldKey, tuple[str, Future[JobOutcome]]] = {}
        self._known: dict[str, dict[str, float]] = {}
        self._known = self._look()

    @property
    def client(self) -> Client:
        """Return the client."""
        return self._client

    def workers(self) -> frozenset[str]:
        """Return the addresses of the present workers."""
        return frozenset(self._look())

    def num_workers(self) -> int:
        """Return how many folds can be fitted at once."""
        there = max(1, len(self._known))
        return there if self._most is None else min(there, self._most)

    def is_free_for(self, fold: FoldKey) -> bool:
        """Return whether a worker could begin the fold now; workers may have come or gone."""
        is_full = self._most is not None and len(self._running) >= self._most
        return not is_full and self._choose(fold) is not None

    def begin(self, fold: FoldKey, work: Work, *arguments: object) -> None:
        """Start the work on a fold in a free worker; ``is_free_for`` comes first."""
        address = self._choose(fold)
        assert address is not None
        model, number = fold
        uses_gpu = registry.get(model).uses_gpu and self._has_gpu(address)
        future = self._client.submit(
            work,
            *arguments,
            key=f"{model}-{number}-{uuid4().hex}",  # never taken for an earlier one
            pure=False,
            workers=[address],
            allow_other_workers=False,
            resources={GPU: 1} if uses_gpu else None,
            retries=0,  # the coordinator starts a lost fold again, and reports it
        )
        self._running[fold] = address, future

    def ended(self, timeout_s: float) -> list[tuple[FoldKey, JobOutcome]]:
        """Wait until a fold ends, at most so long; return those that have ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not any(
            future.done() for _, future in self._running.values()
        ):
            time.sleep(POLL_S)
        self._known = self._look()
        found = []
        for fold, (address, future) in list(self._running.items()):
            outcome = _outcome(future) if future.done() else None
            if outcome is None and address not in self._known:
                outcome = JobOutcome("lost")
            if outcome is not None:
                future.cancel()
                del self._running[fold]
                found.append((fold, outcome))
        return found

    def close(self) -> None:
        """Release the workers; those of a cluster of our own end."""
        for _, future in self._running.values():
            if not future.done():  # where the scheduler is gone, all are done
                future.cancel()
        self._running.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _choose(self, fold: FoldKey) -> str | None:
        """Return a free worker: one with a GPU where the model uses it and any worker has one."""
        busy = {address for address, _ in self._running.values()}
        free = [address for address in self._known if address not in busy]
        if registry.get(fold[0]).uses_gpu and any(map(self._has_gpu, self._known)):
            return next((address for address in free if self._has_gpu(address)), None)
        return min(free, key=self._has_gpu, default=None)

    def _has_gpu(self, address: str) -> bool:
        return self._known[address].get(GPU, 0.0) >= 1.0

    def _look(self) -> dict[str, dict[str, float]]:
        """Return the workers' resources by address, from the scheduler itself.

        ``Client.scheduler_info`` reads what the client keeps, and every two seconds that is the
        reply to a request for no workers at all: they would seem to be lost.

        Raises:
            EngineError: The client has given up on the scheduler.
        """
        scheduler, reply = self._client.scheduler, None
        try:
            if scheduler is not None:
                reply = self._client.sync(scheduler.identity, n_workers=-1)
        except OSError:
            return self._known  # the client tries for a while to reach it again
        except RuntimeError:
            pass  # it has closed its connections
        if reply is None:
            raise EngineError("Dask's scheduler is gone. Start it and its workers, then resume")
        return {address: dict(one["resources"]) for address, one in reply["workers"].items()}


def connect(engine: str, most: int | None, num_local: int) -> DaskEngine:
    """Return Dask's workers.

    Args:
        engine: ``dask`` or ``dask://HOST:PORT``.
        most: Workers that are used at the most, or None.
        num_local: How many a cluster on this machine gets.

    Raises:
        EngineError: Dask is not installed, no scheduler replies, or there is no worker.
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
                    memory_limit=0,  # a fold that is too large is ended by the system, and reported
                    dashboard_address="127.0.0.1:0",  # None would take 8787, and warn where it is
                    silence_logs=logging.CRITICAL,
                )
            address = f"tcp://{engine.removeprefix(PREFIX)}" if cluster is None else cluster
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise EngineError(
                f"--engine {engine}: no scheduler replies there ({error}). Start one: dask "
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


def _outcome(future: Future[JobOutcome]) -> JobOutcome:
    """Return the outcome of a fold; an error of Dask itself is a loss."""
    if future.status == "finished":
        outcome: JobOutcome = future.result()
        return outcome
    if future.status == "error":
        return JobOutcome("lost", f"{type(future.exception()).__name__}: {future.exception()}")
    return JobOutcome("lost")
