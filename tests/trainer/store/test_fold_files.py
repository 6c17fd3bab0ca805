"""Fold files: after a kill or damage anywhere, a reader gets a whole generation or none.

The commit protocol is killed at every call that reaches the operating system: before a file is
flushed (with half of it written), before each rename and after it, before each deletion.
"""

from __future__ import annotations

import itertools
import os
import stat
from functools import partial

import pytest

from trainer.models import registry
from trainer.run.transfer.verification import _check_fold
from trainer.store import durable, fold_files
from trainer.store.durable import StoreError, sha256, write_atomic
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.records import FoldRecord, ModelState, dump_record, read_record

NUM_CHANCES = 10  # 1 flush, 2 renames, 1 folder; of the record 1 flush, 1 rename, 1 folder
FIRST, SECOND, THIRD, FOURTH = (bytes([65 + n]) * (100 + n) for n in range(4))


class Killed(BaseException):
    """Like kill -9: nothing catches it, nothing is cleaned up."""


class Killer:
    """Ends the program at the n-th call that it intercepts."""

    def __init__(self, monkeypatch, chance):
        self.left = chance
        fsync, rename, unlink = os.fsync, os.replace, os.unlink

        def fsync_or_die(fd):
            self._maybe_die(lambda: self._tear(fd))
            fsync(fd)

        def rename_or_die(source, target):
            self._maybe_die()
            rename(source, target)
            self._maybe_die()

        def unlink_or_die(path):
            self._maybe_die()
            unlink(path)

        monkeypatch.setattr(durable.os, "unlink", unlink_or_die)
        monkeypatch.setattr(durable.os, "fsync", fsync_or_die)
        monkeypatch.setattr(durable.os, "replace", rename_or_die)

    def _maybe_die(self, before=lambda: None):
        if self.left == 0:
            before()
            raise Killed
        self.left -= 1

    def _tear(self, fd):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, os.fstat(fd).st_size // 2)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """A kill leaves the page cache alone: whether bytes reached the disk is not tested here."""
    monkeypatch.setattr(durable.os, "fsync", lambda fd: None)


@pytest.fixture(params=["lgbm", "torch"])
def paths(request, tmp_path):
    return RunPaths(tmp_path).fold(registry.get(request.param), 0)


def open_fold(paths, state=None):
    return FoldFiles.open(paths, attempt=1, state=state)


def progress(paths, step):
    return FoldRecord(model=paths.model, fold=paths.fold, step=step, total_steps=10)


def commit(paths, data, step):
    open_fold(paths).commit_last(data, progress(paths, step))


