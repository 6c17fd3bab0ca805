"""Permissions: recordings of people are their user's alone unless the run is shared."""

from __future__ import annotations

import contextlib
import os
import stat
import sys

import pytest

from tests.support.tiny_runs import tiny_config, train
from trainer.run.control import send_command, write_notes
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.workers.pool import WorkerPool
from trainer.store.durable import append_line, create, file_mode, make_folder, write_atomic
from trainer.store.locks import acquire
from trainer.store.records import Notes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no modes there")

PRIVATE, SHARED = {0o700, 0o600}, {0o755, 0o644}


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(root):
    """Return the permissions of everything in a folder, with the folder's own."""
    found = [root, *root.rglob("*")]
    return {stat.S_IMODE(path.lstat().st_mode) for path in found}


@pytest.mark.usefixtures("umask")
def test_a_whole_run_its_export_and_its_import_are_private(tiny_source, tmp_path):
    """Checkpoints, models, tables, records, locks, commands, notes, logs, the zip."""
    root = tmp_path / "state" / "tiny"
    assert train(root, tiny_config(tiny_source), Limits(stop_after_folds=3)) == "paused"
    send_command(root, "pause", "the test")
    write_notes(root, Notes(title="mine"))
    assert list(root.rglob("*_last*")) and (root / "lock").exists()
    assert modes(tmp_path / "state") == PRIVATE
    export_run(root, tmp_path / "tiny.zip")
    assert stat.S_IMODE((tmp_path / "tiny.zip").stat().st_mode) == 0o600
    for number, source in enumerate((tmp_path / "tiny.zip", root)):
        assert modes(import_run(source, tmp_path / f"other-{number}")) == PRIVATE


@pytest.mark.usefixtures("umask")
@pytest.mark.faults
def test_the_files_of_workers_are_private(tiny_source, tmp_path):
    """Also those that exist only while they work."""
    root, seen = tmp_path / "state" / "tiny", {}

    def look(_):
        for path in (root / "units" / "at_work").glob("*"):
            with contextlib.suppress(FileNotFoundError):  # a temporary file
                seen[path.suffix] = stat.S_IMODE(path.lstat().st_mode)

    config = tiny_config(tiny_source)
    execute(root, config, Limits(), lambda _: None, look, pool=WorkerPool(2))
    assert {".npy", ".beat", ".lines"} <= set(seen)
    assert set(seen.values()) == {0o600}
    assert modes(root) == PRIVATE


@pytest.mark.usefixtures("umask")
def test_new_files_of_a_shared_run_are_shared_too(tmp_path):
    """``chmod -R go+rX`` once is enough; existing folders are never changed."""
    root = tmp_path / "run"
    make_folder(root)
    write_atomic(root / "status.json", b"{}")
    for path in (root, root / "status.json"):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    write_atomic(root / "status.json", b"{ }")
    append_line(root / "metrics.jsonl", {})
    create(root / "trainer.log")
    acquire(root / "lock").release()
    assert modes(root) == SHARED
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    write_atomic(tmp_path / "open" / "scores.json", b"{}")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o777


def test_a_folder_that_states_no_permissions_gets_files_that_can_be_read_again(tmp_path):
    """As some network drives do; not even a user without rights over all files is locked out."""
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive").chmod(0o000)
    assert file_mode(tmp_path / "drive") == 0o600
    (tmp_path / "drive").chmod(0o700)
