"""Parts: what is copied of an archive or a folder, and what is refused before it is read."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from tests.support import hostile_archives
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.moving import TransferError, delete_run
from trainer.run.transfer.parts import Part, select
from trainer.run.transfer.verification import verify_run
from trainer.store.locks import is_held
from trainer.store.reader import RunReader, list_runs


def names_in(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_every_hostile_archive_is_refused_in_words_or_imported_without_what_is_hostile(
    run, tmp_path, state
):
    """Nothing else is written anywhere; an imported run is whole."""
    export_run(run, tmp_path / "tiny.zip")
    (tmp_path / "hostile").mkdir()
    expected = {name for name in names_in(run) if not name.endswith("lock")}
    for name, path, phrase in hostile_archives.gallery(tmp_path / "tiny.zip", tmp_path / "hostile"):
        said = []
        if phrase:
            with pytest.raises(TransferError) as refused:
                import_run(path, state, report=said.append)
            assert phrase in str(refused.value), name
            assert len(str(refused.value)) < 1000, name
            assert list(state.iterdir()) == [], name
        else:
            root = import_run(path, state, report=said.append)
            assert names_in(root) == expected, name
            assert all(check.is_good for check in verify_run(root)), name
            assert len("".join(said)) < 2000, name
            delete_run(root)


def test_what_belongs_to_a_live_process_is_taken_neither_from_an_archive_nor_from_a_folder(
    run, tmp_path, state
):
    """An owner renewed in the far future, a command from there: the imported run is free."""
    for name, data in hostile_archives.LIVE_FILES.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(data)
    said = []
    root = import_run(run, state, report=said.append)
    assert said == []
    assert not is_held(root / "lock")
    assert RunReader(root).command() is None
    assert not (root / "units" / "at_work").exists()
    assert list(root.rglob("*.tmp")) == list(root.rglob("*.npy")) == []
    export_run(run, tmp_path / "tiny.zip")
    again = import_run(tmp_path / "tiny.zip", state, "again")
    assert names_in(again) == names_in(root)


def test_files_that_no_run_contains_are_left_out_and_named(run, state):
    """In a folder too; a named pipe, a socket are no files and are never opened."""
    (run / ".DS_Store").write_bytes(b"x")
    (run / "photo.jpg").write_bytes(b"x")
    os.mkfifo(run / "notes.json")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "socket"))
    said = []
    root = import_run(run, state, report=said.append)
    listener.close()
    assert said == ["left out, because no run contains such files: '.DS_Store', 'photo.jpg'"]
    assert not (root / "notes.json").exists()


def test_a_folder_with_a_file_that_is_too_large_is_refused_before_it_is_copied(run, state):
    """A sparse file of 2 GB takes no room where it is, and 2 GB in a copy."""
    with (run / "status.json").open("r+b") as file:
        file.truncate(2 << 30)
    with pytest.raises(TransferError, match=r"status\.json: expected a record of at most"):
        import_run(run, state)
    assert list_runs(state) == []


def test_more_than_the_disk_has_room_for_is_refused_before_it_is_written(run, state, monkeypatch):
    """A trainer that runs beside the import must not meet a full disk."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 1000))
    with pytest.raises(TransferError, match=r"bytes are needed, 1,000 are free\. Make room"):
        import_run(run, state)


def test_a_models_own_files_are_copied_whatever_their_names_are():
    """The registry knows them; the same name in another place is foreign."""
    from trainer.models import registry

    own = [
        model.fold_file.format(fold=number)
        for model in registry.all_models()
        for number in (0, 123)
    ]
    copied, left_out = select([Part(name, 1, None) for name in own])
    assert [part.name for part in copied] == own
    assert left_out == ""
