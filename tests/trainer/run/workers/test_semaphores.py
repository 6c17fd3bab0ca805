"""Semaphores of killed workers: our own are removed at the next start, no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from tests.support.worker_runs import ENDURING, Trainer
from trainer.run.workers import semaphores
from trainer.run.workers.semaphores import SHARED_MEMORY, remove_semaphores
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.store.records import Status


@pytest.fixture
def dead_pid():
    """A pid that no process has any more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def status_of(pid, **changes):
    own, now = own_identity(), time.time()
    values = {
        "run": "tiny",
        "state": "running",
        "host": own.host,
        "boot_id": own.boot_id,
        "pid": pid,
        "process_started": now - 5.0,
        "attempt": 1,
        "heartbeat_at": now,
        "next_heartbeat_at": now + 3.0,
        "progress_at": now,
    }
    return Status(**(values | changes))


def test_only_the_semaphores_of_the_dead_trainer_are_removed(tmp_path, monkeypatch, dead_pid):
    """Those of another program, of a living process, of another time or boot stay."""
    monkeypatch.setattr(semaphores, "SHARED_MEMORY", tmp_path)
    own, others = f"sem.loky-{dead_pid}-abc", ["sem.other", f"sem.loky-{os.getpid()}-abc"]
    others += [f"sem.loky-{dead_pid}0-abc", f"sem.mp-{dead_pid}", f"sem.loky-{dead_pid}-old"]
    for name in (own, *others):
        (tmp_path / name).touch()
    os.utime(tmp_path / others[-1], (1_000.0, 1_000.0))
    untouched = [
        status_of(dead_pid, boot_id="another boot"),
        status_of(dead_pid, host="elsewhere"),
        status_of(os.getpid()),
        status_of(0),
    ]
    assert [remove_semaphores(status) for status in untouched] == [0] * 4
    assert remove_semaphores(status_of(dead_pid)) == 1
    assert {path.name for path in tmp_path.iterdir()} == set(others)
    assert remove_semaphores(status_of(dead_pid)) == 0


@pytest.mark.faults
@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="semaphores are files on Linux only")
def test_after_a_kill_of_everything_the_next_start_leaves_no_semaphores(tiny_source, tmp_path):
    """Trainer, workers and joblib's helper process die at once; resumed and paused again."""
    root = tmp_path / "state" / "run"
    first = Trainer(root, tiny_source, workers=2, settings=ENDURING)
    first.wait_for_work(num_workers=2)
    everything = [psutil.Process(first.process.pid), *first.children()]
    for process in everything:
        process.suspend()
    for process in everything:
        process.kill()
    first.wait()
    pattern = f"sem.loky-{first.process.pid}-*"
    assert list(SHARED_MEMORY.glob(pattern))
    second = Trainer(root, tiny_source, 2, "--stop-after-folds", "1", settings=ENDURING)
    assert second.wait()[0] == 3
    assert list(SHARED_MEMORY.glob(pattern)) == []
    assert list(SHARED_MEMORY.glob(f"sem.loky-{second.process.pid}-*")) == []
    assert RunReader(root).status().state == "paused"
