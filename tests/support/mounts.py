"""Stand-in mounts: what Kaggle lays around a notebook, in a folder of the test's own.

In: a folder. Out: an input folder with the competition in it, a working folder, the environment in
which the trainer takes them for Kaggle's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.builders import make_demographics, make_table
from tests.support.forked_trainers import fork_server, plain_environment
from trainer.data.sources import COMPETITION, INPUT_NAME

PROJECT = Path(__file__).resolve().parents[2]


def mount_competition(mount, between=".", **options):
    """Write the competition's four tables under an input folder and return their folder."""
    folder = mount / between / COMPETITION
    folder.mkdir(parents=True)
    train = make_table(**options)
    test = make_table(num_subjects=2, sequences_per_subject=4, seed=9, labelled=False)
    train.write_csv(folder / "train.csv")
    make_demographics(train, left_handers=("SUBJ_000001",)).write_csv(
        folder / "train_demographics.csv"
    )
    test.write_csv(folder / "test.csv")
    make_demographics(test).write_csv(folder / "test_demographics.csv")
    return folder


def mount_output(working, mount, place):
    """Mount what a session left in its working folder as an input of the next, read-only."""
    target = mount / place
    shutil.copytree(working, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return target


def unlock(mount):
    """Let a test's own folders be removed again."""
    for path in (mount, *mount.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def environment(mount, **names):
    """Return the environment of a session whose inputs are mounted there."""
    return plain_environment() | {INPUT_NAME: str(mount), "PYTHONPATH": str(PROJECT)} | names


def run_trainer(mount, working, *words, **names):
    """Run ``python -m trainer`` in a working folder; return its exit code and what it printed."""
    ended = fork_server().run(*words, environment=environment(mount, **names), folder=working)
    return ended.code, ended.words


def content(folder):
    """Return the bytes of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
