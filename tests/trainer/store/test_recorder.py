"""Recorder: status, events and log of a run or a worker, with a heartbeat of its own."""

from __future__ import annotations

import time

import pytest

from trainer.models import registry
from trainer.store.durable import StoreError, append_line
from trainer.store.event_log import curves
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import EventRecorder, Recorder, WorkerRecorder, next_attempt
from trainer.store.records import Status, WorkerStatus, read_record


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path / "run")


def point(step, attempt):
    values = {"step": step, "score": 0.5}
    return {
        "event": "epoch",
        "time": 1.0,
        "attempt": attempt,
        "model": "torch",
        "fold": 0,
        "values": values,
    }


def write_events(root, *lines):
    for line in lines:
        append_line(root / "metrics.jsonl", line)
    return RunReader(root)


def test_a_number_that_is_not_finite_is_written_as_none_and_is_missing_in_the_curve(tmp_path):
    """JSON has no NaN: a diverged loss is a gap in its curve, not a broken line."""
    recorder = Recorder(RunPaths(tmp_path), 1, echo=lambda _: None)
    recorder.event("epoch", "torch", 0, {"step": 1, "train_loss": float("nan"), "score": 0.5})
    recorder.event("epoch", "torch", 0, {"step": 2, "train_loss": 0.25, "score": 0.5})
    frame = curves(RunReader(tmp_path).events())
    assert frame["train_loss"].to_list() == [None, 0.25]


def test_attempts_continue_counting_if_status_or_event_log_is_lost(tmp_path):
    """A new start never takes the number of an old one."""
    paths, reader = RunPaths(tmp_path), RunReader(tmp_path)
    assert next_attempt(reader) == 1
    write_events(tmp_path, point(1, 3))
    paths.status.write_bytes(b"{")
    assert next_attempt(reader) == 4
    recorder = Recorder(paths, 4, echo=lambda _: None)
    recorder.beat()
    paths.metrics.unlink()
    assert next_attempt(reader) == 5


def test_a_start_cuts_the_line_that_a_kill_tore(tmp_path):
    """Before anything is appended, so that no new line is joined to it."""
    reader = write_events(tmp_path, point(1, 1))
    with reader.paths.metrics.open("ab") as file:
        file.write(b'{"event": "ep')
    recorder = Recorder(reader.paths, 2, echo=lambda _: None)
    recorder.start()
    recorder.event("start")
    recorder.close(state="paused")
    assert [event.event for event in reader.events()] == ["epoch", "start"]


def test_the_heartbeat_beats_while_nothing_else_happens(tmp_path, monkeypatch):
    """A long step does not look like a dead process; a beat is not progress."""
    monkeypatch.setattr("trainer.store.recorder.BEAT_S", 0.01)
    beats = []
    recorder = Recorder(RunPaths(tmp_path), 1, echo=lambda _: None, on_beat=beats.append)
    recorder.start()
    while len(beats) < 4:
        time.sleep(0.001)
    recorder.close(state="finished")
    assert beats[3].heartbeat_at > beats[0].heartbeat_at
    assert beats[3].progress_at == beats[0].progress_at
    status = RunReader(tmp_path).status()
    assert status.state == "finished"
    assert status.next_heartbeat_at - status.heartbeat_at == pytest.approx(3.0)


def test_status_changes_are_written_at_every_beat_and_are_no_progress(paths):
    """Such as a pause that is seen during a long step."""
    changes = {}
    recorder = Recorder(paths, 1, echo=lambda _: None, status_changes=lambda: changes)
    paths.root.mkdir()
    recorder.beat()
    before = RunReader(paths.root).status()
    changes |= {"state": "pausing", "acknowledged_command": "c1"}
    recorder.beat()
    after = RunReader(paths.root).status()
    assert (before.state, after.state, after.acknowledged_command) == ("running", "pausing", "c1")
    assert before.progress_at == after.progress_at


def test_the_last_status_is_not_changed_by_status_changes(paths):
    """A run that has paused is paused, though a pause is still requested."""
    recorder = Recorder(paths, 1, echo=lambda _: None, status_changes=lambda: {"state": "pausing"})
    recorder.start()
    recorder.close(state="paused", message="Paused: signal SIGTERM.")
    status = RunReader(paths.root).status()
    assert (status.state, status.message) == ("paused", "Paused: signal SIGTERM.")


def test_a_beat_that_cannot_be_written_is_shown_and_does_not_end_the_heartbeat(paths, monkeypatch):
    """A full disk ends the run where it saves; the heartbeat tries again."""
    monkeypatch.setattr("trainer.store.recorder.BEAT_S", 0.01)
    lines, left = [], [StoreError("status.json: no space left")]

    def fail_once():
        if len(beats) == 2 and left:
            raise left.pop()
        return {}

    beats = []
    recorder = Recorder(paths, 1, lines.append, beats.append, status_changes=fail_once)
    recorder.start()
    while len(beats) < 4:
        time.sleep(0.001)
    recorder.close(state="finished")
    assert lines == ["status.json: no space left"]


def test_a_refused_start_restores_the_previous_status(paths):
    """Nothing was done, so nothing changes; without a previous status the run has failed."""
    first = Recorder(paths, 1, echo=lambda _: None)
    first.start()
    first.close(state="paused", message="Paused.")
    previous = RunReader(paths.root).status()
    second = Recorder(paths, 2, echo=lambda _: None)
    second.start()
    second.restore(previous, "other options")
    assert RunReader(paths.root).status() == previous
    third = Recorder(paths, 3, echo=lambda _: None)
    third.restore(None, "other options")
    status = RunReader(paths.root).status()
    assert (status.state, status.error) == ("failed", "other options")


def test_a_recorder_that_is_stopped_writes_no_more(paths, monkeypatch):
    """The run belongs to another trainer."""
    monkeypatch.setattr("trainer.store.recorder.BEAT_S", 0.01)
    recorder = Recorder(paths, 1, echo=lambda _: None)
    recorder.start()
    recorder.stop()
    before = paths.status.read_bytes()
    time.sleep(0.05)
    assert paths.status.read_bytes() == before


def test_run_and_worker_have_one_kind_of_recorder(paths):
    """A fold job writes to either with the same calls; each keeps the fields of its own status."""
    fold = paths.fold(registry.get("lgbm"), 1)
    run = Recorder(paths, 3, echo=lambda _: None)
    worker = WorkerRecorder(fold, 3)
    for recorder in (run, worker):
        assert isinstance(recorder, EventRecorder)
        recorder.start()
        recorder.update(stage="lgbm", step=5, total_steps=10, step_name="round")
        recorder.event("segment", "lgbm", 1, {"step": 5})
        recorder.log("half-way")
        recorder.beat()
        recorder.stop()
    status = read_record(paths.status, Status)
    worker_status = read_record(fold.beat, WorkerStatus)
    assert (status.stage, status.step, status.step_name) == ("lgbm", 5, "round")
    assert (worker_status.step, worker_status.step_name, worker_status.fold) == (5, "round", 1)
    assert worker_status.used_memory_mb > 0
    assert paths.metrics.read_text().count("segment") == 1
    assert fold.lines(3).read_text().count("segment") == 1
    assert paths.log.read_text().endswith(" half-way\n")
