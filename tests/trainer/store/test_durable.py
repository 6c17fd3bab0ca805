"""Durable files: the old content or the new, never half; lines are whole or missing."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from trainer.store import durable
from trainer.store.durable import (
    StoreError,
    append_line,
    cut_torn_line,
    dump_json,
    replace,
    write_atomic,
)


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_file(tmp_path, monkeypatch, step):
    """A full disk at any step: the old bytes remain, the message contains the remedy."""
    path = tmp_path / "scores.json"
    write_atomic(path, b"old")
    monkeypatch.setattr(durable.os, step, full_disk)
    with pytest.raises(StoreError, match=r"scores\.json: could not write 3 bytes .*No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.json"]


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    """A kill is not an exception that is caught: the temporary file remains, and the old one."""
    path = tmp_path / "config.json"
    write_atomic(path, b"old")
    monkeypatch.setattr(durable.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_replacement_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """The order is the new folder's name, fsync of the file, rename, fsync of the folder."""
    calls = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(durable.os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(durable.os, "replace", lambda a, b: (calls.append("rename"), rename(a, b)))
    write_atomic(tmp_path / "new" / "file", b"content")
    assert calls == ["fsync", "fsync", "rename", "fsync"]
    assert (tmp_path / "new" / "file").read_bytes() == b"content"
    calls.clear()
    write_atomic(tmp_path / "status.json", b"beat", durable=False)
    assert calls == ["rename"]


def test_windows_waits_a_limited_time_for_a_reader_to_close_the_file(tmp_path, monkeypatch):
    """On Windows a rename over an open file is tried again, a bounded number of times."""
    monkeypatch.setattr(durable.sys, "platform", "win32")
    monkeypatch.setattr(durable, "REPLACE_WAIT_S", 0.0)
    rename, refusals = os.replace, [PermissionError(), PermissionError()]

    def busy(source, target):
        if refusals:
            raise refusals.pop()
        rename(source, target)

    monkeypatch.setattr(durable.os, "replace", busy)
    (tmp_path / "a").write_bytes(b"new")
    replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"

    refusals.extend(PermissionError() for _ in range(durable.REPLACE_ATTEMPTS))
    (tmp_path / "a").write_bytes(b"newer")
    with pytest.raises(PermissionError):
        replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"


def test_a_reader_never_sees_half_a_file(tmp_path):
    """A reader that reads all the time sees only whole contents."""
    path, contents = tmp_path / "status.json", [b"a" * 70_000, b"b" * 90_000]
    write_atomic(path, contents[0], durable=False)
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write_atomic(path, contents[turn % 2], durable=False)
    stop.set()
    reader.join()
    assert seen <= set(contents)


def test_a_torn_last_line_is_cut_and_whole_lines_are_kept(tmp_path):
    """The rest of a killed write is removed; the next line begins after the last whole one."""
    path = tmp_path / "metrics.jsonl"
    assert cut_torn_line(path) == 0
    append_line(path, {"event": "start"})
    with path.open("ab") as file:
        file.write(b'{"event": "epo')
    assert cut_torn_line(path) == 14
    assert cut_torn_line(path) == 0
    append_line(path, {"event": "resume"})
    lines = path.read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["start", "resume"]


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path):
    """There is no whole line to keep."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"event"')
    assert cut_torn_line(path) == 8
    assert path.read_bytes() == b""


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_refused(tmp_path, number):
    """NaN and infinity are not JSON: another program could not read the file."""
    with pytest.raises(ValueError, match="Out of range float values"):
        dump_json({"score": number})
    with pytest.raises(ValueError, match="Out of range float values"):
        append_line(tmp_path / "metrics.jsonl", {"score": number})
