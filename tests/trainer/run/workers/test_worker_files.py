"""Worker files: a worker's status and lines, and how the coordinator copies them once."""

from __future__ import annotations

import json
import math
import shutil
import zipfile

import pytest

from trainer.models import registry
from trainer.run.transfer.archive import export_run
from trainer.run.workers.worker_files import (
    WorkerReader,
    clear,
    collect_lines,
    is_stop_requested,
    remove_temporary_files_of,
    request_stop,
)
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import WorkerRecorder
from trainer.store.records import FoldRecord


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path / "run")


@pytest.fixture
def fold(paths):
    return fold_of(paths, "lgbm", 1)


def fold_of(paths, model, number):
    return paths.fold(registry.get(model), number)


def record_steps(fold, attempt, *steps):
    """Write what a worker writes at these steps."""
    with WorkerRecorder(fold, attempt) as recorder:
        for step in steps:
            recorder.update(step=step, total_steps=100, stage="lgbm")
            recorder.event("segment", "lgbm", 1, {"step": step, "loss": math.nan})
        recorder.log("half-way")
        recorder.beat()


def test_every_line_is_read_once_and_the_newest_step(paths, fold):
    """Also lines that are written later; lines for the log are separate from events."""
    reader = WorkerReader(fold, attempt=3)
    assert reader.read_status() is False
    record_steps(fold, 3, 10, 20)
    assert reader.read_status() is True
    assert (reader.status.step, reader.status.total_steps) == (20, 100)
    lines = list(reader.new_lines())
    assert [json.loads(line)["values"] for line, _ in lines[:2]] == [
        {"step": 10, "loss": None},
        {"step": 20, "loss": None},
    ]
    assert lines[2:] == [(None, "half-way")]
    assert list(reader.new_lines()) == []
    record_steps(fold, 3, 30)
    assert [json.loads(line)["values"]["step"] for line, _ in reader.new_lines() if line] == [30]
    reader.remove_files()
    assert list(paths.at_work.iterdir()) == []


def test_workers_of_an_earlier_start_are_not_read(fold):
    """Their files may still exist."""
    record_steps(fold, 2, 10)
    reader = WorkerReader(fold, attempt=3)
    assert reader.read_status() is False
    assert list(reader.new_lines()) == []


def test_a_torn_line_of_a_killed_worker_is_cut_by_the_next(fold):
    """The next worker's lines stay whole."""
    record_steps(fold, 3, 10)
    with fold.lines(3).open("ab") as file:
        file.write(b'{"event": "segm')
    reader = WorkerReader(fold, attempt=3)
    before = list(reader.new_lines())
    record_steps(fold, 3, 20)
    assert len(before) == 2
    assert [json.loads(line)["values"]["step"] for line, _ in reader.new_lines() if line] == [20]


def test_lines_that_a_killed_coordinator_left_are_copied_once(paths, fold):
    """Lines that it had copied are recognised by content; torn lines and log lines are left out."""
    other = fold_of(paths, "torch", 0)
    record_steps(fold, 2, 10, 20, 30)
    record_steps(other, 2, 7)
    lines = fold.lines(2).read_bytes().splitlines(keepends=True)
    paths.metrics.write_bytes(lines[0])
    with other.lines(2).open("ab") as file:
        file.write(b'{"event": "segm')
    request_stop(paths, 2)
    (paths.at_work / "frames_TC.npy").write_bytes(b"of the killed one")
    assert collect_lines(paths) == 3
    events = RunReader(paths.root).events()
    assert [(event.model, event.values["step"]) for event in events] == [
        *(("lgbm", 10), ("lgbm", 20), ("lgbm", 30), ("lgbm", 7)),
    ]
    assert {event.attempt for event in events} == {2}
    assert not paths.at_work.exists()
    assert collect_lines(paths) == 0


def test_temporary_files_of_a_lost_worker_are_removed(paths, fold):
    """Those of its own fold only: the others are being written."""
    others = [fold_of(paths, "lgbm", 2).last_path, fold_of(paths, "torch", 1).record, paths.status]
    for path in (fold.record, fold.final_path, fold.last_path, fold.beat, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".{path.name}.77-5.tmp").write_bytes(b"half")
    remove_temporary_files_of(fold)
    left = sorted(path.name for path in paths.root.rglob("*.tmp"))
    assert left == sorted(f".{path.name}.77-5.tmp" for path in others)


def test_an_export_contains_nothing_of_the_workers_folder(tiny_run, tmp_path):
    """It belongs to processes: arrays are made again, lines count only where they were written."""
    root = tmp_path / "tiny"
    shutil.copytree(tiny_run, root)
    killed = RunPaths(root)
    record_steps(fold_of(killed, "lgbm", 1), 1, 10)
    request_stop(killed, 1)
    (killed.at_work / "frames_TC.npy").write_bytes(b"large")
    export_run(root, tmp_path / "tiny.zip")
    names = zipfile.ZipFile(tmp_path / "tiny.zip").namelist()
    assert [name for name in names if "at_work" in name] == []
    assert "tiny/metrics.jsonl" in names


def test_other_files_in_the_workers_folder_are_kept(paths):
    """A user may have put them there."""
    paths.at_work.mkdir(parents=True)
    (paths.at_work / "mine.txt").write_text("kept")
    (paths.at_work / "lgbm_fold00.beat").write_text("{}")
    clear(paths)
    assert [path.name for path in paths.at_work.iterdir()] == ["mine.txt"]


def test_a_stop_applies_to_its_own_and_earlier_starts(paths):
    """A stop that was requested by an earlier start is over."""
    paths.root.mkdir()
    assert is_stop_requested(paths, 3) is False
    request_stop(paths, 2)
    assert [is_stop_requested(paths, attempt) for attempt in (1, 2, 3)] == [True, True, False]


def test_a_commit_is_refused_if_another_worker_has_committed_since(fold):
    """Two workers on the same fold do not overwrite each other."""
    progress = FoldRecord(model="lgbm", fold=1, step=1)
    slow, quick = FoldFiles.open(fold, 3, None), FoldFiles.open(fold, 3, None)
    quick.commit_last(b"newer", progress)
    with pytest.raises(StoreError, match="expected generation 0, got 1: another worker has taken"):
        slow.commit_last(b"older", progress)
    assert FoldFiles.open(fold, 3, None).load_last() == b"newer"
