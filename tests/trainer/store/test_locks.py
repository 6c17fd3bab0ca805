"""Locks, and leases in a state folder without system locks: an owner file that is renewed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from tests.support.tiny_runs import PROJECT, assert_same_result, tiny_config, train
from trainer.run import RefusedError
from trainer.store import locks
from trainer.store.locks import (
    Lease,
    LeaseLostError,
    LockedError,
    acquire,
    has_system_locks,
    is_held,
    owner_path,
    read_owner,
)
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without flock, such as Google Drive's folder in Colab."""

    def flock(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(locks.fcntl, "flock", flock)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def write_owner(path, age_s, **changes):
    """Forge the owner file of another machine."""
    owner = {"nonce": "n", "host": "elsewhere", "boot_id": "b", "pid": 7, "started": 1.0}
    owner |= {"renewed_at": time.time() - age_s, **changes}
    owner_path(path).write_text(json.dumps(owner))


def test_the_lock_is_held_by_one_process_and_free_after_its_death(path):
    """A second trainer is refused; a dead one leaves no lock; checking does not take it."""
    assert is_held(path) is False
    code = (
        "import sys, time; from pathlib import Path; from trainer.store.locks import acquire\n"
        "lock = acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    assert is_held(path) is True
    with pytest.raises(LockedError, match="held by another process"):
        acquire(path)
    child.kill()
    child.wait()
    child.stdout.close()
    assert is_held(path) is False
    acquire(path).release()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_recognised(path, monkeypatch, code):
    """By the error of the call itself."""
    assert has_system_locks(path)

    def flock(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    assert not has_system_locks(path)


@pytest.mark.parametrize(
    ("kind", "has_locks"), [("fuse.drive", False), ("ext4", True), ("fuseblk", True)]
)
def test_a_mount_whose_locks_other_machines_do_not_see_has_none(path, monkeypatch, kind, has_locks):
    """The innermost mount of the folder counts; a local disk by way of FUSE has locks."""
    mounts = path.with_name("mounts")
    folder = str(path.parent.resolve()).replace(" ", "\\040")
    mounts.write_text(f"none / overlay rw 0 0\nx {folder} {kind} rw 0 0\ny /other fuse.x rw 0 0\n")
    monkeypatch.setattr(locks, "MOUNTS", mounts)
    assert has_system_locks(path) == has_locks


def test_without_locks_an_owner_file_holds_the_run_and_is_deleted_afterwards(path, no_locks):
    """Held; refused to others, with the owner in the message; free again."""
    held = acquire(path, 0.0)
    assert isinstance(held, Lease)
    assert read_owner(path).pid == os.getpid()
    assert is_held(path) is True
    with pytest.raises(LockedError, match=f"held by pid {os.getpid()} on .*, renewed 0 s ago"):
        acquire(path, 0.0)
    held.release()
    assert is_held(path) is False
    assert not owner_path(path).exists()


@pytest.mark.parametrize(
    ("age_s", "is_taken"),
    [
        *((0.0, False), (100.0, False), (200.0, True)),
        *((-100.0, False), (-200.0, True), (-864_000.0, True), (-4e12, True)),
    ],
)
def test_an_owner_on_another_machine_counts_for_two_minutes(path, no_locks, age_s, is_taken):
    """Its process cannot be inspected from here, its renewals can.

    One in the future, as a clock that was set back or a forged file has it, counts no longer.
    """
    write_owner(path, age_s)
    assert is_held(path) is not is_taken
    if is_taken:
        acquire(path, 0.0).release()
        return
    with pytest.raises(LockedError, match="held by pid 7 on elsewhere"):
        acquire(path, 0.0)


@pytest.mark.parametrize("changes", [{"renewed_at": "inf"}, {"pid": -1}, {"pid": 10**30}])
def test_an_owner_file_with_impossible_values_holds_nothing(path, changes):
    """A time without end on another machine; a pid that no process has, on this one."""
    own = own_identity()
    here = {"host": own.host, "boot_id": own.boot_id} if "pid" in changes else {}
    write_owner(path, 0.0, **here, **changes)
    assert is_held(path) is False
    acquire(path).release()


def test_a_folder_with_locks_respects_an_owner_file_too(path):
    """The same Drive may be a folder with locks on the user's own computer."""
    write_owner(path, 5.0)
    assert is_held(path) is True
    with pytest.raises(LockedError, match="elsewhere"):
        acquire(path)


def test_an_owner_that_was_killed_on_this_machine_is_dead_at_once(path, no_locks):
    """No waiting for two minutes if the process can be inspected."""
    code = (
        "import os, signal, sys; from pathlib import Path; from trainer.store.locks import Lease\n"
        "Lease(Path(sys.argv[1]), 0.0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT, check=False)
    assert done.returncode == -9
    assert owner_path(path).exists()
    assert is_held(path) is False
    acquire(path, 0.0).release()


def test_a_lease_that_finds_another_owner_at_a_renewal_ends_and_leaves_it_in_place(
    path, no_locks, monkeypatch
):
    """The other process continues."""
    monkeypatch.setattr(locks, "RENEW_S", 0.02)
    held = acquire(path, 0.0)
    held.demand()
    write_owner(path, 0.0)
    deadline = time.monotonic() + 5
    with pytest.raises(LeaseLostError, match="taken by pid 7 on elsewhere"):
        while time.monotonic() < deadline:
            held.demand()
            time.sleep(0.01)
    held.release()
    assert read_owner(path).host == "elsewhere"


def test_two_processes_that_take_it_at_the_same_time_do_not_both_hold_it(path, no_locks):
    """After the wait, the later owner file counts; the first process ends."""
    taken = {}

    class Rival(Lease):
        def _write(self):
            super()._write()
            if not taken:
                taken["rival"] = True
                write_owner(path, 0.0)

    with pytest.raises(LeaseLostError, match="elsewhere"):
        Rival(path, 0.0)


def test_a_whole_run_without_locks_is_the_same_run_and_its_status_shows_it(
    tiny_run, tiny_source, tmp_path, no_locks
):
    """Equal bits; the log and the evidence name the owner file; no owner file remains."""
    root, lines = tmp_path / "state" / "tiny", []
    assert train(root, tiny_config(tiny_source), echo=lines.append) == "finished"
    assert lines[0].startswith("this folder has no locks of the operating system: a renewed owner")
    assert RunReader(root).status().lock_kind == "owner file"
    evidence = {each.what: each.seen for each in derive_state(RunReader(root)).evidence}
    assert evidence["Lock"] == (
        "free (an owner file that is renewed; this file system has no locks)"
    )
    assert list(root.rglob("*.owner")) == []
    assert_same_result(root, tiny_run)


def test_a_run_that_another_machine_works_on_is_refused(tiny_source, tmp_path, no_locks):
    """And its folder is left unchanged."""
    root = tmp_path / "state" / "tiny"
    root.mkdir(parents=True)
    write_owner(root / "lock", 10.0)
    with pytest.raises(RefusedError, match="tiny"):
        train(root, tiny_config(tiny_source))
    assert {path.name for path in root.iterdir()} == {"lock.owner"}
