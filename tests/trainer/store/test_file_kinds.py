"""Every file of a run has a kind and a greatest size, which are checked before it is read."""

import os
import stat

import psutil
import pytest

from trainer.store.durable import StoreError, append_text, cut_torn_line
from trainer.store.file_kinds import (
    OTHER,
    belongs_to_process,
    file_sha256,
    kind_of,
    open_file,
    read_file,
)


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def unix_socket(path):
    os.mknod(path, stat.S_IFSOCK | 0o600)  # no limit on the length of its path, as bind has


def folder(path):
    path.mkdir()


def circle(path):
    path.symlink_to(path)


NOT_FILES = (fifo, device, unix_socket, folder, circle)


@pytest.mark.parametrize(
    ("name", "title", "is_live"),
    [
        ("config.json", "record", False),
        ("config.json.prev", "record", False),
        ("units/lgbm_fold00.json", "record", False),
        ("metrics.jsonl", "event log", False),
        ("folds.parquet.prev", "table", False),
        ("torch_models/fold00_last.pth.prev", "model", False),
        ("lgbm_bundle.pkl", "model", False),
        ("train_features.joblib", "feature table", False),
        ("notes.txt", "file", False),
        ("lock", "lock", True),
        ("units/lgbm_fold00.lock", "lock", True),
        ("lock.owner", "owner of a lock", True),
        ("command.json", "command", True),
        ("units/frames_0123.npy", "array for workers", True),
        (".status.json.12-34.tmp", "temporary file", True),
    ],
)
def test_a_file_has_the_kind_of_its_name(name, title, is_live):
    """A copy has the kind of its file."""
    assert kind_of(name).title == title
    assert belongs_to_process(name) is is_live


@pytest.mark.parametrize("name", ["units/at_work/x.json", "units/at_work/lgbm_fold00.3.lines"])
def test_a_file_of_the_workers_progress_belongs_to_a_process(name):
    """The whole folder does, whatever is in it."""
    assert belongs_to_process(name)


def test_a_file_is_read_as_it_is(tmp_path):
    """Also an empty one; a missing one is no damage."""
    (tmp_path / "scores.json").write_bytes(b"{}")
    (tmp_path / "trainer.log").touch()
    assert read_file(tmp_path / "scores.json") == b"{}"
    assert read_file(tmp_path / "trainer.log") == b""
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "status.json")


@pytest.mark.parametrize("read", [read_file, file_sha256])
@pytest.mark.parametrize("make", NOT_FILES)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, read):
    """A named pipe does not block, a device is not read to its end."""
    path = tmp_path / "status.json"
    make(path)
    with pytest.raises(StoreError, match=r"status\.json: (expected a file, got|cannot be read)"):
        read(path)


@pytest.mark.parametrize("write", [lambda path: append_text(path, "line\n"), cut_torn_line])
@pytest.mark.parametrize("make", NOT_FILES)
def test_nothing_is_appended_to_what_is_no_regular_file(tmp_path, make, write):
    """A trainer that resumes does not wait for a reader of a named pipe."""
    path = tmp_path / "metrics.jsonl"
    make(path)
    with pytest.raises(StoreError, match=r"metrics\.jsonl: "):
        write(path)


@pytest.mark.parametrize("name", ["status.json", "config.json.prev", "metrics.jsonl", "x_fold.pkl"])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path, name):
    """The file has no content on the disk; reading it would take its size in memory."""
    path, most = tmp_path / name, kind_of(name).max_bytes
    with path.open("wb") as file:
        file.truncate(most + 1)
    with pytest.raises(StoreError, match=rf"at most {most:,} bytes, got {most + 1:,}"):
        read_file(path)
    with pytest.raises(StoreError, match="at most"), open_file(path):
        pass


def test_the_greatest_size_itself_is_read(tmp_path):
    """The bound belongs to the range."""
    path = tmp_path / "command.json"
    path.write_bytes(b" " * kind_of(path.name).max_bytes)
    assert len(read_file(path)) == kind_of(path.name).max_bytes


def test_a_file_without_a_known_name_is_bounded_too(tmp_path):
    """A model of somebody's own may have other file names."""
    assert kind_of("trees.bin") is OTHER
    with (tmp_path / "trees.bin").open("wb") as file:
        file.truncate(OTHER.max_bytes + 1)
    with pytest.raises(StoreError, match=r"trees\.bin: expected a file of at most"):
        read_file(tmp_path / "trees.bin")


def test_a_file_that_does_not_fit_into_memory_is_not_read(tmp_path, monkeypatch):
    """Blanks that take no room on the disk, more than half of what is free."""
    path = tmp_path / "train_features.joblib"
    with path.open("wb") as file:
        file.truncate(2**30)
    memory = psutil.virtual_memory()._replace(available=2**31 - 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(StoreError, match="at most half of the free memory"):
        read_file(path)
