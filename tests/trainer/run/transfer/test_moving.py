"""Moving: renamed, moved aside or deleted; a run that a trainer holds stays where it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from tests.support.tiny_runs import PROJECT, tiny_config, train
from trainer.run import RefusedError
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer import moving
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.moving import TransferError, delete_run, rename, start_over
from trainer.run.transfer.verification import verify_run
from trainer.store import locks
from trainer.store.locks import acquire, owner_path
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state


def test_starting_over_moves_the_run_aside_and_deletes_nothing(run):
    """The name is free; a second time gets the next number."""
    before = {path.name for path in run.iterdir()}
    first = start_over(run)
    assert (first.name, run.exists()) == ("tiny.old-1", False)
    assert {path.name for path in first.iterdir()} == before
    shutil.copytree(first, run)
    assert start_over(run).name == "tiny.old-2"
    assert derive_state(RunReader(first)).state == "finished"


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


def test_a_run_in_a_folder_that_cannot_be_written_stays(run, monkeypatch):
    """Refused with the reason."""

    def read_only(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(moving, "replace", read_only)
    for move in (lambda: rename(run, "new"), lambda: start_over(run), lambda: delete_run(run)):
        with pytest.raises(RefusedError, match=r"could not be moved .*Permission denied"):
            move()
    assert (run / "oof.parquet").exists()


def test_only_the_deleted_run_is_gone(run, exported):
    """Also if an earlier deletion of the same run was killed."""
    other = import_run(exported, run.parent / "others")
    leftover = run.with_name(".deleting-tiny")
    (leftover / "units").mkdir(parents=True)
    delete_run(run)
    assert not run.exists()
    assert list_runs(run.parent) == []
    assert all(check.is_good for check in verify_run(other))


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
        for move in (delete_run, start_over, lambda root: rename(root, "new")):
            with pytest.raises(RefusedError, match="no run in this folder"):
                move(path)
        assert not (path / "lock").exists()
    assert (tmp_path / "photos" / "cat.jpg").exists()


# Only without a trainer

MOVES = {
    "start over": start_over,
    "rename it": lambda root: rename(root, "new"),
    "delete it": delete_run,
}


@pytest.mark.parametrize("state_word", ["paused", "finished", "running"])
@pytest.mark.parametrize("wish", MOVES)
def test_a_run_whose_lock_is_held_stays_whatever_its_status_says(run, wish, state_word):
    """A trainer that has just begun has not written its status yet."""
    values = json.loads((run / "status.json").read_bytes()) | {"state": state_word}
    (run / "status.json").write_text(json.dumps(values))
    held = acquire(run / "lock")
    message = f"run tiny: a trainer is running it. Pause it, then {wish}"
    with pytest.raises(RefusedError, match=message):
        MOVES[wish](run)
    with pytest.raises(RefusedError, match="a trainer is writing to it"):
        export_run(run, run.parent / "tiny.zip")
    with pytest.raises(RefusedError, match="a trainer is writing to it"):
        import_run(run, run.parent / "other")
    held.release()
    assert all(check.is_good for check in verify_run(run))
    MOVES[wish](run)
    assert not run.exists()


@pytest.mark.parametrize("wish", MOVES)
def test_a_run_that_a_worker_still_writes_to_stays(run, wish):
    """A worker that has lost its trainer would build the folder again."""
    held = acquire(run / "units" / "lgbm_fold00.lock")
    with pytest.raises(RefusedError, match=f"Pause it, then {wish}"):
        MOVES[wish](run)
    held.release()
    acquire(run / "lock").release()  # free again
    MOVES[wish](run)


@pytest.mark.parametrize("wish", MOVES)
def test_a_run_under_a_lease_stays_and_no_lease_is_left_behind(run, wish, monkeypatch):
    """A folder without system locks: the owner file decides, and does not move along."""

    def flock(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    held = acquire(run / "lock", 0.0)
    with pytest.raises(RefusedError, match=f"Pause it, then {wish}"):
        MOVES[wish](run)
    assert owner_path(run / "lock").exists()
    held.release()
    MOVES[wish](run)
    assert list(run.parent.rglob("*.owner")) == []
    assert not run.exists()


@pytest.fixture
def seen(monkeypatch):
    """Whether the lock was held at each move of the folder."""
    seen = []
    replace = moving.replace

    def look_and_replace(source, target):
        seen.append(locks.is_held(source / "lock"))
        replace(source, target)

    monkeypatch.setattr(moving, "replace", look_and_replace)
    return seen


@pytest.mark.parametrize("wish", MOVES)
def test_the_lock_is_held_while_the_folder_moves(run, wish, seen):
    """A trainer that starts at that moment is refused."""
    MOVES[wish](run)
    assert seen == [True]


def test_on_windows_the_lock_is_released_right_before_the_folder_moves(run, seen, monkeypatch):
    """An open file in a folder keeps it from being renamed there."""
    monkeypatch.setattr(moving.sys, "platform", "win32")
    rename(run, "new")
    assert seen == [False]


def test_a_trainer_that_waits_for_the_lock_does_not_build_a_moved_run_again(
    run, tiny_source, monkeypatch
):
    """The run is deleted between the reading of its configuration and the lock."""
    config = tiny_config(tiny_source)
    held = acquire(run / "lock")
    threading.Timer(0.2, lambda: (run.rename(run.with_name("moved")), held.release())).start()
    with pytest.raises(RefusedError, match=r"another trainer|renamed or deleted meanwhile"):
        execute(run, config, Limits(), lambda _: None, is_new=False)
    assert not (run / "status.json").exists()
    with pytest.raises(RefusedError, match="renamed or deleted meanwhile"):
        execute(run.with_name("nowhere"), config, Limits(), lambda _: None, is_new=False)
    assert not run.with_name("nowhere").exists()


def test_a_lock_file_that_was_moved_away_is_not_the_runs_lock(run, monkeypatch):
    """Opened before the folder moved, locked afterwards: refused."""
    wait = locks.FileLock.acquire

    def move_and_lock(lock, *arguments, **options):
        wait(lock, *arguments, **options)
        run.rename(run.with_name("moved"))

    monkeypatch.setattr(locks.FileLock, "acquire", move_and_lock)
    with pytest.raises(locks.LockedError, match="moved by another process"):
        acquire(run / "lock")
    monkeypatch.undo()
    assert locks.is_held(run.with_name("moved") / "lock") is False


def press_at_once(run, code, num_processes=4):
    """Run Python in several processes at the same instant; return what each printed."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from trainer.run import RefusedError, control\n"
        "from trainer.run.transfer import archive, moving\n"
        "run, n = Path(sys.argv[1]), sys.argv[2]\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"try: print({code})\n"
        "except (RefusedError, moving.TransferError) as error: print('refused:', error)\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(run), str(number)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(num_processes)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    return [child.communicate()[0].strip() for child in children]


@pytest.mark.parametrize(
    "code",
    [
        "moving.delete_run(run)",
        "moving.start_over(run)",
        "moving.rename(run, 'new' + n)",
        "archive.import_run(run, run.parent, 'copy')",
        "moving.delete_run(run) if n in '02' else moving.rename(run, 'new' + n)",
        "moving.start_over(run) if n in '02' else control.send_command(run, 'pause', n)",
    ],
)
def test_of_dashboards_that_press_the_same_button_one_acts_and_the_others_are_refused(run, code):
    """In processes, at the same instant: no traceback, no part of a run, no second copy."""
    outcomes = press_at_once(run, code)
    assert [words for words in outcomes if "Traceback" in words] == []
    acted = [words for words in outcomes if not words.startswith(("refused", "schema_version"))]
    assert len(acted) == 1, outcomes
    assert [entry.name for entry in run.parent.iterdir() if entry.name.startswith(".")] == []
    for reader in list_runs(run.parent):
        assert [check for check in verify_run(reader.root) if not check.is_good] == []
