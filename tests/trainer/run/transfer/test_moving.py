"""Moving: renamed, moved aside or deleted; a run that a trainer holds stays where it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from tests.support.tiny_runs import PROJECT, tiny_config, train
from trainer.run import RefusedError
from trainer.run.pipeline import Limits
from trainer.run.transfer import moving
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.moving import TransferError, delete_run, rename, start_over
from trainer.run.transfer.verification import verify_run
from trainer.store import locks
from trainer.store.locks import acquire, owner_path
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "here" / "tiny")


@pytest.fixture
def state(tmp_path):
    return tmp_path / "there"


@pytest.fixture
def exported(run, tmp_path):
    export_run(run, tmp_path / "tiny.zip")
    return tmp_path / "tiny.zip"


def test_starting_over_moves_the_run_aside_and_deletes_nothing(run):
    """The name is free; a second time gets the next number."""
    before = {path.name for path in run.iterdir()}
    first = start_over(run)
    assert (first.name, run.exists()) == ("tiny.old-1", False)
    assert {path.name for path in first.iterdir()} == before
    shutil.copytree(first, finished)
    assert start_over(run).name == "tiny.old-2"
    assert derive_state(RunReader(first)).state == "finished"


def test_a_run_in_use_is_not_moved_aside(run):
    """Its trainer would write into a folder that is no longer there."""
    said = json.loads((run / "status.json").read_bytes()) | {"state": "running"}
    (run / "status.json").write_text(json.dumps(said))
    held = acquire(run / "lock")
    with pytest.raises(RefusedError, match="Pause it before starting over"):
        start_over(run)
    held.release()
    assert run.exists()


def test_a_run_is_renamed_with_everything_in_it(run):
    """The folder moves, the configuration says the new name, every checksum is right."""
    before = (run / "oof.parquet").read_bytes()
    moved = rename(run, "baseline")
    assert moved == run.with_name("baseline")
    assert not run.exists()
    assert RunReader(moved).run_file().run == "baseline"
    assert (moved / "oof.parquet").read_bytes() == before
    assert all(check.is_good for check in verify_run(moved))


def test_a_renamed_run_goes_on_to_the_same_result(tiny_run, tiny_source, state):
    """Paused, renamed, resumed: the table of the run that never was moved."""
    config = tiny_config(tiny_source)
    assert train(state / "one", config, Limits(stop_after_folds=3)) == "paused"
    moved = rename(state / "one", "two")
    assert train(moved, config) == "finished"
    assert (moved / "oof.parquet").read_bytes() == (tiny_run / "oof.parquet").read_bytes()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "run name: expected 1 to 64 of a-z"),
        ("Upper", "run name: expected 1 to 64 of a-z"),
        ("tiny", "run tiny: there already"),
        ("taken", "run taken: there already"),
    ],
)
def test_a_run_is_not_renamed_to_what_cannot_be_or_is_there(run, name, reason):
    """An empty folder counts as taken: a move would swallow it."""
    run.with_name("taken").mkdir()
    with pytest.raises(RefusedError, match=reason):
        rename(run, name)
    assert RunReader(run).run_file().run == "tiny"


def test_what_is_no_run_or_in_use_or_fixed_is_not_renamed(run, monkeypatch):
    """Each is refused with its reason, and stays where it is."""
    with pytest.raises(RefusedError, match="no run there"):
        rename(run.with_name("nowhere"), "new")
    said = json.loads((run / "status.json").read_bytes())
    (run / "status.json").write_text(json.dumps(said | {"state": "running"}))
    held = acquire(run / "lock")
    with pytest.raises(RefusedError, match=r"a trainer is at work on it\. Pause it"):
        rename(run, "new")
    held.release()

    def read_only(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(moving, "replace", read_only)
    with pytest.raises(RefusedError, match=r"could not be moved .*Permission denied"):
        rename(run, "new")
    assert (run / "oof.parquet").exists()


def test_only_the_deleted_run_is_gone(run, exported):
    """Also if an earlier deletion of the same run was killed."""
    other = import_run(exported, run.parent / "others")
    leftover = run.with_name(".deleting-tiny")
    (leftover / "units").mkdir(parents=True)
    delete_run(run)
    assert not run.exists()
    assert list_runs(run.parent) == []
    assert content(other)


def test_remains_of_a_killed_deletion_or_import_are_removed_by_the_next_one(run, exported):
    """A kill after the rename leaves a hidden folder, which is never listed."""
    state = run.parent
    killed, arriving, dead = (
        state / name for name in (".deleting-1", ".arriving-1", ".arriving-2")
    )
    for folder in (killed, arriving, dead):
        (folder / "units").mkdir(parents=True)
    os.utime(dead, (0, 0))
    assert [reader.name for reader in list_runs(state)] == ["tiny"]
    import_run(exported, state, "other")
    assert sorted(entry.name for entry in state.iterdir()) == [".arriving-1", "other", "tiny"]
    killed.mkdir()
    delete_run(run)
    assert sorted(entry.name for entry in state.iterdir()) == [".arriving-1", "other"]


def test_a_deletion_that_is_killed_leaves_no_half_run(run, monkeypatch):
    """The folder is renamed first."""

    class Killed(BaseException):
        pass

    def killed(path):
        next(path.rglob("*.parquet")).unlink()
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(Killed):
        delete_run(run)
    assert list_runs(run.parent) == []
    assert not run.exists()


def test_of_a_link_only_the_link_is_deleted(run, state):
    """The run it points to belongs to another state folder."""
    state.mkdir()
    (state / "linked").symlink_to(run)
    delete_run(state / "linked")
    assert list(state.iterdir()) == []
    assert all(check.is_good for check in verify_run(run))


def test_a_deletion_that_cannot_be_finished_names_the_rest(run, monkeypatch):
    """For instance a file that belongs to another user."""

    def denied(path, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", denied)
    with pytest.raises(TransferError, match=r"Permission denied.*the rest is in .*\.deleting-"):
        delete_run(run)


def test_a_run_with_only_the_copy_of_its_configuration_can_be_deleted(run):
    """Also if its status is missing."""
    (run / "config.json").unlink()
    (run / "status.json").unlink()
    assert [reader.name for reader in list_runs(run.parent)] == ["tiny"]
    delete_run(run)
    assert list_runs(run.parent) == []


def test_a_folder_without_a_run_is_not_deleted(tmp_path):
    """A wrong path never deletes a folder."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    for path in (tmp_path / "photos", tmp_path / "nowhere"):
        with pytest.raises(RefusedError, match="no run in this folder"):
            delete_run(path)
    assert (tmp_path / "photos" / "cat.jpg").exists()
