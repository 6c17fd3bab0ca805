"""Runs that are long enough to be interrupted: 48 sequences, 2 folds of each model.

``LONGER`` takes some seconds; a fold of ``ENDURING`` takes so long on any machine that it can be
interrupted after its first points were seen.

In: a folder. Out: trainers as processes of their own, what they and their workers are doing, and
what differs between two finished runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil

from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import PROJECT, TINY
from trainer.run.transfer.verification import verify_run
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

LONGER = (
    *TINY,
    "boosting.rounds=500",
    "boosting.segment_rounds=20",
    "network.epochs=12",
    "network.save_interval_s=0.1",
)
ENDURING = (
    *LONGER,
    "boosting.rounds=3000",
    "network.epochs=50",
)
PATIENCE_S = 300.0  # on a machine that is busy with other things


class Trainer:
    """``python -m trainer train|resume`` in a process of its own."""

    def __init__(self, root, source, workers, *options, environment=None, settings=LONGER):
        is_new = not (root / "config.json").exists()
        words = ["train", "--run", root.name] if is_new else ["resume", root.name]
        if is_new:
            words += ["--preset", "quick", "--data", str(source)]
            words += [word for setting in settings for word in ("--set", setting)]
        words += ["--state", str(root.parent), "--workers", str(workers), *options]
        self.root = root
        self.points_before = len(points_of(root))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *words],
            cwd=PROJECT,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a process group of its own, as a terminal gives it
        )

    def workers(self):
        """Return what the workers of this trainer do, as its status shows."""
        status = RunReader(self.root).status()
        return () if status is None or status.pid != self.process.pid else status.workers

    def wait_for_work(self, step=30, num_workers=1, killed=()):
        """Wait until so many workers, those killed aside, are so far in their fold."""

        def far():
            found = [at for at in self.workers() if at.step >= step and at.pid not in killed]
            return found if len(found) >= num_workers else None

        return wait_for(far, self)

    def wait_for_fold(self, model):
        """Wait until a worker is on a fold of this model that has points already; return it."""

        def begun():
            units = {(point.model, point.fold) for point in points_of(self.root)}
            found = [at for at in self.workers() if (at.model, at.fold) in units]
            return next((at for at in found if at.model == model), None)

        return wait_for(begun, self)

    def wait_for_points(self, number):
        """Wait until this start has added so many segments and epochs to the history."""
        wait_for(lambda: len(points_of(self.root)) >= self.points_before + number, self)

    def children(self):
        """Return all processes that this trainer has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait(self, patience_s=PATIENCE_S):
        """Return its exit code and what it printed."""
        words, _ = self.process.communicate(timeout=patience_s)
        return self.process.returncode, words

    def kill(self):
        """Kill it with -9, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def wait_for(condition, trainer=None):
    """Return what the condition gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        is_over = trainer is not None and trainer.process.poll() is not None
        assert not is_over, f"the trainer ended: {trainer.wait()}"
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def kill_worker(worker):
    """Kill a worker with -9; return whether it was still there."""
    try:
        os.kill(worker.pid, signal.SIGKILL)
    except ProcessLookupError:  # its last fold ended since the status was read
        return False
    return True


def are_gone(processes, within_s):
    """Return the processes that still live after so long."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return [process.cmdline() for process in alive]


def unequal(root, whole):
    """Return what differs from a run of one process without a break, or is damaged or left over."""
    found = differences(digests_of(root), digests_of(whole))
    found += [check.name for check in verify_run(root) if not check.is_good]
    found += [path.name for path in root.rglob("*.tmp")]
    found += [path.name for path in (root / "units").glob("at_work/*")]
    state = derive_state(RunReader(root)).state
    return found if state == "finished" else [*found, state]


def doubled_lines(root):
    lines = (root / "metrics.jsonl").read_bytes().splitlines()
    return [line for line, count in Counter(lines).items() if count > 1]


def points_of(root):
    """Return the points of the curves that the history has."""
    return [event for event in RunReader(root).events() if event.event in ("segment", "epoch")]


def missing_points(root, num_folds=2):
    """Return the points of the curves that no line of the history has."""
    config = RunReader(root).run_file().settings()
    rounds, segment = config.boosting.rounds, config.boosting.segment_rounds
    epochs = config.network.epochs
    steps = [segment, 2 * segment, *range(4 * segment, rounds, 4 * segment), rounds]
    wanted = {("lgbm", fold, step) for fold in range(num_folds) for step in steps}
    wanted |= {("torch", fold, n) for fold in range(num_folds) for n in range(1, epochs + 1)}
    found = {(point.model, point.fold, int(point.values["step"])) for point in points_of(root)}
    return sorted(wanted - found)
