"""Folds side by side under fire: pauses, kills and failpoints at random; the bits stay.

python -m pytest -m faults tests/faults/test_workers.py
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.faults import summary
from tests.support.dask_cluster import Cluster
from tests.support.tiny_runs import problems_of
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
from trainer.store.reader import RunReader

pytestmark = pytest.mark.faults
MOST_INTERRUPTED = 8  # starts; then it is left in peace


def demand_equal(root, whole):
    assert unequal(root, whole) == []
    assert missing_points(root) == []
    assert doubled_lines(root) == []


def is_at_work(trainer):
    """Return whether a fold has moved in this start, or the trainer has ended."""
    status = RunReader(trainer.root).status()
    is_own = status is not None and status.pid == trainer.process.pid
    return trainer.process.poll() is not None or (is_own and status.units_begun > 0)


def interrupt(trainer, rng, kinds):
    """Do one of several things to a trainer at work; return whether it came to that."""
    wait_for(lambda: is_at_work(trainer))
    time.sleep(rng.uniform(0.0, 2.0))
    if trainer.process.poll() is not None:
        return False
    kind = rng.choice(kinds)
    children = trainer.children()
    workers = trainer.workers()
    if "worker" in kind and workers and not kill_worker(rng.choice(workers)):
        return False
    if "coordinator" in kind:
        trainer.kill()
        assert are_gone(children, within_s=2.0) == []
    if kind == "pause":
        send_command(trainer.root, "pause", "the fault suite")
    return True


def interrupted_run(root, source, whole, seed, kinds, row):
    """Start over and over, each time with another number of workers, until it is finished."""
    rng = random.Random(seed)
    for _ in range(MOST_INTERRUPTED):
        trainer = Trainer(root, source, rng.choice([1, 2, 2, 3]), settings=ENDURING)
        summary.count(row, landed=interrupt(trainer, rng, kinds))
        code, words = trainer.wait()
        assert code in (0, 3, -9), words
        if code == 0:
            break
    else:
        assert Trainer(root, source, 2).wait()[0] == 0
    with summary.case(row, landed=0):
        demand_equal(root, whole)


@pytest.mark.parametrize("seed", range(2))
def test_pauses_at_random_with_other_numbers_of_workers_change_no_bit(
    enduring_run, tiny_source, tmp_path, seed
):
    """Each start has one to three workers and is paused at some instant."""
    row = "side by side: pause, other number"
    interrupted_run(tmp_path / "run", tiny_source, enduring_run, seed, ["pause"], row)


@pytest.mark.parametrize("seed", range(3))
def test_kills_of_workers_and_coordinators_change_no_bit(enduring_run, tiny_source, tmp_path, seed):
    """One of them, or both at once; no line of history is lost or doubled."""
    kinds = ["worker", "coordinator", "worker and coordinator", "pause"]
    seed += int(os.environ.get("FAULTS_SEED", "1000"))
    interrupted_run(
        tmp_path / "run", tiny_source, enduring_run, seed, kinds, "side by side: kill -9 at random"
    )


@pytest.mark.parametrize("name", ["unit.rotated", "unit.placed", "unit.recorded"])
def test_workers_that_die_inside_every_few_commits_end_with_the_same_bits(
    longer_run, tiny_source, tmp_path, name
):
    """Each worker process dies at its ninth commit; the next goes on; no resume is needed."""
    root = tmp_path / "run"
    trainer = Trainer(
        root, tiny_source, 2, environment={"TRAINER_FAILPOINT": f"{name}:9"}, settings=LONGER
    )
    code, words = trainer.wait()
    assert code == 0, words
    losses = [text for text in problems_of(root) if "SIGKILL" in text]
    assert len(losses) >= 4
    with summary.case("side by side: workers die in commits", landed=len(losses)):
        demand_equal(root, longer_run)


def test_a_worker_that_dies_at_once_over_and_over_fails_the_run(tiny_source, tmp_path):
    """A message for people; the run can be resumed."""
    root = tmp_path / "run"
    trainer = Trainer(root, tiny_source, 2, environment={"TRAINER_FAILPOINT": "unit.placed:1"})
    code, words = trainer.wait()
    assert code == 1
    assert "3 workers were lost there without progress" in words
    assert "Traceback" not in words


def test_a_dask_cluster_of_our_own_dies_with_its_coordinator(enduring_run, tiny_source, tmp_path):
    """And the run goes on without it, to the same bits; then once more with it, undisturbed."""
    pytest.importorskip("distributed")
    root = tmp_path / "run"
    trainer = Trainer(root, tiny_source, 2, "--engine", "dask", settings=ENDURING)
    trainer.wait_for_work(step=5, num_workers=2)
    children = trainer.children()
    trainer.kill()
    assert are_gone(children, within_s=5.0) == []
    again = Trainer(root, tiny_source, 2, "--engine", "dask")
    again.wait_for_work(step=5)
    children = again.children()
    again.process.send_signal(signal.SIGINT)
    assert again.wait()[0] == 3
    assert are_gone(children, within_s=5.0) == []
    assert Trainer(root, tiny_source, 2, "--engine", "dask").wait()[0] == 0
    demand_equal(root, enduring_run)


def test_a_coordinator_that_is_killed_leaves_dask_workers_that_the_next_one_stops(
    enduring_run, tiny_source, tmp_path
):
    """They are not its children: they see a later attempt, and let go of their folds."""
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    try:
        cluster.add_worker()
        cluster.add_worker()
        root = tmp_path / "state" / "run"
        trainer = Trainer(root, tiny_source, "auto", "--engine", cluster.engine, settings=ENDURING)
        trainer.wait_for_work(step=5, num_workers=2)
        trainer.kill()
        code, words = Trainer(root, tiny_source, 2).wait()
        assert code == 0, words
        demand_equal(root, enduring_run)
    finally:
        cluster.close()
