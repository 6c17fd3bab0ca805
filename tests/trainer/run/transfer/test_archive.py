"""Archive: a run to one zip and back; what is not a run, or not safe, is imported nowhere."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import zipfile

import numpy as np
import pytest

from tests.support.tiny_runs import tiny_config, train
from trainer.run import RefusedError
from trainer.run.transfer import archive as archives
from trainer.run.transfer import parts
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.moving import TransferError
from trainer.run.transfer.verification import verify_run
from trainer.store.locks import acquire
from trainer.store.names import RunNameError
from trainer.store.reader import RunReader, list_runs

MOMENT = ("lock", "command.json")  # files of this process and this moment


def content(root):
    """Return the bytes of every file that belongs to a run."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name not in MOMENT and path.suffix != ".lock"
    }


def archive(path, members, **options):
    """Write a zip of names and bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def assert_nothing_landed(state, tmp_path, before):
    """Neither a run nor an unfinished import nor a file outside the state folder remains."""
    assert list_runs(state) == []
    assert list(state.iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if path != state} == before


def refuse(source, state, tmp_path, match):
    before = set(tmp_path.rglob("*")) - {state}
    with pytest.raises(TransferError, match=match):
        import_run(source, state)
    assert_nothing_landed(state, tmp_path, before)


def test_export_and_import_keep_every_byte(run, exported, state):
    """Every file but the lock and the command; the imported run is verified."""
    (run / "lock").touch()
    (run / "command.json").write_text("{}")
    back = import_run(exported, state)
    assert back == state / "tiny"
    assert content(back) == content(run)
    assert not any((back / name).exists() for name in MOMENT)
    assert all(check.is_good for check in verify_run(back))


def test_a_paused_run_is_finished_elsewhere_to_the_same_result(
    tiny_run, tiny_source, tmp_path, state
):
    """Export after the first fold, import, resume: the table of a run that was never moved."""
    from trainer.run.pipeline import Limits

    config = tiny_config(tiny_source)
    root = tmp_path / "here" / "tiny"
    assert train(root, config, Limits(stop_after_folds=3)) == "paused"
    export_run(root, tmp_path / "half.zip")
    back = import_run(tmp_path / "half.zip", state)
    assert train(back, config) == "finished"
    assert (back / "oof.parquet").read_bytes() == (tiny_run / "oof.parquet").read_bytes()


def test_a_read_only_folder_is_copied_and_the_copy_can_be_written(run, state):
    """As Kaggle mounts the output of an earlier session."""
    for path in [run, *run.rglob("*")]:
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    try:
        back = import_run(run, state)
        assert content(back) == content(run)
        assert all(path.stat().st_mode & stat.S_IWUSR for path in [back, *back.rglob("*")])
    finally:
        for path in [run, *run.rglob("*")]:
            path.chmod(stat.S_IRWXU)


def test_a_run_keeps_its_name_whatever_folder_or_archive_it_comes_in(run, state):
    """The name in config.json counts."""
    renamed = run.rename(run.with_name("output"))
    assert import_run(renamed, state).name == "tiny"


def test_an_existing_run_is_not_overwritten(run, exported, state):
    """The same name again: refused, and the existing run is untouched."""
    back = import_run(exported, state)
    (back / "notes.json").write_text("mine")
    for source in (exported, run):
        with pytest.raises(RefusedError, match="run tiny: it already exists"):
            import_run(source, state)
    assert (back / "notes.json").read_text() == "mine"
    assert [entry.name for entry in state.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.txt",
        "tiny/../../escaped.txt",
        "tiny/../escaped.txt",
        "/escaped.txt",
        "/tmp/escaped.txt",
        "..\\escaped.txt",
        "tiny\\..\\..\\escaped.txt",
        "C:\\escaped.txt",
        "C:/escaped.txt",
        "tiny/C:/escaped.txt",
        "tiny/C:escaped.txt",
        "escaped.txt",
        "other/escaped.txt",
    ],
)
def test_a_file_name_outside_the_runs_folder_is_refused(exported, state, tmp_path, name):
    """Nothing is unpacked, not even the good files before it."""
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr(name, "escaped")
    refuse(exported, state, tmp_path, "expected plain files in one folder. Nothing was unpacked")


def test_a_link_in_an_archive_is_refused(exported, state, tmp_path):
    """A link could point at any file of the machine."""
    link = zipfile.ZipInfo("tiny/status.json.bak")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr(link, "/etc/passwd")
    refuse(exported, state, tmp_path, "expected plain files in one folder")


@pytest.mark.parametrize("target", ["/etc/hostname", "/etc"])
def test_a_link_in_a_folder_is_refused(run, state, tmp_path, target):
    """To a file or to a folder."""
    (run / "torch_models" / "more").symlink_to(target)
    refuse(run, state, tmp_path, "more: a link. Expected plain files")


def test_a_bomb_is_refused_before_it_is_unpacked(exported, state, tmp_path, monkeypatch):
    """By its ratio of compression, by its size, by its number of files."""
    bomb = archive(tmp_path / "bomb.zip", [("tiny/oof.parquet", bytes(20 * 2**20))])
    refuse(
        bomb,
        state,
        tmp_path,
        "expected a run, got an archive that unpacks from .* to 20,971,520 bytes",
    )
    monkeypatch.setattr(parts, "MAX_BYTES", 1000)
    refuse(
        exported,
        state,
        tmp_path,
        "expected a run, got an archive that unpacks .* Nothing was unpacked",
    )
    monkeypatch.setattr(parts, "MAX_FILES", 3)
    refuse(exported, state, tmp_path, "expected at most 3 files, got")


def test_an_archive_with_a_wrong_size_is_refused(state, tmp_path):
    """10 bytes in the header, a million in the content."""
    path = archive(tmp_path / "liar.zip", [("tiny/oof.parquet", os.urandom(1000) * 1000)])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    refuse(path, state, tmp_path, "liar.zip: expected a zip|larger than its entry in the archive")


@pytest.mark.parametrize("name", ["notes.txt", "tiny.zip", "table.parquet"])
def test_a_foreign_file_is_refused(state, tmp_path, name):
    """Whatever its name is."""
    (tmp_path / name).write_bytes(b"PAR1 or text, no archive")
    refuse(tmp_path / name, state, tmp_path, f"{name}: expected a zip written by export")


def test_an_archive_or_folder_of_something_else_is_refused(state, tmp_path):
    """A zip of photographs, an empty zip, a folder of recordings."""
    photographs = archive(tmp_path / "photos.zip", [("photos/cat.jpg", b"jpeg")])
    refuse(photographs, state, tmp_path, "photos.zip: no config.json in it")
    refuse(archive(tmp_path / "empty.zip", []), state, tmp_path, "empty.zip: no config.json in it")
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "train.csv").write_text("row_id")
    refuse(tmp_path / "recordings", state, tmp_path, "recordings: no config.json in it")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schema": 2}, "schema 2 is newer than this version's 1"),
        ({"run": "../escaped"}, "run name: expected 1 to 64 of a-z"),
        ({"run": "Tiny Run"}, "run name: expected 1 to 64 of a-z"),
        ({"labels": None}, "expected a RunFile record"),
        ({"boosting": {"rounds": -1}}, "expected a RunFile record"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(run, state, tmp_path, change, match):
    """Newer, with a name outside the folder, incomplete or out of range."""
    values = json.loads((run / "config.json").read_bytes()) | change
    for path in run.glob("config.json*"):
        path.write_text(json.dumps(values))
    refuse(run, state, tmp_path, match)
    export = archive(tmp_path / "tiny.zip", [("tiny/config.json", json.dumps(values))])
    refuse(export, state, tmp_path, match)


def test_damage_anywhere_in_an_archive_is_refused_or_harmless(state, tmp_path):
    """Cut anywhere: refused. One bit wrong anywhere: refused, or whole files come out."""
    rng = np.random.default_rng(0)
    members = [
        (f"tiny/part{n}.log", rng.integers(0, 9, 60, dtype=np.uint8).tobytes()) for n in "ab"
    ]
    whole = archive(tmp_path / "whole.zip", members).read_bytes()
    path = tmp_path / "damaged.zip"

    def outcome(data):
        path.write_bytes(data)
        target = state / "unpacked"
        shutil.rmtree(target, ignore_errors=True)
        try:
            archives._unpack(path, target)
        except TransferError:
            return None
        return content(target)

    for length in range(0, len(whole), 3):
        assert outcome(whole[:length]) is None
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        unpacked = outcome(bytes(damaged)) or {}
        assert unpacked.items() <= {name.partition("/")[2]: data for name, data in members}.items()


def test_an_encrypted_archive_is_refused(exported, state, tmp_path):
    """By its flag alone: a run has no password."""
    data = bytearray(exported.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    exported.write_bytes(bytes(data))
    refuse(exported, state, tmp_path, "expected a zip written by export")


def test_an_active_run_is_not_exported(run, tmp_path):
    """Its files would not fit together."""
    held = acquire(run / "lock")
    status = json.loads((run / "status.json").read_bytes())
    (run / "status.json").write_text(json.dumps(status | {"state": "running"}))
    before = content(run)
    with pytest.raises(RefusedError, match=r"run tiny: a trainer is .* Pause it"):
        export_run(run, tmp_path / "no.zip")
    held.release()
    assert content(run) == before
    assert not list(tmp_path.glob("*no.zip*"))


@pytest.mark.parametrize("damage", ["missing", "flipped", "empty"])
@pytest.mark.parametrize("way", ["zip", "folder"])
def test_a_run_with_only_the_copy_of_its_configuration_is_exported_and_imported(
    run, state, tmp_path, damage, way
):
    """config.json.prev is enough, and the imported run has config.json again."""
    whole = (run / "config.json").read_bytes()
    (run / "config.json").unlink()
    if damage != "missing":
        (run / "config.json").write_bytes(whole[:-9] if damage == "flipped" else b"")
    source = run
    if way == "zip":
        source = tmp_path / "tiny.zip"
        export_run(run, source)
    back = import_run(source, state)
    assert back.name == "tiny"
    assert (back / "config.json").read_bytes() == whole
    assert all(check.is_good for check in verify_run(back))


def test_a_run_can_be_imported_under_another_name(exported, state):
    """Its configuration has the new name; an impossible name is refused and nothing imported."""
    import_run(exported, state)
    other = import_run(exported, state, "theirs")
    assert RunReader(other).run_file().run == "theirs"
    assert all(check.is_good for check in verify_run(other))
    with pytest.raises(RunNameError, match="expected 1 to 64"):
        import_run(exported, state, "../evil")
    assert sorted(entry.name for entry in state.iterdir()) == ["theirs", "tiny"]


def test_an_export_that_cannot_be_written_is_reported_and_leaves_no_part(
    run, tmp_path, monkeypatch
):
    """A missing folder, a full disk: the earlier export is untouched."""
    with pytest.raises(TransferError, match="could not be written"):
        export_run(run, tmp_path / "missing" / "tiny.zip")
    (tmp_path / "tiny.zip").write_bytes(b"earlier")

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full_disk)
    with pytest.raises(TransferError, match=r"tiny\.zip: could not be written .*No space left"):
        export_run(run, tmp_path / "tiny.zip")
    assert (tmp_path / "tiny.zip").read_bytes() == b"earlier"
    assert not list(tmp_path.glob(".*"))


def test_a_folder_without_a_run_is_not_exported(tmp_path):
    """The message contains the command that lists the runs."""
    with pytest.raises(
        RefusedError, match=r"no run in this folder\. List the runs: python -m trainer status"
    ):
        export_run(tmp_path, tmp_path / "no.zip")


def test_an_import_that_is_killed_leaves_no_run(exported, state, monkeypatch):
    """A part of a run is never listed: it gets its name when it is whole."""

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(archives, "replace", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(Killed):
        import_run(exported, state)
    assert [entry.name.startswith(".arriving-") for entry in state.iterdir()] == [True]
    assert list_runs(state) == []


def test_an_archive_can_be_read_by_other_programs(run, exported):
    """A plain zip: one folder, named as the run, with relative names."""
    with zipfile.ZipFile(io.BytesIO(exported.read_bytes())) as file:
        assert file.testzip() is None
        assert {name.partition("/")[0] for name in file.namelist()} == {"tiny"}
        assert {name.partition("/")[2] for name in file.namelist()} == set(content(run))
    assert RunReader(run).name == "tiny"
