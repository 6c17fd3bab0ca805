"""Reader: whole files only; damaged and newer ones are named; the newest attempt's points count."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.support import run_folders
from trainer.store.durable import StoreError, append_line, write_atomic
from trainer.store.event_log import curves, read_events
from trainer.store.reader import RunReader, list_runs
from trainer.store.records import (
    Command,
    ModelState,
    Notes,
    RunFile,
    Scores,
    Status,
    dump_record,
    read_record,
)


@pytest.fixture
def copied(tiny_run, tmp_path):
    """A finished run that a test may damage."""
    return RunReader(shutil.copytree(tiny_run, tmp_path / "state" / "tiny"))


def point(step, attempt, score=0.5, event="epoch", model="torch", fold=0):
    values = {"step": step, "score": score}
    return {
        "event": event,
        "time": 1.0,
        "attempt": attempt,
        "model": model,
        "fold": fold,
        "values": values,
    }


def write_events(root, *lines):
    for line in lines:
        append_line(root / "metrics.jsonl", line)
    return RunReader(root)


RECORDS = {
    "config.json": RunFile,
    "status.json": Status,
    "command.json": Command,
    "notes.json": Notes,
    "lgbm_state.json": ModelState,
    "scores.json": Scores,
}


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_comes_back_as_it_was_written(copied, name):
    """Round trip through the bytes on the disk."""
    write_atomic(
        copied.paths.command,
        dump_record(Command(id="a", command="pause", asked_by="me", asked_at=1.0)),
    )
    write_atomic(copied.paths.notes, dump_record(Notes(title="Ünï", note="code")))
    path = copied.root / name
    record = read_record(path, RECORDS[name])
    write_atomic(path, dump_record(record))
    assert read_record(path, RECORDS[name]) == record
    assert json.loads(path.read_bytes())["schema"] == 1


@pytest.mark.parametrize("name", ["config.json", "status.json", "lgbm_state.json", "scores.json"])
def test_a_newer_schema_is_refused_with_a_remedy(copied, name):
    """Guessing the meaning of a newer version could lose a run."""
    path = copied.root / name
    values = json.loads(path.read_bytes()) | {"schema": 2}
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match=r"schema 2 is newer than this version's 1: update") as got:
        read_record(path, RECORDS[name])
    assert str(path) in str(got.value)


@pytest.mark.parametrize("name", ["status.json", "lgbm_state.json", "scores.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b'{"schema": 1, "mod', b"[]", b"null", b"{}", b"\xff\xfe", b'{"schema": "one"}'],
)
def test_a_damaged_record_is_named_and_never_half_read(copied, name, content):
    """Empty, cut, of another shape, no text: the message names the file and the expected record."""
    path = copied.root / name
    path.write_bytes(content)
    with pytest.raises(StoreError, match=f"{name}: expected a {RECORDS[name].__name__} record"):
        read_record(path, RECORDS[name])


def test_a_run_that_has_not_started_has_nothing_and_is_no_error(tmp_path):
    """Every method returns None or an empty value for a missing file."""
    reader = RunReader(tmp_path)
    assert (reader.run_file(), reader.status(), reader.command(), reader.scores()) == (None,) * 4
    assert (reader.folds(), reader.oof(), reader.importance()) == (None, None, None)
    assert (reader.notes(), reader.fold_records(), reader.events(), reader.log_tail()) == (
        Notes(),
        (),
        [],
        [],
    )
    assert (reader.grid_map(), reader.signature()) == ({}, {})


def test_the_fold_records_are_all_folds_of_all_models_in_the_order_of_work(copied):
    """Also folds that have not begun."""
    assert [(record.model, record.fold, record.done) for record in copied.fold_records()] == [
        ("lgbm", 0, True),
        ("lgbm", 1, True),
        ("torch", 0, True),
        ("torch", 1, True),
    ]
    copied.paths.model_state("torch").unlink()
    assert [record.done for record in copied.fold_records()] == [True, True, False, False]


@pytest.mark.parametrize("name", ["oof.parquet", "folds.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1"])
def test_a_damaged_table_is_named(copied, name, content):
    """Half a Parquet file is not a table; one that has no checksum is checked by its structure."""
    for copy in (name, f"{name}.prev"):
        (copied.root / copy).write_bytes(content)
    read = copied.oof if name == "oof.parquet" else copied.folds
    with pytest.raises(StoreError, match=f"{name}: (its SHA-256 is not|not a readable)"):
        read()
    (copied.root / "checksums.json").unlink()
    with pytest.raises(StoreError, match=f"{name}: not a readable Parquet file"):
        read()


def test_the_folds_are_read_from_their_copy_where_they_are_damaged(copied):
    """The copy has the recorded checksum."""
    folds = copied.folds()
    copied.paths.folds.write_bytes(b"PAR1")
    assert copied.folds().equals(folds)


def test_every_prefix_of_the_event_log_gives_its_whole_lines_and_no_other(tmp_path):
    """At any moment of writing: never half a line, never an invented one."""
    write_events(tmp_path, point(1, 1), point(2, 1), point(3, 1))
    data = (tmp_path / "metrics.jsonl").read_bytes()
    for length in range(len(data) + 1):
        (tmp_path / "metrics.jsonl").write_bytes(data[:length])
        steps = [event.values["step"] for event in RunReader(tmp_path).events()]
        assert steps == [1.0, 2.0, 3.0][: data[:length].count(b"\n")]


def test_reading_continues_at_the_offset_and_a_torn_line_is_read_when_it_is_whole(tmp_path):
    """A page does not read the whole event log again."""
    path = tmp_path / "metrics.jsonl"
    write_events(tmp_path, point(1, 1))
    events, offset, _ = read_events(path)
    assert [event.values["step"] for event in events] == [1.0]
    line = json.dumps(point(2, 1)).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:20])
    assert read_events(path, offset) == ((), offset, 0)
    with path.open("ab") as file:
        file.write(line[20:])
    events, offset, _ = read_events(path, offset)
    assert [event.values["step"] for event in events] == [2.0]
    assert offset == path.stat().st_size


@pytest.mark.parametrize(
    "line",
    [b"not json", b"[1]", b"7", b"{}", b'{"event": "epoch", "time": "x", "attempt": 1}', b"\xff"],
)
def test_a_damaged_line_costs_that_line_only(tmp_path, line):
    """The lines before and after it count."""
    write_events(tmp_path, point(1, 1))
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(line + b"\n")
    reader = write_events(tmp_path, point(2, 1))
    assert [event.values["step"] for event in reader.events()] == [1.0, 2.0]


def test_of_two_points_of_one_step_the_newest_attempts_counts(tmp_path):
    """A redone epoch replaces the one before the kill; the order in the file does not matter."""
    reader = write_events(
        tmp_path,
        point(1, 2, score=0.7),
        point(1, 1, score=0.1),
        point(2, 1, score=0.2),
        point(1, 1, score=0.3, fold=1),
        point(1, 1, score=0.4, model="lgbm", event="segment"),
        {"event": "fold", "time": 1.0, "attempt": 2, "model": "torch", "fold": 0},
    )
    frame = curves(reader.events())
    assert frame.select("model", "fold", "step", "attempt", "score").rows() == [
        ("lgbm", 0, 1.0, 1, 0.4),
        ("torch", 0, 1.0, 2, 0.7),
        ("torch", 0, 2.0, 1, 0.2),
        ("torch", 1, 1.0, 1, 0.3),
    ]


def test_no_points_give_an_empty_table_with_its_columns():
    """A page draws nothing, without an error."""
    assert curves([]).columns[:3] == ["model", "fold", "step"]


def test_the_tail_of_a_long_log_is_its_last_lines(tmp_path):
    """And a torn character in the middle of the log is no error."""
    reader = RunReader(tmp_path)
    lines = [f"line {number} ü" for number in range(20_000)]
    reader.paths.log.write_text("\n".join(lines), encoding="utf-8")
    assert reader.log_tail(2) == ["line 19998 ü", "line 19999 ü"]
    assert len(reader.log_tail()) == 200


def test_runs_are_listed_the_latest_first_without_unfinished_imports(tmp_path):
    """A folder that is being imported or deleted, or without a run, is not a run."""
    old, new = (tmp_path / name for name in ("old", "new"))
    for root in (old, new):
        run_folders.make_run(tmp_path, root.name, "finished")
    os.utime(old / "status.json", (1.0, 1.0))
    shutil.copytree(new, tmp_path / ".arriving-1")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("state")
    assert [reader.name for reader in list_runs(tmp_path)] == ["new", "old"]
    assert list_runs(tmp_path / "nowhere") == []


def test_the_signature_changes_with_every_file_that_pages_show(copied):
    """And with no other file."""
    before = copied.signature()
    assert set(before) >= {"config.json", "status.json", "metrics.jsonl", "scores.json"}
    (copied.root / "lgbm_fold00.pkl").write_bytes(b"")
    assert copied.signature() == before
    append_line(copied.paths.metrics, point(1, 1))
    assert set(copied.signature().items()) ^ set(before.items())
