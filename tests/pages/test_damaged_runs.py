"""A run that is damaged on purpose is shown as damaged; it takes nothing from the other runs."""

from __future__ import annotations

import json
import os
import stat

import pytest

from tests.support import run_folders
from tests.support.pages import texts, visit
from trainer.cli.commands import status
from trainer.run.transfer.archive import delete_run
from trainer.run.transfer.verification import verify_run
from trainer.store.durable import append_line
from trainer.store.names import RunPaths

PAGES = ("train", "scores", "features", "predict", "data", "runs")
RECORDS = (
    *("config.json", "status.json", "command.json", "notes.json", "scores.json"),
    *("lgbm_state.json", "torch_state.json", "checksums.json", "resume_record.json"),
)
TABLES = ("folds.parquet", "oof.parquet", "feature_importance.csv", "train_features.joblib")
LOGS = ("metrics.jsonl", "trainer.log", "lock", "lock.owner")


def nested_lists(path):
    path.write_bytes(b"[" * 200_000)


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless_device(path):
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def unix_socket(path):
    path.unlink(missing_ok=True)
    os.mknod(path, stat.S_IFSOCK | 0o600)


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def half_a_gigabyte(path):
    with path.open("wb") as file:
        file.truncate(500_000_000)


def status_with(**changes):
    def change(root):
        path = root / "status.json"
        fields = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: new for key, new in fields.items() if new != "removed"}))

    return change


def lines(*texts_of_lines):
    def append(root):
        with (root / "metrics.jsonl").open("ab") as file:
            file.writelines(line + b"\n" for line in texts_of_lines)

    return append


def event(name, **fields):
    line = {"event": name, "time": run_folders.NOW, "attempt": 1, "values": {}} | fields
    return json.dumps(line).encode()


HOSTILE = {
    "pid -1": status_with(pid=-1),
    "no name": status_with(run="removed"),
    "an unknown model": status_with(model="../../x", fold=999),
    "times after all calendars": status_with(heartbeat_at=1e308, progress_at=1e308),
    "an attempt of infinity": lines(event("epoch")[:-1] + b', "attempt": 1e999}'),
    "a time of 400 digits": lines(event("finish", time=10**400)),
    "a list as model": lines(event("epoch", model=["a"], fold=0, values={"step": 1})),
    "a kill before the first start": lines(event("interrupted", attempt=0)),
    "readings of nothing known": lines(event("beat", values={"x": 1.0})),
    "a reading that lacks most": lines(event("beat", values={"free_disk_mb": 1.0})),
    "a pause at the end of numbers": lines(
        event("pause", model="lgbm", fold=0, values={"step": 2.0**37, "redone_s": 2.0**37})
    ),
}


def look_at(root, *pages):
    """Open pages of a damaged run, then the list of runs, and a page of the other run."""
    for page in pages:
        visit(page, run=root.name)
    runs = visit("runs", run=root.name)
    assert set(runs.dataframe[0].value["Run"]) == {"good", "hostile"}
    assert any(button.key == "delete_sure" for button in runs.button)
    assert not visit(run="good").error


@pytest.fixture
def hostile(make_run):
    """Return a run to damage; another one is in the same state folder."""
    make_run("good", "finished")
    return make_run("hostile", "finished")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_or_event_darkens_no_page(hostile, name):
    """The pages of the run and of the other one are drawn; the damaged one can be deleted."""
    HOSTILE[name](hostile)
    look_at(hostile, "train")
    status(hostile.parent, None, as_json=True)
    delete_run(hostile)
    assert not hostile.exists()


def test_the_page_counts_the_lines_that_are_no_events(hostile):
    """So that nobody takes a gap in a curve for the truth."""
    lines(b"x", b"[1]")(hostile)
    app = visit(run="hostile")
    assert "metrics.jsonl: 2 lines are no events" in texts(app)
    assert "metrics.jsonl" not in texts(visit(run="good"), ("warning",))


def test_the_message_of_a_damaged_status_is_in_words(hostile, capsys):
    """On the page, and in the list of the command line."""
    status_with(pid=-1)(hostile)
    assert "status.json: expected a Status record; pid: " in texts(visit(run="hostile"))
    status(hostile.parent, None, as_json=False)
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "A file is damaged" in listed["hostile"]
    assert "finished" in listed["good"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("status.json", nested_lists), ("status.json", half_a_gigabyte)),
        *(("metrics.jsonl", pipe), ("metrics.jsonl", half_a_gigabyte)),
        *(("trainer.log", endless_device), ("oof.parquet", pipe)),
    ],
)
def test_what_stands_in_for_a_file_darkens_no_page(hostile, name, change):
    """Some of the next test, on the page that reads most of them."""
    change(hostile / name)
    assert verify_run(hostile)
    look_at(hostile, "train", "scores")


@pytest.mark.faults
@pytest.mark.parametrize(
    "change", [nested_lists, pipe, endless_device, unix_socket, folder, half_a_gigabyte]
)
@pytest.mark.parametrize("name", [*RECORDS, *TABLES, *LOGS])
def test_anything_in_place_of_any_file_darkens_no_page(hostile, name, change):
    """Every file of a run, every page; the run can be deleted, and verify ends."""
    change(hostile / name)
    look_at(hostile, *PAGES)
    assert verify_run(hostile)
    status(hostile.parent, None, as_json=True)
    delete_run(hostile)


def test_a_run_that_becomes_read_only_is_shown(hostile):
    """As on a disk that was mounted again without writing: nothing is written to be shown."""
    paths = RunPaths(hostile)
    append_line(paths.metrics, json.loads(event("pause")))
    hostile.chmod(0o500)
    for path in hostile.iterdir():
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        before = {path.name: path.stat().st_mtime_ns for path in hostile.iterdir()}
        look_at(hostile, "train")
        status(hostile.parent, None, as_json=True)
        assert {path.name: path.stat().st_mtime_ns for path in hostile.iterdir()} == before
    finally:
        hostile.chmod(0o700)
