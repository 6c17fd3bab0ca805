"""Folds on Dask: scheduler and workers as processes of their own, on loopback; the bits stay."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.tiny_runs import PROJECT, problems_of
from tests.support.worker_runs import (
    ENDURING,
    Trainer,
    doubled_lines,
    kill_worker,
    missing_points,
    points_of,
    unequal,
    wait_for,
)
from trainer.run.control import send_command
from trainer.run.workers.dask_cluster import connect
from trainer.run.workers.engine import EngineError
from trainer.store.reader import RunReader

pytest.importorskip("distributed")

ASL = Path(os.environ.get("ASL", PROJECT.parent / "shared" / "data" / "asl.parquet"))
REAL = ("folds.count=2", "boosting.rounds=100", "network.epochs=2")
REAL_PATIENCE_S = 1200.0
LOST = re.compile(
    r"(?:lgbm|torch) fold \d: its worker \(pid (\d+) on .*\) is gone\. "
    r"Another worker continues from the last checkpoint"
)


@pytest.mark.faults  # takes two minutes
def test_a_run_on_two_dask_workers_that_loses_two_of_them_has_the_bits_of_one_process(
    enduring_run, cluster, tiny_source, tmp_path
):
    """A lost worker's fold goes on elsewhere; paused within seconds; finished by local workers."""
    root = tmp_path / "state" / "run"
    cluster.add_workers(2)
    trainer = Trainer(root, tiny_source, "auto", "--engine", cluster.engine, settings=ENDURING)
    killed = []
    while len(problems_of(root)) < 2:
        lost = trainer.wait_for_work(step=5, killed=killed)[0]
        killed.append(lost.pid)
        cluster.add_worker()
        kill_worker(lost)
        wait_for(lambda unit=lost: is_told_or_done(root, unit), trainer)
    told = [LOST.fullmatch(text) for text in problems_of(root)]
    assert all(told)
    assert {int(found[1]) for found in told} <= set(killed)
    trainer.wait_for_points(len(points_of(root)) - trainer.points_before + 3)
    command = send_command(root, "pause", "the test")
    assert trainer.wait()[0] == 3
    assert RunReader(root).status().acknowledged_at >= command.asked_at
    again = Trainer(root, tiny_source, 2, "--engine", cluster.engine)
    code, words = again.wait()
    assert code == 0, words
    assert unequal(root, enduring_run) == []
    assert missing_points(root) == []
    assert doubled_lines(root) == []


@pytest.mark.faults  # takes some minutes
@pytest.mark.parametrize("source", ["simulated:8", str(ASL)])
def test_a_source_on_two_dask_workers_that_loses_one_of_each_model_has_the_bits_of_local(
    cluster, tmp_path, source
):
    """Each is killed with -9 in the middle of a fold, after a first segment or epoch."""
    if source == str(ASL) and not ASL.exists():
        pytest.skip(f"{ASL} is not there; name it in ASL=")
    whole, root = tmp_path / "local" / "run", tmp_path / "dask" / "run"
    local = Trainer(whole, source, 1, "--engine", "local", settings=REAL)
    code, words = local.wait(REAL_PATIENCE_S)
    assert code == 0, words
    cluster.add_workers(2)
    trainer = Trainer(root, source, "auto", "--engine", cluster.engine, settings=REAL)
    killed = []
    for model in ("lgbm", "torch"):
        lost = trainer.wait_for_fold(model)
        cluster.add_worker()
        assert kill_worker(lost)
        killed.append(lost.pid)
    code, words = trainer.wait(REAL_PATIENCE_S)
    assert code == 0, words
    assert [int(LOST.fullmatch(text)[1]) for text in problems_of(root)] == killed
    assert unequal(root, whole) == []
    assert doubled_lines(root) == []


@pytest.mark.faults  # takes a minute and a half
def test_a_run_whose_scheduler_is_lost_says_so_and_goes_on_without_it(
    enduring_run, cluster, tiny_source, tmp_path
):
    """What the folds had saved is not lost, and nobody is left at work on them."""
    root = tmp_path / "state" / "run"
    cluster.add_workers(2)
    trainer = Trainer(root, tiny_source, "auto", "--engine", cluster.engine, settings=ENDURING)
    trainer.wait_for_points(3)
    cluster.processes[0].kill()
    code, words = trainer.wait()
    assert code == 1
    assert "Dask's scheduler is gone. Start it and its workers, then resume" in words
    assert "Traceback" not in words
    code, words = Trainer(root, tiny_source, 2).wait()
    assert code == 0, words
    assert unequal(root, enduring_run) == []
    assert missing_points(root) == []
    assert doubled_lines(root) == []


def is_told_or_done(root, lost):
    """Return whether a lost worker is told of; its fold may have been done just before."""
    units = RunReader(root).fold_records()
    is_done = any((u.model, u.fold) == (lost.model, lost.fold) and u.done for u in units)
    return is_done or any(f"(pid {lost.pid} on " in text for text in problems_of(root))


def test_a_look_at_the_workers_never_misses_one(cluster):
    """Dask's own refresh of what it knows, which counts none, may fall between two looks."""
    import dask

    cluster.add_workers(2)
    with dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}):
        engine = connect(cluster.engine, None, 1)
    assert {len(engine.workers()) for _ in range(500)} == {2}
    engine.close()


def test_the_network_claims_the_gpu_of_a_worker_that_has_one(cluster):
    """One fold each; LightGBM's folds leave it to the network while there is another worker."""
    cluster.add_worker("--resources", "GPU=1")
    wait_for(cluster.workers)
    cluster.add_workers(1)
    engine = connect(cluster.engine, None, 1)
    with_gpu = engine._choose(("torch", 0))
    assert engine._has_gpu(with_gpu)
    assert engine._choose(("lgbm", 0)) != with_gpu
    engine.close()


def test_a_scheduler_without_workers_and_no_scheduler_are_reported(cluster, monkeypatch):
    """With what to start."""
    with pytest.raises(EngineError, match="the scheduler has no worker"):
        connect(cluster.engine, None, 1)
    cluster.add_workers(1)
    monkeypatch.setattr("trainer.run.workers.dask_cluster.CONNECT_S", 0.5)
    engine = connect(cluster.engine, None, 1)
    cluster.processes[0].send_signal(signal.SIGKILL)
    cluster.processes[0].wait()
    with pytest.raises(EngineError, match="Dask's scheduler is gone"):
        wait_for(lambda: not engine.workers())
    engine.close()
    with pytest.raises(EngineError, match="no scheduler replies there"):
        connect(cluster.engine, None, 1)
