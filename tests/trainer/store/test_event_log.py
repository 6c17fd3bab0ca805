"""Event log: a growing file is read on, never twice, and from its start if it is another file."""

from __future__ import annotations

import json

import pytest

from trainer.store import event_log
from trainer.store.durable import StoreError, append_line
from trainer.store.event_log import EventLog, curves, read_events
from trainer.store.resume_record import resume_record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def point(step, attempt=1, fold=0, event="epoch", **values):
    return {
        "event": event,
        "time": float(step),
        "attempt": attempt,
        "model": "torch" if event == "epoch" else None,
        "fold": fold,
        "values": {"step": step, **values},
        "text": "",
    }


def write(path, *events):
    for event in events:
        append_line(path, event)


def test_a_missing_file_is_an_empty_log(path):
    """A run has no event log before its first event."""
    log = EventLog(path)
    assert log.events() == []
    assert log.curves().columns == ["model", "fold", "step"]


def test_a_reading_reads_only_new_bytes(path, monkeypatch):
    """Twenty thousand points are not read again for one more."""
    offsets = []

    def spy(file, offset=0):
        offsets.append(offset)
        return read_events(file, offset)

    monkeypatch.setattr(event_log, "read_events", spy)
    write(path, point(1, score=0.5))
    log = EventLog(path)
    log.curves()
    size = path.stat().st_size
    log.curves()
    write(path, point(2, score=0.6))
    assert log.curves()["score"].to_list() == [0.5, 0.6]
    assert offsets == [0, size]


def test_points_read_in_pieces_are_those_read_at_once(path):
    """Also if a resumed run repeats steps, and if a value appears late."""
    events = [
        *(point(step, score=step / 10) for step in (1, 2, 3)),
        *(point(step, fold=1, score=step / 20) for step in (1, 2)),
        *(point(step, attempt=2, score=step / 30, valid_loss=0.5) for step in (3, 4)),
        point(2, attempt=1, score=0.99),
    ]
    log = EventLog(path)
    for event in events:
        write(path, event)
        log.curves()
    whole = curves(list(read_events(path)[0]))
    assert log.curves().select(whole.columns).equals(whole)
    assert whole["score"].to_list() == [0.1, 0.99, 0.1, 4 / 30, 0.05, 0.1]


def test_events_are_all_but_the_points_of_curves(path):
    """Segments and epochs are only in the curves."""
    write(path, point(0, event="start"), point(1), point(2, event="fold"))
    assert [event.event for event in EventLog(path).events()] == ["start", "fold"]


def test_an_unfinished_line_is_read_when_it_is_whole(path):
    """A reader never uses half a line, and does not lose its other half."""
    write(path, point(1, score=0.5), point(2, score=0.6))
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    log = EventLog(path)
    assert log.curves()["step"].to_list() == [1.0]
    with path.open("ab") as file:
        file.write(data[-20:])
    assert log.curves()["step"].to_list() == [1.0, 2.0]


def test_the_log_of_a_run_that_was_started_over_is_read_from_its_start(path, tmp_path):
    """Another file under the same name, longer than the old one, is not its continuation."""
    write(path, point(1, score=0.5))
    log = EventLog(path)
    log.curves()
    other = tmp_path / "other"
    write(other, *(point(step, score=0.9) for step in (5, 6, 7)))
    other.replace(path)
    assert log.curves()["step"].to_list() == [5.0, 6.0, 7.0]


def test_other_content_of_the_same_file_is_read_from_its_start(path):
    """A copy over the old file keeps its number on the disk, not its bytes."""
    write(path, point(1, score=0.5))
    log = EventLog(path)
    log.curves()
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7") * 2)
    assert log.curves()["score"].to_list() == [0.7]


def test_a_deleted_log_is_empty(path):
    """A deleted run leaves no curves."""
    write(path, point(1, score=0.5))
    log = EventLog(path)
    log.curves()
    path.unlink()
    assert log.curves().is_empty()
    assert log.events() == []


GOOD = {
    "event": "epoch",
    "time": 1.0,
    "attempt": 1,
    "model": "torch",
    "fold": 0,
    "values": {"step": 1, "score": 0.5},
}


def changed(**fields):
    return json.dumps(GOOD | fields).encode()


NO_EVENTS = {
    "attempt of infinity": changed()[:-1] + b', "attempt": 1e999}',
    "attempt below 0": changed(attempt=-1),
    "time of 400 digits": changed(time=10**400),
    "time after all calendars": changed(time=1e300),
    "a list as model": changed(model=["torch"]),
    "fold of 1e60": changed(fold=1e60),
    "infinite step": changed(values={"step": float("inf")}),
    "huge step": changed(values={"step": 1e20}),
    "huge score": changed(values={"step": 1, "score": 1e300}),
    "repeated work of 1e20 s": changed(event="pause", values={"redone_s": 1e20}),
    "a value called fold": changed(values={"step": 1, "fold": 7}),
    "a point without a step": changed(values={"score": 0.5}),
    "a point without a model": changed(model=None),
    "65 values": changed(values={"step": 1} | {f"v{i}": 0.0 for i in range(64)}),
    "values in a list": changed(values=[1]),
    "a text of a number": changed(text=7),
    "half a surrogate": changed(event="problem", text="\ud800"),
    "lists in lists": b"[" * 200_000,
    "no UTF-8": b"\xff",
    "not JSON": b"epoch 1",
    "nothing": b"",
    "two megabytes of blanks": b" " * 2_000_000,
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_a_line_that_is_no_event_is_left_out_and_counted(path, name):
    """The lines before and after it count; what is computed from them does not fail."""
    path.write_bytes(b"\n".join([changed(), NO_EVENTS[name], changed(values={"step": 2}), b""]))
    log = EventLog(path)
    assert log.curves()["step"].to_list() == [1.0, 2.0]
    assert log.num_unreadable() == 1
    assert resume_record(read_events(path).events).attempts == 1


def test_lines_that_are_no_events_are_counted_once(path):
    """Also if the log is read on, and not if it is another file."""
    path.write_bytes(b"x\n")
    log = EventLog(path)
    assert log.num_unreadable() == 1
    with path.open("ab") as file:
        file.write(changed() + b"\ny\nz")
    assert log.num_unreadable() == 2
    path.unlink()
    assert log.num_unreadable() == 0


def test_the_points_of_a_log_have_64_numbers_at_most(path):
    """A column per name would take the number of lines squared in memory."""
    lines = [changed(values={"step": i, **{f"v{i}-{j}": 1.0 for j in range(9)}}) for i in range(50)]
    path.write_bytes(b"\n".join([*lines, changed(values={"step": 50}), b""]))
    log = EventLog(path)
    assert len(log.curves().columns) < 5 + 64
    assert log.curves()["step"].to_list() == [0, 1, 2, 3, 4, 5, 6, 50]
    assert log.num_unreadable() == 43


def test_a_line_of_100_mb_takes_no_memory(path):
    """It is skipped in pieces; the file has no content there."""
    with path.open("wb") as file:
        file.write(changed() + b"\n")
        file.truncate(100_000_000)
        file.seek(0, 2)
        file.write(b"\n" + changed(values={"step": 2}) + b"\n")
    log = EventLog(path)
    assert log.curves()["step"].to_list() == [1.0, 2.0]
    assert log.num_unreadable() == 1


def test_a_log_of_more_lines_than_any_run_writes_is_refused(path):
    """The message explains how the run can be resumed all the same."""
    path.write_bytes(b"\n" * 500_001)
    with pytest.raises(StoreError, match=r"at most 500,000 lines, got more\. Move it away"):
        read_events(path)