def kill_at(chance, act):
    """Run an act that is killed at the n-th call; return whether it was."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Killer(monkeypatch, chance)
        try:
            act()
        except Killed:
            return True
    return False


def named_checkpoints(paths):
    """Return the bytes of the existing files that the record names."""
    record = read_record(paths.record, FoldRecord)
    files = [path.read_bytes() for path in paths.last_path.parent.glob(f"{paths.last_path.name}*")]
    refs = (record.last, record.last_previous)
    return [next((f for f in files if ref and sha256(f) == ref.sha256), None) for ref in refs]


def test_a_kill_at_any_step_of_a_commit_leaves_the_old_or_the_new_checkpoint(paths):
    """And it is not damage: nothing is reported, and the next commit continues from there."""
    commit(paths, FIRST, 1)
    for chance in itertools.count():
        commit(paths, SECOND, 2)
        was_killed = kill_at(chance, partial(commit, paths, THIRD, 3))
        store = open_fold(paths)
        data = store.load_last()
        assert (data, store.record.step) in [(SECOND, 2), (THIRD, 3)]
        assert store.problems == []
        store.commit_last(FOURTH, progress(paths, 4))
        assert named_checkpoints(paths) == [FOURTH, data]
        if not was_killed:
            assert chance == NUM_CHANCES
            return


def test_a_second_kill_during_the_recovery_from_the_first_loses_nothing(paths):
    """Any two steps: the loaded checkpoint was committed and is never older than before."""
    for first, second in itertools.product(range(NUM_CHANCES), repeat=2):
        commit(paths, FIRST, 1)
        commit(paths, SECOND, 2)
        assert kill_at(first, partial(commit, paths, THIRD, 3))
        kept = open_fold(paths).load_last()
        kill_at(second, partial(commit, paths, FOURTH, 4))
        store = open_fold(paths)
        assert store.load_last() in (kept, FOURTH)
        assert store.problems == []


def test_a_kill_in_the_first_commit_leaves_no_checkpoint_or_the_first(paths):
    """There is no older generation: the fold starts from its beginning or its first checkpoint."""
    for chance in itertools.count():
        was_killed = kill_at(chance, partial(commit, paths, FIRST, 1))
        store = open_fold(paths)
        assert (store.load_last(), store.record.step) in [(None, 0), (FIRST, 1)]
        assert store.problems == []
        if not was_killed:
            return
        paths.record.unlink(missing_ok=True)
        paths.last_path.unlink(missing_ok=True)


def test_a_kill_while_a_fold_is_finished_leaves_it_unfinished_or_finished(paths):
    """A fold is done if its record is; then its file is the one that the record names."""
    for chance in itertools.count():
        commit(paths, FIRST, 9)
        finish = partial(open_fold(paths).commit_final, SECOND, progress(paths, 10))
        was_killed = kill_at(chance, finish)
        store = open_fold(paths)
        assert store.load_final() in ((None, SECOND) if was_killed else (SECOND,))
        assert store.record.done == (store.load_final() is not None)
        assert store.load_last() == FIRST
        assert store.problems == []
        if not was_killed:
            return
        store.start_over()


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def missing(path):
    path.unlink()


def swapped(path):
    path.write_bytes(FOURTH)


DAMAGES = [emptied, truncated, flipped, missing, swapped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_previous_one_is_used(paths, damage):
    """Wrong bytes are never used: the older generation is whole."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    damage(paths.last_path)
    store = open_fold(paths)
    assert store.load_last() == FIRST
    assert store.problems == [
        f"{paths.last}: no file with its recorded SHA-256; using an earlier checkpoint"
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_after_damage_the_next_commit_keeps_the_generation_that_was_whole(paths, damage):
    """The damaged one is not counted as a generation: two whole ones again after one commit."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    damage(paths.last_path)
    commit(paths, THIRD, 3)
    assert named_checkpoints(paths) == [THIRD, FIRST]
    missing(paths.last_path)
    assert open_fold(paths).load_last() == FIRST


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_both_generations_are_damaged_there_is_no_checkpoint(paths, damage):
    """The fold starts over rather than from wrong bytes."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    damage(paths.last_path)
    damage(previous(paths))
    store = open_fold(paths)
    assert store.load_last() is None
    assert len(store.problems) == 2


def test_generations_that_changed_places_are_found_by_content(paths):
    """The content counts, not the name: the newest generation is found in X.prev."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    previous(paths).write_bytes(SECOND)
    paths.last_path.write_bytes(FIRST)
    assert open_fold(paths).load_last() == SECOND
    commit(paths, THIRD, 3)
    assert named_checkpoints(paths)[0] == THIRD
    assert named_checkpoints(paths)[1] in (FIRST, SECOND)


def test_committing_the_same_bytes_again_keeps_the_older_generation(paths):
    """A pause right after a save writes no checkpoint and replaces none."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    commit(paths, SECOND, 2)
    assert named_checkpoints(paths) == [SECOND, FIRST]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_finished_fold_is_not_done_and_is_named(paths, damage):
    """It is redone from its last checkpoint, which is still named."""
    commit(paths, FIRST, 9)
    open_fold(paths).commit_final(SECOND, progress(paths, 10))
    damage(paths.final_path)
    store = open_fold(paths)
    assert store.load_final() is None
    assert store.problems[0].startswith(f"{paths.final}: content differs from its recorded SHA-256")
    assert store.load_last() == FIRST


def test_a_full_disk_is_reported_and_leaves_the_earlier_checkpoint(paths, monkeypatch):
    """No temporary file, no loss, and a message with the reason."""
    commit(paths, FIRST, 1)

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full_disk)
    with pytest.raises(StoreError, match=r"No space left on device.*earlier checkpoint is intact"):
        commit(paths, SECOND, 2)
    monkeypatch.undo()
    assert open_fold(paths).load_last() == FIRST
    assert not list(paths.root.rglob("*.tmp"))


