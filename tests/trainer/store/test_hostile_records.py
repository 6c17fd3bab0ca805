"""Whatever the bytes of a record are: a record within its bounds, or StoreError with the reason."""

from __future__ import annotations

import json
import time

import pytest

from trainer.store.checksums import Checksums
from trainer.store.durable import StoreError, remove_temporary_files
from trainer.store.locks import Owner
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import next_attempt
from trainer.store.records import (
    Command,
    FileRef,
    FoldRecord,
    ModelState,
    Notes,
    RunFile,
    Scores,
    Status,
    WorkerStatus,
    parse_record,
)
from trainer.store.resume_record import ResumeRecord

KINDS = (
    *(RunFile, Status, WorkerStatus, Command, Notes, Scores, ModelState, FoldRecord, FileRef),
    *(Checksums, ResumeRecord, Owner),
)
HOSTILE = {
    "200,000 lists in lists": b"[" * 200_000,
    "200,000 objects in objects": b'{"a":' * 200_000,
    "a number of 5,000 digits": b'{"schema": ' + b"9" * 5_000 + b"}",
    "infinity": b'{"schema": 1e999}',
    "NaN": b'{"schema": NaN}',
    "half a surrogate": b'{"run": "\\ud800"}',
    "no UTF-8": b'{"run": "\xff\xfe"}',
    "zeros": bytes(100),
    "nothing": b"",
    "a list": b"[]",
    "a number": b"7",
    "a million numbers": b'{"folds": [' + b"1," * 1_000_000 + b"1]}",
}
STATUS = {
    "run": "first",
    "state": "running",
    "host": "lab",
    "boot_id": "b",
    "pid": 1,
    "process_started": 1.0,
    "attempt": 1,
    "heartbeat_at": 1.0,
    "next_heartbeat_at": 1.0,
    "progress_at": 1.0,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_that_are_no_record_are_a_damaged_file(tmp_path, kind, name):
    """The message names the file and what was expected."""
    path = tmp_path / "x.json"
    with pytest.raises(StoreError, match=rf"x\.json: expected a {kind.__name__} record"):
        parse_record(HOSTILE[name], path, kind)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("pid", -1), ("pid", 2**31), ("pid", 1.5), ("run", None), ("run", "x" * 5_000)),
        *(("attempt", -1), ("attempt", 10**40), ("step", -1), ("step", 2**60), ("fold", 10**6)),
        *(("heartbeat_at", 1e308), ("heartbeat_at", -1), ("progress_at", 10**400)),
        *(("eta_s", 1e300), ("pauses_at", 1e12), ("free_memory_mb", -1), ("workers", [{}])),
        *(("state", "dancing"), ("process_started", "yesterday"), ("error", "x" * 1_000_001)),
    ],
)
def test_a_status_out_of_bounds_is_a_damaged_file(tmp_path, field, value):
    """A number that the system, the calendar or a division cannot take is refused."""
    data = json.dumps(STATUS | {field: value}).encode()
    with pytest.raises(StoreError, match=rf"status\.json: expected a Status record; {field}"):
        parse_record(data, tmp_path / "status.json", Status)
    assert parse_record(json.dumps(STATUS).encode(), tmp_path / "status.json", Status).pid == 1


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/config.json", "a/../../b", "C:x", ""])
def test_a_record_names_no_file_outside_the_run(tmp_path, name):
    """A checksum of a foreign file would make verify read it."""
    data = json.dumps({"name": name, "sha256": "0" * 64, "num_bytes": 1}).encode()
    with pytest.raises(StoreError, match="expected the name of a file inside the run folder"):
        parse_record(data, tmp_path / "x.json", FileRef)


def test_many_errors_in_one_record_take_little_memory(tmp_path):
    """The first is enough: a report of two million errors took three gigabytes."""
    data = b'{"model": "lgbm", "folds": [' + b"1," * 99_000 + b"1]}"
    with pytest.raises(StoreError, match=r"folds\.0: "):
        parse_record(data, tmp_path / "lgbm_state.json", ModelState)


@pytest.mark.parametrize(
    "name",
    [
        *(f".status.json.{'9' * digits}.tmp" for digits in (10, 23, 200)),
        *(".status.json.4294967295-1.tmp", ".status.json.2147483648.tmp"),
    ],
)
def test_a_temporary_file_of_an_impossible_process_is_removed(tmp_path, name):
    """No process has such a number, so nothing is lost."""
    (tmp_path / name).touch()
    (tmp_path / ".a.b.tmp").touch()  # of no process at all: not ours
    (tmp_path / ".folder.0.tmp").mkdir()
    remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".a.b.tmp", ".folder.0.tmp"}


def test_no_event_makes_the_next_start_impossible(tmp_path):
    """The number of the last start is what a hostile event can fake best."""
    line = {"event": "start", "time": time.time(), "attempt": 1_000_000}
    beyond = line | {"attempt": 10**9}
    paths = RunPaths(tmp_path)
    paths.metrics.write_text(f"{json.dumps(line)}\n{json.dumps(beyond)}\n")
    assert next_attempt(RunReader(tmp_path)) == 1_000_000
