"""The lab: one source, one uninterrupted run, and the means to finish any other and compare.

In: a folder. Out: run folders in every state, and what differs from the run that was never cut off.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.forked_trainers import PROJECT, ForkServer, plain_environment
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import TINY, write_source
from trainer.run.transfer.verification import verify_run
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

SMALLER = (
    "boosting.rounds=6",
    "boosting.num_leaves=3",
    "boosting.learning_rate=0.3",
    "network.batch_size=10",
    "network.save_interval_s=0.000001",  # a checkpoint after every step
)
NOT_BEGUN = ("no run of that name", "ended before its configuration was written")


@dataclass
class Lab:
    """Everything that a case of the fault suite needs.

    Attributes:
        folder: A folder of its own, on a fast file system where there is one.
        server: Starts trainers.
    """

    folder: Path
    server: ForkServer
    count: int = 0

    @cached_property
    def source(self):
        """32 sequences of 4 subjects, two groups of sensors: a run takes a third of a second."""
        return write_source(self.folder, num_subjects=4, length=8, groups=("acc", "thm"))

    @property
    def settings(self):
        words = ["--preset", "quick", "--data", self.source]
        for assignment in (*TINY, *SMALLER):
            words += ["--set", assignment]
        return words

    @cached_property
    def whole(self):
        """A run that was never interrupted, by a process that was started alone."""
        root = self.new_root()
        ended = self.run_alone("train", "--run", root.name, *self.settings, "--state", root.parent)
        assert ended.returncode == 0, ended.stdout
        return root

    @cached_property
    def expected(self):
        return digests_of(self.whole)

    def new_root(self):
        """Return the folder of a run that does not exist yet."""
        self.count += 1
        return self.folder / "state" / f"run-{self.count}"

    def copy(self, root):
        """Return a copy of a run folder, under a name of its own."""
        target = self.new_root()
        shutil.copytree(root, target)
        return target

    def run_alone(self, *words, environment=None):
        """Run a trainer that was started alone, imports and all."""
        return subprocess.run(
            [sys.executable, "-m", "trainer", *map(str, words)],
            cwd=PROJECT,
            env=plain_environment() | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def start(self, root, *shims, environment=None):
        """Start a new run, or go on with the one that is there."""
        shims = [("keep_every_block", {}), *shims]
        words = self.words(root)
        return self.server.start(*words, shims=shims, environment=environment)

    def words(self, root):
        if (root / "config.json").exists() or (root / "config.json.prev").exists():
            return ["resume", root.name, "--state", root.parent]
        return ["train", "--run", root.name, *self.settings, "--state", root.parent]

    def run(self, root, *shims, environment=None):
        return self.start(root, *shims, environment=environment).wait()

    def paused(self, call):
        """Return a run that was paused at its n-th safe point."""
        root = self.new_root()
        ended = self.run(root, ("pause_at", {"call": call}))
        assert ended.code == 3, ended.words
        return root

    def finish(self, root):
        """Bring a run to its end; return how the trainer ended."""
        ended = self.run(root)
        if ended.code == 2 and any(words in ended.words for words in NOT_BEGUN):
            words = ["train", "--run", root.name, *self.settings, "--state", root.parent]
            ended = self.server.run(*words)
        return ended

    def differences(self, root, spent=()):
        """Return what is not as in the uninterrupted run, and what is not healthy.

        Args:
            root: A finished run.
            spent: Files damaged by the test after their last use; ``verify`` reports them.
        """
        found = differences(digests_of(root), self.expected)
        bad = [check for check in verify_run(root) if not check.is_good]
        found += [f"{check.name}: {check.detail}" for check in bad if check.name not in spent]
        found += [f"temporary file {path.name}" for path in root.rglob("*.tmp")]
        state = derive_state(RunReader(root)).state
        return found if state == "finished" else [*found, f"it is {state}"]

    def demand_equal(self, root, spent=()):
        """Finish a run and hold it against the uninterrupted one."""
        ended = self.finish(root)
        assert ended.code == 0, ended.words
        assert self.differences(root, spent) == []
        return ended

    def discard(self, root):
        shutil.rmtree(root, ignore_errors=True)


def problems(root):
    """Return what the trainer found damaged, over all attempts."""
    return [event.text for event in RunReader(root).events() if event.event == "problem"]


def last_line(ended):
    return ended.words.strip().splitlines()[-1] if ended.words.strip() else ""


def read_json(path):
    return json.loads(path.read_bytes())
