"""Folds side by side: the bits do not depend on the worker, and no process is left over."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil
import pytest

from tests.support.tiny_runs import problems_of, tiny_config
from tests.support.worker_runs import (
    ENDURING,
    LONGER,
    Trainer,
    are_gone,
    doubled_lines,
    kill_worker,
    missing_points,
    unequal,
    wait_for,
)
from trainer.run.control import send_command
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.verification import verify_run
from trainer.run.workers.pool import WorkerPool
from trainer.store.locks import is_held
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state


@pytest.fixture
def start(tiny_source):
    """Start trainers; those that a failing test leaves are killed."""
    started = []

    def begin(root, workers, settings=LONGER):
        started.append(Trainer(root, tiny_source, workers, settings=settings))
        return started[-1]

    yield begin
    for trainer in started:
        if trainer.process.poll() is None:
            trainer.kill()


def is_of(worker, other):
    return (worker.model, worker.fold) == (other.model, other.fold)


def running_workers():
    """Return the worker processes of this process; one that has ended and is not yet reaped has
    no command line.
    """
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found += [child] if "popen_loky" in " ".join(child.cmdline()) else []
    return found


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.faults)])
def test_several_workers_give_the_bits_of_one_process(longer_run, tiny_source, tmp_path, workers):
    """Models, out-of-fold table, scores, importance, bundles, feature cache; every point once."""
    root = tmp_path / "run"
    config = tiny_config(tiny_source, *LONGER)
    shown, others = [], running_workers()  # such as the models' process of a test before
    execute(root, config, Limits(), lambda _: None, shown.append, pool=WorkerPool(workers))
    assert unequal(root, longer_run) == []
    assert missing_points(root) == []
    assert doubled_lines(root) == []
    assert 1 < max(len(status.workers) for status in shown) <= workers  # a look every half second
    assert [worker for worker in running_workers() if worker not in others] == []


@pytest.mark.faults  # takes a minute or two
def test_a_run_survives_the_loss_of_a_worker_a_pause_and_the_loss_of_its_coordinator(
    enduring_run, start, tmp_path
):
    """Resumed each time with another number of workers, it ends with the bits of one process."""
    root = tmp_path / "state" / "run"
    first = start(root, workers=2, settings=ENDURING)
    lost = first.wait_for_work(num_workers=2)[0]
    kill_worker(lost)
    wait_for(lambda: problems_of(root), first)
    assert problems_of(root)[0].startswith(
        f"{lost.model} fold {lost.fold}: its worker (pid {lost.pid} on {lost.host}) was ended by "
        f"SIGKILL(-9); the system does that when memory runs out. Another worker continues"
    )
    wait_for(
        lambda: [at for at in first.workers() if is_of(at, lost) and at.pid != lost.pid], first
    )
    children = first.children()
    command = send_command(root, "pause", "the test")
    code, _ = first.wait()
    status = RunReader(root).status()
    assert (code, status.state, status.workers) == (3, "paused", ())
    assert status.acknowledged_at >= command.asked_at
    assert are_gone(children, within_s=2.0) == []
    assert not (root / "units" / "at_work").exists()

    second = start(root, workers=3)
    second.wait_for_points(3)
    children = second.children()
    second.kill()
    assert are_gone(children, within_s=2.0) == []
    assert not is_held(root / "lock")

    third = start(root, workers=1)
    code, words = third.wait()
    assert code == 0, words
    assert unequal(root, enduring_run) == []
    assert missing_points(root) == []
    assert doubled_lines(root) == []


def test_a_second_signal_ends_all_at_once(start, tmp_path):
    """Ctrl-C goes to the whole group: the workers do not hear it; what is on the disk is whole."""
    root = tmp_path / "state" / "run"
    trainer = start(root, workers=2, settings=ENDURING)
    workers = trainer.wait_for_work(num_workers=2)
    children = trainer.children()
    for worker in workers:
        os.kill(worker.pid, signal.SIGINT)
    os.kill(trainer.process.pid, signal.SIGSTOP)  # so that both signals come before it can answer
    os.kill(trainer.process.pid, signal.SIGINT)
    os.kill(trainer.process.pid, signal.SIGTERM)
    assert {worker.pid for worker in workers} <= {c.pid for c in children if c.is_running()}
    os.kill(trainer.process.pid, signal.SIGCONT)
    assert trainer.wait()[0] in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert are_gone(children, within_s=2.0) == []
    assert derive_state(RunReader(root)).state == "interrupted"
    assert [check.detail for check in verify_run(root) if not check.is_good] == []


def test_a_run_with_workers_stops_after_exactly_as_many_folds_as_told(tiny_source, tmp_path):
    """No fold is begun beyond them."""
    config = tiny_config(tiny_source)
    limits = Limits(stop_after_folds=1)
    assert execute(tmp_path / "run", config, limits, lambda _: None, pool=WorkerPool(2)) == "paused"
    units = RunReader(tmp_path / "run").fold_records()
    assert [unit.done for unit in units] == [True, False, False, False]
    assert [unit.step for unit in units] == [6, 0, 0, 0]
