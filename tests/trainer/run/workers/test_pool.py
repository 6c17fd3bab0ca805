"""The worker pool: how many folds side by side, and how the number is read."""

from __future__ import annotations

import pytest

from trainer.cli.training import read_pool
from trainer.config import ConfigError, make_config
from trainer.run.workers import pool as pools
from trainer.run.workers.engine import EngineError, LocalEngine
from trainer.run.workers.pool import Work, WorkerPool, most_threads
from trainer.run.workers.worker import fit_fold_job


def work(**changes):
    usual = {
        "num_folds": 10,
        "seconds": 600.0,
        "num_threads": 1,
        "num_bytes": 100 << 20,
        "has_system_locks": True,
    }
    return Work(**(usual | changes))


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr(pools, "free_bytes", lambda: 16 << 30)


@pytest.mark.parametrize(
    ("asked", "changes", "workers", "why"),
    [
        (None, {}, 4, "4 folds side by side (auto: cores)"),
        (None, {"num_threads": 2}, 2, "2 folds side by side (auto: cores)"),
        (None, {"num_folds": 3}, 3, "3 folds side by side (auto: folds left)"),
        (None, {"num_folds": 1}, 1, "folds one by one (auto: folds left)"),
        (None, {"num_bytes": 2 << 30}, 2, "2 folds side by side (auto: memory)"),
        (None, {"num_bytes": 99 << 30}, 1, "folds one by one (auto: memory)"),
        (None, {"seconds": 12.0}, 1, "folds one by one (auto: about 12 s of work)"),
        (None, {"has_system_locks": False}, 1, "folds one by one: this folder has no locks"),
        (3, {"seconds": 12.0}, 3, "3 folds side by side (as requested)"),
        (16, {}, 10, "10 folds side by side (as requested)"),
        (3, {"has_system_locks": False}, 1, "folds one by one: this folder has no locks"),
        (1, {}, 1, "folds one by one (as requested)"),
    ],
)
def test_as_many_folds_side_by_side_as_there_is_room_for(four_cores, asked, changes, workers, why):
    """A core and memory for each; not for work that is done before a worker has started."""
    engine, reason = WorkerPool(asked).start(work(**changes))
    assert reason.startswith(why)
    assert (1 if engine is None else engine.num_workers()) == workers


def test_without_room_for_semaphores_the_folds_are_fitted_one_by_one(four_cores, monkeypatch):
    """A full /dev/shm, as in a small container, costs time and not the run."""
    monkeypatch.setattr(pools, "has_room", lambda: False)
    assert WorkerPool(2).start(work()) == (
        None,
        "folds one by one: no room for semaphores of workers in /dev/shm",
    )


def test_a_worker_that_cannot_be_started_is_reported_in_words(monkeypatch):
    """No room for its semaphores or its process: what to do is in the message."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", full)
    engine = LocalEngine(1)
    with pytest.raises(EngineError, match=r"could not be started \(No space left .*--workers 1"):
        engine.begin(("lgbm", 0), fit_fold_job)
    engine.close()


def test_the_model_with_the_most_threads_decides_how_many_fit():
    """Of those that are left to fit."""
    config = make_config(None, {}, ["boosting.num_threads=1", "network.num_threads=4"], {})
    assert most_threads(config, ["lgbm", "torch"]) == 4
    assert most_threads(config, ["lgbm"]) == 1


def test_the_number_of_workers_is_read_from_the_option_then_the_environment():
    """It is of a start, not of the configuration."""
    assert read_pool(None, {}) == WorkerPool(None)
    assert read_pool("auto", {"WORKERS": "3"}) == WorkerPool(None)
    assert read_pool(None, {"WORKERS": "3"}) == WorkerPool(3)
    assert read_pool("2", {"WORKERS": "3"}) == WorkerPool(2)
    with pytest.raises(
        ConfigError, match="--workers: expected auto or a number from 1 to 1024; got '0'"
    ):
        read_pool("0", {})
    for text in ("1025", "9" * 5000, "-1", "1e3"):
        with pytest.raises(ConfigError, match="WORKERS: expected auto or a number from 1 to 1024"):
            read_pool(None, {"WORKERS": text})
    assert read_pool("2", {}, "dask://10.0.0.1:8786") == WorkerPool(2, "dask://10.0.0.1:8786")
    with pytest.raises(ConfigError, match="expected local, dask or dask://HOST:PORT; got 'ray'"):
        read_pool(None, {}, "ray")
    with pytest.raises(
        ConfigError, match="WORKERS: expected auto or a number from 1 to 1024; got 'many'"
    ):
        read_pool(None, {"WORKERS": "many"})