def test_a_damaged_record_is_named_and_the_models_state_file_is_used(paths):
    """The state file is at most one commit behind: both generations can be loaded."""
    commit(paths, FIRST, 1)
    state = ModelState(model=paths.model, folds=(read_record(paths.record, FoldRecord),))
    commit(paths, SECOND, 2)
    paths.record.write_bytes(b'{"schema": 1, "mo')
    store = open_fold(paths, state)
    assert store.load_last() == FIRST
    assert len(store.problems) == 1 and paths.record.name in store.problems[0]


def test_of_record_and_state_file_the_newer_counts(paths):
    """A kill between the two leaves the state file one behind."""
    commit(paths, FIRST, 1)
    behind = ModelState(model=paths.model, folds=(read_record(paths.record, FoldRecord),))
    commit(paths, SECOND, 2)
    assert open_fold(paths, behind).record.step == 2


def test_a_record_of_another_fold_is_not_used(paths):
    """Files that were swapped between folds are not used."""
    commit(paths, FIRST, 1)
    other = RunPaths(paths.root).fold(registry.get(paths.model), 1)
    write_atomic(other.record, paths.record.read_bytes())
    write_atomic(other.last_path, paths.last_path.read_bytes())
    store = open_fold(other)
    assert store.load_last() is None
    assert store.problems == [f"{other.record}: belongs to {paths.model} fold 0; not used"]


def test_starting_over_names_no_file(paths):
    """A file that the record does not name does not exist."""
    commit(paths, FIRST, 1)
    open_fold(paths).commit_final(SECOND, progress(paths, 10))
    open_fold(paths).start_over()
    store = open_fold(paths)
    assert (store.load_last(), store.load_final(), store.record.done) == (None, None, False)


def test_the_record_holds_no_path_outside_the_run(paths):
    """Names are relative, so that the run can be moved."""
    commit(paths, FIRST, 1)
    open_fold(paths).commit_final(SECOND, progress(paths, 10))
    record = read_record(paths.record, FoldRecord)
    assert record.last.name == paths.last and record.final.name == paths.final
    assert str(paths.root).encode() not in dump_record(record)


def test_a_commit_of_an_earlier_start_is_replaced_and_its_next_one_refused(paths):
    """Without locks: the later start continues, from whole checkpoints of its own."""
    earlier = FoldFiles.open(paths, 1, None)
    earlier.commit_last(FIRST, progress(paths, 1))
    later = FoldFiles.open(paths, 2, None)
    earlier.commit_last(SECOND, progress(paths, 2))
    assert later.load_last() == FIRST
    later.commit_last(THIRD, progress(paths, 3))
    found = read_record(paths.record, FoldRecord)
    assert (found.attempt, found.generation, found.step) == (2, 3, 3)
    assert FoldFiles.open(paths, 3, None).load_last() == THIRD
    with pytest.raises(StoreError, match="another trainer has taken the run over"):
        earlier.commit_last(FOURTH, progress(paths, 4))
    later.commit_last(FOURTH, progress(paths, 4))
    paths.last_path.write_bytes(b"")
    assert FoldFiles.open(paths, 3, None).load_last() == THIRD


def test_a_commit_cut_off_after_the_rotation_is_no_damage(paths):
    """The newest generation is in the previous one's file; real damage is still found."""
    for step, data in enumerate((FIRST, SECOND), 1):
        commit(paths, data, step)
    record = read_record(paths.record, FoldRecord)
    assert all_good(paths, record)
    paths.last_path.replace(previous(paths))
    assert all_good(paths, record)
    paths.last_path.write_bytes(THIRD)  # the new one, not yet named
    assert all_good(paths, record)
    previous(paths).write_bytes(FOURTH)
    assert not all_good(paths, record)


def test_a_damaged_generation_is_found_by_verification(paths):
    """Either of the two."""
    for step, data in enumerate((FIRST, SECOND), 1):
        commit(paths, data, step)
    record = read_record(paths.record, FoldRecord)
    for path in (previous(paths), paths.last_path):
        whole = path.read_bytes()
        path.write_bytes(b"")
        assert not all_good(paths, record)
        path.write_bytes(whole)


# Checkpoints of a finished fold


