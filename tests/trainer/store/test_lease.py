"""A state folder without locks of the system: owner file and renewals, said in the status."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from tests.support.tiny_runs import PROJECT, assert_same_result, tiny_config, train
from trainer.run.refusal import RefusedError
from trainer.store import lease, lock
from trainer.store.lease import Lease, LeaseLostError, owner_path, read_owner
from trainer.store.lock import LockedError, acquire, has_system_locks, is_held
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state


@pytest.fixture
def no_locks(monkeypatch):
    """A system that knows no flock, as Google Drive's folder in Colab."""

    def flock(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(lock.fcntl, "flock", flock)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def write_owner(path, age_s, **changes):
    """Forge the owner file of another machine."""
    owner = {"nonce": "n", "host": "elsewhere", "boot_id": "b", "pid": 7, "started": 1.0}
    owner |= {"renewed_at": time.time() - age_s, **changes}
    owner_path(path).write_text(json.dumps(owner))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_system_without_locks_is_found_out(path, monkeypatch, code):
    """By what the call itself says."""
    assert has_system_locks(path)

    def flock(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    assert not has_system_locks(path)


@pytest.mark.parametrize(
    ("kind", "has_locks"), [("fuse.drive", False), ("ext4", True), ("fuseblk", True)]
)
def test_a_mount_whose_locks_nobody_else_sees_has_none(path, monkeypatch, kind, has_locks):
    """The innermost mount of the folder counts; a local disk by way of FUSE has locks."""
    mounts = path.with_name("mounts")
    folder = str(path.parent.resolve()).replace(" ", "\\040")
    mounts.write_text(f"none / overlay rw 0 0\nx {folder} {kind} rw 0 0\ny /other fuse.x rw 0 0\n")
    monkeypatch.setattr(lock, "MOUNTS", mounts)
    assert has_system_locks(path) == has_locks


def test_without_locks_an_owner_file_holds_the_run_and_goes_with_it(path, no_locks):
    """Held, refused to others with who it is, free again after."""
    held = acquire(path, 0.0)
    assert isinstance(held, Lease)
    assert read_owner(path).pid == os.getpid()
    assert is_held(path) is True
    with pytest.raises(LockedError, match=f"held by pid {os.getpid()} on .*, renewed 0 s ago"):
        acquire(path, 0.0)
    held.release()
    assert is_held(path) is False
    assert not owner_path(path).exists()


@pytest.mark.parametrize(("age_s", "is_taken"), [(0.0, False), (100.0, False), (200.0, True)])
def test_an_owner_on_another_machine_is_believed_for_two_minutes(path, no_locks, age_s, is_taken):
    """Its process cannot be seen from here, its renewals can."""
    write_owner(path, age_s)
    assert is_held(path) is not is_taken
    if is_taken:
        acquire(path, 0.0).release()
        return
    with pytest.raises(LockedError, match="held by pid 7 on elsewhere"):
        acquire(path, 0.0)


def test_a_folder_with_locks_heeds_an_owner_file_too(path):
    """The same Drive may be a folder with locks on somebody's own computer."""
    write_owner(path, 5.0)
    assert is_held(path) is True
    with pytest.raises(LockedError, match="elsewhere"):
        acquire(path)


def test_an_owner_that_was_killed_here_is_known_to_be_dead_at_once(path, no_locks):
    """No waiting for two minutes where the process can be looked at."""
    code = (
        "import os, signal, sys; from pathlib import Path; from trainer.store.lease import Lease\n"
        "Lease(Path(sys.argv[1]), 0.0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT, check=False)
    assert done.returncode == -9
    assert owner_path(path).exists()
    assert is_held(path) is False
    acquire(path, 0.0).release()


def test_who_finds_another_owner_at_a_renewal_ends_and_leaves_it_in_place(
    path, no_locks, monkeypatch
):
    """The other one goes on."""
    monkeypatch.setattr(lease, "RENEW_S", 0.02)
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


def test_two_who_take_it_in_the_same_moment_do_not_both_have_it(path, no_locks):
    """After the wait, the later owner file counts; the first ends."""
    taken = {}

    class Rival(Lease):
        def _write(self):
            super()._write()
            if not taken:
                taken["rival"] = True
                write_owner(path, 0.0)

    with pytest.raises(LeaseLostError, match="elsewhere"):
        Rival(path, 0.0)


def test_a_whole_run_without_locks_is_the_same_run_and_its_status_says_so(
    tiny_run, tiny_source, tmp_path, no_locks
):
    """Equal bits; the log and the evidence name the owner file; nothing of it is left."""
    root, said = tmp_path / "state" / "tiny", []
    assert train(root, tiny_config(tiny_source), echo=said.append) == "finished"
    assert said[0].startswith("this folder has no locks of the system: an owner file")
    assert RunReader(root).status().lock_kind == "owner file"
    evidence = {each.what: each.seen for each in derive_state(RunReader(root)).evidence}
    assert evidence["Lock"] == (
        "free (an owner file and its renewals; this folder has no locks of the system)"
    )
    assert list(root.rglob("*.owner")) == []
    assert_same_result(root, tiny_run)


def test_a_run_that_another_machine_works_on_is_refused(tiny_source, tmp_path, no_locks):
    """And left as it is."""
    root = tmp_path / "state" / "tiny"
    root.mkdir(parents=True)
    write_owner(root / "lock", 10.0)
    with pytest.raises(RefusedError, match="tiny"):
        train(root, tiny_config(tiny_source))
    assert {path.name for path in root.iterdir()} == {"lock.owner"}
