"""Event log: a growing file is read on, never twice, and from its start if it is another file."""

from __future__ import annotations

import pytest

from trainer.store import event_log
from trainer.store.durable import append_line
from trainer.store.event_log import EventLog, curves, read_events


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
