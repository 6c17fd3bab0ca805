"""Two generations of a checkpoint: a kill or damage anywhere leaves one of them, or none; no third.

The commit protocol is killed at every call that reaches the operating system: before a file is
flushed (with half of it written), before each rename and after it.
"""

from __future__ import annotations

import itertools
import os
import stat
from functools import partial

import pytest

from trainer.run.transfer.verification import _check_unit
from trainer.store import durable
from trainer.store.durable import StoreError, sha256, write_atomic
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.records import FoldRecord, ModelState, dump_record, read_record

NUM_CHANCES = 10  # 1 flush, 2 renames, 1 folder; of the record 1 flush, 1 rename, 1 folder
FIRST, SECOND, THIRD, FOURTH = (bytes([65 + n]) * (100 + n) for n in range(4))


class Killed(BaseException):
    """What kill -9 is to the program: nothing catches it, nothing is cleaned up."""


class Killer:
    """Ends the program at the n-th chance."""

    def __init__(self, monkeypatch, chance):
        self.left = chance
        fsync, rename = os.fsync, os.replace

        def fsync_or_die(fd):
            self._maybe_die(lambda: self._tear(fd))
            fsync(fd)

        def rename_or_die(source, target):
            self._maybe_die()
            rename(source, target)
            self._maybe_die()

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
    return RunPaths(tmp_path).unit(request.param, 0)


def open_unit(paths, state=None):
    return FoldFiles.open(paths, attempt=1, state=state)


def progress(paths, step):
    return FoldRecord(model=paths.model, fold=paths.fold, step=step, total_steps=10)


def commit(paths, data, step):
    open_unit(paths).commit_last(data, progress(paths, step))


def kill_at(chance, act):
    """Run an act that is killed at a chance; return whether it was."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Killer(monkeypatch, chance)
        try:
            act()
        except Killed:
            return True
    return False


def named_checkpoints(paths):
    """Return the bytes that the record names and that are there."""
    record = read_record(paths.record, FoldRecord)
    files = [path.read_bytes() for path in paths.last_path.parent.glob(f"{paths.last_path.name}*")]
    refs = (record.last, record.last_previous)
    return [next((f for f in files if ref and sha256(f) == ref.sha256), None) for ref in refs]


def test_a_kill_at_any_step_of_a_commit_leaves_the_old_or_the_new_checkpoint(paths):
    """And it is no damage: nothing is reported, the next commit goes on from there."""
    commit(paths, FIRST, 1)
    for chance in itertools.count():
        commit(paths, SECOND, 2)
        was_killed = kill_at(chance, partial(commit, paths, THIRD, 3))
        store = open_unit(paths)
        data = store.load_last()
        assert (data, store.record.step) in [(SECOND, 2), (THIRD, 3)]
        assert store.problems == []
        store.commit_last(FOURTH, progress(paths, 4))
        assert named_checkpoints(paths) == [FOURTH, data]
        if not was_killed:
            assert chance == NUM_CHANCES
            return


def test_a_second_kill_while_the_first_is_recovered_from_loses_nothing_either(paths):
    """Any two steps: what is loaded is a checkpoint that was committed, never older than it was."""
    for first, second in itertools.product(range(NUM_CHANCES), repeat=2):
        commit(paths, FIRST, 1)
        commit(paths, SECOND, 2)
        assert kill_at(first, partial(commit, paths, THIRD, 3))
        kept = open_unit(paths).load_last()
        kill_at(second, partial(commit, paths, FOURTH, 4))
        store = open_unit(paths)
        assert store.load_last() in (kept, FOURTH)
        assert store.problems == []


def test_a_kill_in_the_very_first_commit_leaves_a_unit_that_has_not_begun_or_has(paths):
    """There is no older generation to fall back to: start, or the first checkpoint."""
    for chance in itertools.count():
        was_killed = kill_at(chance, partial(commit, paths, FIRST, 1))
        store = open_unit(paths)
        assert (store.load_last(), store.record.step) in [(None, 0), (FIRST, 1)]
        assert store.problems == []
        if not was_killed:
            return
        paths.record.unlink(missing_ok=True)
        paths.last_path.unlink(missing_ok=True)


def test_a_kill_while_a_fold_is_finished_leaves_it_unfinished_or_finished(paths):
    """A fold is done when its record says so, and then its file is the named one."""
    for chance in itertools.count():
        commit(paths, FIRST, 9)
        finish = partial(open_unit(paths).commit_final, SECOND, progress(paths, 10))
        was_killed = kill_at(chance, finish)
        store = open_unit(paths)
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
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(paths, damage):
    """Never wrong bytes: the older generation, whole."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    damage(paths.last_path)
    store = open_unit(paths)
    assert store.load_last() == FIRST
    assert store.problems == [
        f"{paths.last}: no file with its recorded SHA-256; using an earlier point"
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
    assert open_unit(paths).load_last() == FIRST


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_both_generations_are_damaged_there_is_no_checkpoint(paths, damage):
    """The fold starts over rather than from wrong bytes."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    damage(paths.last_path)
    damage(previous(paths))
    store = open_unit(paths)
    assert store.load_last() is None
    assert len(store.problems) == 2


def test_generations_that_changed_places_are_found_by_content(paths):
    """Not the name counts: the record's newest is found in X.prev."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    previous(paths).write_bytes(SECOND)
    paths.last_path.write_bytes(FIRST)
    assert open_unit(paths).load_last() == SECOND
    commit(paths, THIRD, 3)
    assert named_checkpoints(paths)[0] == THIRD
    assert named_checkpoints(paths)[1] in (FIRST, SECOND)


def test_committing_the_same_bytes_again_keeps_the_older_generation(paths):
    """A pause right after a save writes nothing new and pushes nothing out."""
    commit(paths, FIRST, 1)
    commit(paths, SECOND, 2)
    commit(paths, SECOND, 2)
    assert named_checkpoints(paths) == [SECOND, FIRST]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_finished_fold_is_not_done_and_is_named(paths, damage):
    """It is redone from its last checkpoint, which is still named."""
    commit(paths, FIRST, 9)
    open_unit(paths).commit_final(SECOND, progress(paths, 10))
    damage(paths.final_path)
    store = open_unit(paths)
    assert store.load_final() is None
    assert store.problems[0].startswith(f"{paths.final}: content differs from its recorded SHA-256")
    assert store.load_last() == FIRST


def test_a_full_disk_says_so_and_leaves_the_earlier_checkpoint(paths, monkeypatch):
    """No litter, no loss, words that help."""
    commit(paths, FIRST, 1)

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full_disk)
    with pytest.raises(StoreError, match=r"No space left on device.*earlier checkpoint is intact"):
        commit(paths, SECOND, 2)
    monkeypatch.undo()
    assert open_unit(paths).load_last() == FIRST
    assert not list(paths.root.rglob("*.tmp"))


