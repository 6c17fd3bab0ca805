"""The journal: a growing history read on, never twice, and begun anew where it is another one."""

from __future__ import annotations

import pytest

from trainer.store import event_log as store_journal
from trainer.store.durable import append_line
from trainer.store.event_log import Journal
from trainer.store.reader import curves, read_events


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


def test_a_history_that_is_not_there_yet_is_empty(path):
    """A run has no history before its first word."""
    journal = Journal(path)
    assert journal.events() == []
    assert journal.curves().columns == ["model", "fold", "step"]


def test_a_look_reads_only_what_came_since_the_last(path, monkeypatch):
    """Twenty thousand points are not read again for one more."""
    offsets = []

    def spy(file, offset=0):
        offsets.append(offset)
        return read_events(file, offset)

    monkeypatch.setattr(store_journal, "read_events", spy)
    write(path, point(1, score=0.5))
    journal = Journal(path)
    journal.curves()
    size = path.stat().st_size
    journal.curves()
    write(path, point(2, score=0.6))
    assert journal.curves()["score"].to_list() == [0.5, 0.6]
    assert offsets == [0, size]


def test_points_read_in_pieces_are_those_read_at_once(path):
    """Also where a resumed run repeats steps, and where a number appears late."""
    history = [
        *(point(step, score=step / 10) for step in (1, 2, 3)),
        *(point(step, fold=1, score=step / 20) for step in (1, 2)),
        *(point(step, attempt=2, score=step / 30, valid_loss=0.5) for step in (3, 4)),
        point(2, attempt=1, score=0.99),
    ]
    journal = Journal(path)
    for event in history:
        write(path, event)
        journal.curves()
    whole = curves(list(read_events(path)[0]))
    assert journal.curves().select(whole.columns).equals(whole)
    assert whole["score"].to_list() == [0.1, 0.99, 0.1, 4 / 30, 0.05, 0.1]


def test_events_are_those_beside_the_points(path):
    """What happened is told apart from how the curves went on."""
    write(path, point(0, event="start"), point(1), point(2, event="fold"))
    assert [event.event for event in Journal(path).events()] == ["start", "fold"]


def test_an_unfinished_line_is_read_when_it_is_whole(path):
    """A reader never trusts half a line, and does not lose its other half."""
    write(path, point(1, score=0.5), point(2, score=0.6))
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    journal = Journal(path)
    assert journal.curves()["step"].to_list() == [1.0]
    with path.open("ab") as file:
        file.write(data[-20:])
    assert journal.curves()["step"].to_list() == [1.0, 2.0]


def test_a_run_that_was_started_over_begins_anew(path, tmp_path):
    """Another file under the same name, longer than the old one, is not its continuation."""
    write(path, point(1, score=0.5))
    journal = Journal(path)
    journal.curves()
    other = tmp_path / "other"
    write(other, *(point(step, score=0.9) for step in (5, 6, 7)))
    other.replace(path)
    assert journal.curves()["step"].to_list() == [5.0, 6.0, 7.0]


def test_another_content_of_the_same_file_begins_anew(path):
    """A copy over the old file keeps its number on the disk, not its bytes."""
    write(path, point(1, score=0.5))
    journal = Journal(path)
    journal.curves()
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7") * 2)
    assert journal.curves()["score"].to_list() == [0.7]


def test_a_history_that_is_gone_is_forgotten(path):
    """A deleted run leaves no curves."""
    write(path, point(1, score=0.5))
    journal = Journal(path)
    journal.curves()
    path.unlink()
    assert journal.curves().is_empty()
    assert journal.events() == []
