"""Worker files: what a worker writes, what the coordinator reads, what a killed one leaves."""

from __future__ import annotations

import json
import math
import shutil
import zipfile

import pytest

from trainer.run.transfer.archive import export_run
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord
from trainer.store.worker_files import (
    WorkerListener,
    WorkerRecorder,
    clear,
    collect_lines,
    remove_temporary_files_of,
    request_stop,
)


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path / "run")


@pytest.fixture
def unit(paths):
    return paths.unit("lgbm", 1)


@pytest.fixture
def recorder(paths):
    """The coordinator's, of the third start of the trainer."""
    recorder = Recorder(paths, 3, echo=lambda _: None)
    recorder.start()
    yield recorder
    recorder.close(state="paused")


def say(unit, attempt, *steps):
    with WorkerRecorder(unit, attempt) as said:
        for step in steps:
            said.update(step=step, total_steps=100, stage="lgbm")
            said.event("segment", "lgbm", 1, {"step": step, "loss": math.nan})
        said.log("half-way")
        said.beat()


# What a worker says


def test_a_coordinator_hears_every_line_once_and_the_newest_step(paths, unit):
    """Also what is said after it has listened; the log's lines are not the history's."""
    listener = WorkerListener(unit, attempt=3)
    assert listener.look() is False
    say(unit, 3, 10, 20)
    assert listener.look() is True
    assert (listener.status.step, listener.status.total_steps) == (20, 100)
    heard = list(listener.new_lines())
    assert [json.loads(line)["values"] for line, _ in heard[:2]] == [
        {"step": 10, "loss": None},
        {"step": 20, "loss": None},
    ]
    assert heard[2:] == [(None, "half-way")]
    assert list(listener.new_lines()) == []
    say(unit, 3, 30)
    assert [json.loads(line)["values"]["step"] for line, _ in listener.new_lines() if line] == [30]
    listener.forget()
    assert list(paths.at_work.iterdir()) == []


def test_a_coordinator_does_not_listen_to_workers_of_an_earlier_start(unit):
    """Their status may still lie there."""
    say(unit, 2, 10)
    listener = WorkerListener(unit, attempt=3)
    assert listener.look() is False
    assert list(listener.new_lines()) == []


def test_a_line_that_a_killed_worker_left_half_written_is_cut_by_the_next(unit):
    """What the next one writes stays whole."""
    say(unit, 3, 10)
    with unit.lines(3).open("ab") as file:
        file.write(b'{"event": "segm')
    listener = WorkerListener(unit, attempt=3)
    before = list(listener.new_lines())
    say(unit, 3, 20)
    assert len(before) == 2
    assert [json.loads(line)["values"]["step"] for line, _ in listener.new_lines() if line] == [20]


def test_lines_that_a_killed_coordinator_left_are_taken_over_once(paths, unit):
    """Those it had copied are recognised by content; half a line and the log's are left out."""
    other = paths.unit("torch", 0)
    say(unit, 2, 10, 20, 30)
    say(other, 2, 7)
    lines = unit.lines(2).read_bytes().splitlines(keepends=True)
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


def test_what_a_lost_worker_left_half_written_goes_with_it(paths, unit):
    """Of its own fold only: the others are being written."""
    others = [paths.unit("lgbm", 2).last_path, paths.unit("torch", 1).record, paths.status]
    for path in (unit.record, unit.final_path, unit.last_path, unit.beat, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".{path.name}.77-5.tmp").write_bytes(b"half")
    remove_temporary_files_of(unit)
    left = sorted(path.name for path in paths.root.rglob("*.tmp"))
    assert left == sorted(f".{path.name}.77-5.tmp" for path in others)


def test_an_export_takes_the_lines_of_workers_that_were_killed_and_nothing_else(tiny_run, tmp_path):
    """What was shared is made again; what was said is taken over where the run goes on."""
    root = tmp_path / "tiny"
    shutil.copytree(tiny_run, root)
    killed = RunPaths(root)
    say(killed.unit("lgbm", 1), 1, 10)
    request_stop(killed, 1)
    (killed.at_work / "frames_TC.npy").write_bytes(b"large")
    export_run(root, tmp_path / "tiny.zip")
    names = zipfile.ZipFile(tmp_path / "tiny.zip").namelist()
    at_work = [name for name in names if "at_work" in name]
    assert at_work == ["tiny/units/at_work/lgbm_fold01.1.lines"]


def test_what_is_not_the_workers_stays_in_their_folder(paths):
    """Whoever put it there may want it."""
    paths.at_work.mkdir(parents=True)
    (paths.at_work / "mine.txt").write_text("kept")
    (paths.at_work / "lgbm_fold00.beat").write_text("{}")
    clear(paths)
    assert [path.name for path in paths.at_work.iterdir()] == ["mine.txt"]


def test_a_commit_is_refused_where_another_worker_has_committed_since(unit):
    """Two workers that both believe the fold theirs do not overwrite each other."""
    progress = FoldRecord(model="lgbm", fold=1, step=1)
    slow, quick = FoldFiles.open(unit, 3, None), FoldFiles.open(unit, 3, None)
    quick.commit_last(b"newer", progress)
    with pytest.raises(StoreError, match="expected generation 0, got 1: another worker has taken"):
        slow.commit_last(b"older", progress)
    assert FoldFiles.open(unit, 3, None).load_last() == b"newer"