def test_a_damaged_record_is_named_and_the_models_state_file_stands_in(paths):
    """What the coordinator wrote of the unit is at most one commit behind: both are loadable."""
    commit(paths, FIRST, 1)
    state = ModelState(model=paths.model, folds=(read_record(paths.record, FoldRecord),))
    commit(paths, SECOND, 2)
    paths.record.write_bytes(b'{"schema": 1, "mo')
    store = open_unit(paths, state)
    assert store.load_last() == FIRST
    assert len(store.problems) == 1 and paths.record.name in store.problems[0]


def test_of_record_and_state_file_the_newer_counts(paths):
    """A kill between the two leaves the state file one behind."""
    commit(paths, FIRST, 1)
    behind = ModelState(model=paths.model, folds=(read_record(paths.record, FoldRecord),))
    commit(paths, SECOND, 2)
    assert open_unit(paths, behind).record.step == 2


def test_a_record_of_another_fold_is_not_used(paths):
    """Files that were swapped between folds are no checkpoints of this one."""
    commit(paths, FIRST, 1)
    other = RunPaths(paths.root).unit(paths.model, 1)
    write_atomic(other.record, paths.record.read_bytes())
    write_atomic(other.last_path, paths.last_path.read_bytes())
    store = open_unit(other)
    assert store.load_last() is None
    assert store.problems == [f"{other.record}: is of {paths.model} fold 0; not used"]


def test_starting_over_forgets_every_file(paths):
    """What is not named does not exist."""
    commit(paths, FIRST, 1)
    open_unit(paths).commit_final(SECOND, progress(paths, 10))
    open_unit(paths).start_over()
    store = open_unit(paths)
    assert (store.load_last(), store.load_final(), store.record.done) == (None, None, False)


def test_the_record_holds_no_path_outside_the_run(paths):
    """Names are relative, so that the run can be moved."""
    commit(paths, FIRST, 1)
    open_unit(paths).commit_final(SECOND, progress(paths, 10))
    record = read_record(paths.record, FoldRecord)
    assert record.last.name == paths.last and record.final.name == paths.final
    assert str(paths.root).encode() not in dump_record(record)


def test_an_earlier_start_that_commits_once_more_is_written_over_and_then_ends(paths):
    """Where no lock holds: the later start goes on, from points of its own that are whole."""
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
    """The newest named generation lies in the other's place; a really damaged one is told."""
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


def test_a_damaged_generation_is_told_by_verification(paths):
    """Either of the two."""
    for step, data in enumerate((FIRST, SECOND), 1):
        commit(paths, data, step)
    record = read_record(paths.record, FoldRecord)
    for path in (previous(paths), paths.last_path):
        whole = path.read_bytes()
        path.write_bytes(b"")
        assert not all_good(paths, record)
        path.write_bytes(whole)


def previous(paths):
    return paths.last_path.with_name(paths.last_path.name + ".prev")


def all_good(paths, record):
    root = paths.record.parent.parent
    return all(check.is_good for check in _check_unit(root, record))