def finished(paths):
    """Commit two checkpoints and the finished fold; return its files."""
    commit(paths, FIRST, 8)
    commit(paths, SECOND, 9)
    files = open_fold(paths)
    files.commit_final(THIRD, progress(paths, 10))
    return files


def is_without_checkpoints(paths):
    record = read_record(paths.record, FoldRecord)
    are_named = record.last is not None or record.last_previous is not None
    return not (are_named or paths.last_path.exists() or previous(paths).exists())


def test_a_finished_fold_can_drop_its_checkpoints(paths):
    """Its file stays, its record names nothing else, and verification finds no problem."""
    finished(paths).drop_checkpoints()
    files = open_fold(paths)
    assert is_without_checkpoints(paths)
    assert (files.load_final(), files.load_last(), files.problems) == (THIRD, None, [])
    assert (files.record.done, files.record.step) == (True, 10)
    assert all_good(paths, files.record)


def test_an_older_state_file_does_not_name_dropped_checkpoints_again(paths):
    """A kill before the model's state file is written: the fold's own record is newer."""
    files = finished(paths)
    behind = ModelState(model=paths.model, folds=(files.record,))
    files.drop_checkpoints()
    reopened = open_fold(paths, behind)
    assert (reopened.record.last, reopened.problems) == (None, [])
    assert all_good(paths, behind.folds[0])


def test_a_kill_at_any_step_of_dropping_leaves_a_finished_fold(paths):
    """Verified in between; the next call deletes what the killed one has left."""
    for chance in itertools.count():
        was_killed = kill_at(chance, finished(paths).drop_checkpoints)
        files = open_fold(paths)
        assert (files.load_final(), files.problems) == (THIRD, [])
        assert all_good(paths, files.record)
        files.drop_checkpoints()
        assert is_without_checkpoints(paths)
        if not was_killed:
            assert chance == 6  # 1 flush, 1 rename, 1 folder of the record; 2 deletions
            return


def test_a_kill_between_the_record_and_the_deletion_leaves_unnamed_files(paths, monkeypatch):
    """At the failpoint ``unit.recorded``; a second start of the finished run deletes them."""

    def kill(failpoint):
        if failpoint == "unit.recorded":
            raise Killed

    files = finished(paths)
    with monkeypatch.context() as killing:
        killing.setattr(fold_files, "reach", kill)
        with pytest.raises(Killed):
            files.drop_checkpoints()
    reopened = open_fold(paths)
    assert (reopened.record.last, reopened.record.last_previous) == (None, None)
    assert paths.last_path.read_bytes() == SECOND and previous(paths).read_bytes() == FIRST
    assert all_good(paths, reopened.record)
    generation = reopened.record.generation
    reopened.drop_checkpoints()
    assert is_without_checkpoints(paths)
    assert read_record(paths.record, FoldRecord).generation == generation


def test_an_unfinished_fold_keeps_its_checkpoints(paths):
    """They are needed to resume."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    open_fold(paths).drop_checkpoints()
    assert named_checkpoints(paths) == [SECOND, FIRST]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_finished_fold_with_a_damaged_file_keeps_its_checkpoints(paths, damage):
    """The fold is redone from them."""
    files = finished(paths)
    damage(paths.final_path)
    files.drop_checkpoints()
    assert named_checkpoints(paths) == [SECOND, FIRST]


def test_a_damaged_fold_without_checkpoints_is_redone_from_its_beginning(paths):
    """The problem contains from where."""
    finished(paths).drop_checkpoints()
    flipped(paths.final_path)
    files = open_fold(paths)
    assert files.load_final() is None
    assert files.problems == [
        f"{paths.final}: content differs from its recorded SHA-256; the fold is redone from its "
        f"beginning"
    ]


def test_another_worker_that_has_committed_since_is_not_overwritten(paths):
    """As for every other commit."""
    slow = finished(paths)
    open_fold(paths).start_over()
    with pytest.raises(StoreError, match="another worker has taken the fold over"):
        slow.drop_checkpoints()
    assert paths.last_path.exists()


def previous(paths):
    return paths.last_path.with_name(paths.last_path.name + ".prev")


def all_good(paths, record):
    root = paths.record.parent.parent
    return all(check.is_good for check in _check_fold(root, record))
