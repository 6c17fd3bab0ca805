"""The Runs page: every state, damage, one run's actions and files, read-only, deep links."""

from __future__ import annotations

import os
import shutil

import pytest
import streamlit as st

from pages.ui.runs import run_choice, run_files, run_table
from pages.ui.shared import frame, words
from tests.support import run_folders
from tests.support.pages import texts, visit
from trainer.run import control
from trainer.run.transfer import archive
from trainer.run.transfer.verification import Check, verify_run
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

STATES = tuple(state for state in run_folders.STATES if state != "starting")
SHOWN = {"damaged": "finished", "newer": "finished", "half": "running"}
BUSY = ("running", "pausing", "stalled", "half")
FILES = (
    *("config.json", "status.json", "command.json", "notes.json", "scores.json", "metrics.jsonl"),
    *("lgbm_state.json", "torch_state.json", "folds.parquet", "oof.parquet", "trainer.log"),
)


@pytest.fixture
def real_run(tiny_run, state_dir):
    """A run that the trainer finished, in the test's state folder."""
    return shutil.copytree(tiny_run, state_dir / "tiny")


def rows(app):
    return {row["Run"]: row for row in app.dataframe[0].value.to_dict("records")}


@pytest.mark.parametrize("is_read_only", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_shown_with_its_actions(make_run, go_read_only, state, is_read_only):
    """Badge and table agree; a run in use has no Start over; read-only has nothing that writes."""
    make_run("first", state)
    if is_read_only:
        go_read_only()
    app = visit("runs")
    shown = SHOWN.get(state, state)
    assert rows(app)["first"]["State"] == shown.capitalize()
    assert f"{words.STATE_ICONS[shown]} {shown.capitalize()}" in texts(app)
    keys = {button.key for button in app.button}
    if is_read_only:
        assert keys == {"open", "verify"}
        assert not app.text_input
    else:
        assert ("start_over_sure" in keys) == (state not in BUSY)
        assert app.text_input(key="title_first").value == ""
    assert app.button(key="verify").disabled == (state in BUSY)


@pytest.mark.parametrize("kind", ["garbage", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_never_breaks_the_table(make_run, name, kind):
    """With any one file of one run damaged, both runs are listed and the other one is complete."""
    make_run("whole", "finished")
    path = make_run("hurt", "finished") / name
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\x00\xff{")
    app = visit("runs", run="hurt")
    assert not app.exception
    assert set(rows(app)) == {"hurt", "whole"}
    assert rows(app)["whole"]["Blend"] == pytest.approx(0.94)
    assert "hurt" in [text.value for text in app.subheader]


def test_a_folder_with_nothing_but_a_torn_status_is_listed(state_dir, make_run):
    """A kill at the very first write; its row is empty, and it can be deleted."""
    make_run("whole", "finished")
    (state_dir / "torn").mkdir()
    (state_dir / "torn" / "status.json").write_bytes(b"{")
    app = visit("runs", run="torn")
    assert rows(app)["torn"]["State"] == "Interrupted"
    app.text_input(key="delete_torn").set_value("torn").run()
    app.button(key="delete_sure").click().run()
    assert not app.exception
    assert list(rows(app)) == ["whole"]


def test_folders_that_cannot_be_shown_are_left_out(make_run, state_dir, monkeypatch):
    """A private one, one whose name is not text, one that is being imported: the rest is listed."""
    make_run("whole", "finished")
    for name in (".arriving-1", "line\nbreak", os.fsdecode(b"no-text-\xff"), "private"):
        shutil.copytree(state_dir / "whole", state_dir / name)
    stat = os.stat

    def denied(path, *args, **options):
        if f"{os.sep}private{os.sep}" in str(path):
            raise PermissionError(13, "Permission denied")
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", denied)
    assert list(rows(visit("runs"))) == ["whole"]


def test_a_run_works_with_only_the_copy_of_its_configuration(real_run, state_dir):
    """Listed with its settings, exported, renamed: from config.json.prev."""
    (real_run / "config.json").unlink()
    app = visit("runs")
    assert rows(app)["tiny"]["Recordings"] is not None
    assert not next(
        each for each in app.get("download_button") if each.key == "export_run"
    ).disabled
    app.text_input(key="rename_tiny").set_value("second").run()
    app.button(key="rename_sure").click().run()
    assert not app.exception
    assert RunReader(state_dir / "second").run_file().run == "second"
    assert (state_dir / "second" / "config.json").exists()


def test_a_renamed_run_stays_selected(make_run, state_dir):
    """The folder is renamed, the page follows, the table has the new name."""
    make_run("first", "paused")
    make_run("other", "finished")
    app = visit("runs", run="first")
    app.text_input(key="rename_first").set_value("baseline").run()
    app.button(key="rename_sure").click().run()
    assert not app.exception
    assert set(rows(app)) == {"baseline", "other"}
    assert "baseline" in [text.value for text in app.subheader]
    assert not (state_dir / "first").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("other", "A run other exists already."), ("../evil", "Expected 1 to 64 of a-z")],
)
def test_a_name_that_cannot_be_used_is_refused_before_the_click(make_run, name, expected):
    """Taken, or not a run name; the button is disabled."""
    make_run("first", "paused")
    make_run("other", "finished")
    app = visit("runs", run="first")
    app.text_input(key="rename_first").set_value(name).run()
    assert expected in texts(app)
    assert app.button(key="rename_sure").disabled


def test_an_import_can_take_another_name(make_run, state_dir, tmp_path):
    """Names such as watch-1 exist on every machine; both runs can be in one folder."""
    root = make_run("first")
    archive.export_run(root, tmp_path / "first.zip")
    app = visit("runs")
    app.text_input(key="import_path").set_value(str(tmp_path / "first.zip")).run()
    app.button(key="import").click().run()
    assert "run first: it already exists" in texts(app)
    app.text_input(key="import_name").set_value("theirs").run()
    app.button(key="import").click().run()
    assert not app.exception
    assert set(rows(app)) == {"first", "theirs"}


def test_duplicate_fills_the_start_form(make_run):
    """The form on Train has the settings of the run, with an unused name."""
    make_run("first", "finished", seed=7)
    app = visit("runs")
    app.button(key="duplicate").click().run()
    assert not app.exception
    assert app.title[0].value == "Train"
    assert app.number_input(key="start_seed_quick").value == 7


def test_files_are_listed_and_verified_on_request(real_run):
    """First not checked; then each with its state, damaged ones first."""
    app = visit("runs")
    assert "Not checked" in set(app.dataframe[-1].value["State"])
    app.button(key="verify").click().run()
    assert "checks passed" in app.success[0].value
    data = bytearray((real_run / "oof.parquet").read_bytes())
    data[100] ^= 1
    (real_run / "oof.parquet").write_bytes(bytes(data))
    app.run()
    assert not app.success
    app.button(key="verify").click().run()
    table = app.dataframe[-1].value
    assert (table["File"][0], table["State"][0]) == ("oof.parquet", "Damaged")
    assert "expected SHA-256" in texts(app)


def test_a_file_has_the_worst_of_its_checks_and_a_missing_one_is_listed(real_run):
    """config.json is both a record and a file with a checksum."""
    checks = [
        Check("a", True, "a RunFile record"),
        Check("b", True, "a RunFile record"),
        Check("b", True, "10 bytes"),
        Check("c", False, "expected SHA-256"),
        Check("c", True, "a Status record"),
    ]
    assert run_files.check_states(checks) == {"a": "Readable", "b": "Verified", "c": "Damaged"}
    (real_run / "scores.json").unlink()
    files = run_files.list_files(real_run)
    table = run_files.file_table(files, verify_run(real_run))
    assert table.filter(State="Missing")["File"].to_list() == ["scores.json"]


def test_a_link_in_a_run_folder_is_not_offered(real_run, tmp_path):
    """An imported run folder must not give access to other files of this machine."""
    (tmp_path / "secret.json").write_text("{}")
    (real_run / "more.json").symlink_to(tmp_path / "secret.json")
    names = [file.name for file in run_files.list_files(real_run)]
    assert "more.json" not in names
    assert "units/lgbm_fold00.json" in names
    offered = visit("runs").selectbox(key="file_tiny").options
    assert not any("secret" in name or "more.json" in name for name in offered)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scores.json", "Scores"),
        ("torch_models/fold01.pt", "Network, fold 1: fitted model"),
        ("lgbm_fold02_last.pkl", "LightGBM, fold 2: checkpoint"),
        ("torch_models/fold00_last.pth.prev", "Network, fold 0: previous checkpoint"),
        ("units/lgbm_fold11.lock", "LightGBM, fold 11: held while it is trained"),
        ("torch_state.json", "Folds of the network"),
        ("lgbm_bundle.pkl", "LightGBM, all folds for prediction"),
        ("units/torch_fold00.json", "Network, fold 0: record"),
        ("something.else", ""),
    ],
)
def test_the_content_of_a_file_is_described(name, content):
    """By its name; of an unknown file nothing is claimed."""
    assert run_files.describe(name) == content


def test_a_run_is_read_once_per_version_of_its_files(make_run, monkeypatch):
    """Fifty runs are listed quickly because only changed ones are read again."""
    runs = [RunReader(make_run(f"run-{number}")) for number in range(3)]
    reads = []
    read = RunReader.run_file
    monkeypatch.setattr(RunReader, "run_file", lambda run: reads.append(run.name) or read(run))
    run_table.summaries(runs)
    num_first = len(reads)
    run_table.summaries(runs)
    assert len(reads) == num_first
    control.write_notes(runs[1].root, run_folders.Notes(title="new"))
    found = run_table.summaries(runs)
    assert set(reads[num_first:]) == {"run-1"}
    assert [summary.notes.title for summary in found] == ["", "new", ""]


def test_selected_rows_pick_one_run_or_compare_several(monkeypatch):
    """One row is the run that all pages show; several are compared; none ends the comparison."""
    event = type("Event", (), {})()
    state = {"table": event}
    monkeypatch.setattr(st, "session_state", state)
    for ticked, run, compared in [([1], "b", []), ([0, 2], "b", ["a", "c"]), ([], "b", [])]:
        event.selection = type("Selection", (), {"rows": ticked})()
        run_choice._take_ticks("table", ["a", "b", "c"])
        assert (state["run"], state["compare"]) == (run, compared)


def test_many_runs_can_be_filtered(make_run):
    """Words of name, title, note, state or source; all of them must match."""
    for number in range(8):
        make_run(f"run-{number}", "paused" if number % 2 else "finished")
    run_folders.write_notes(RunPaths(make_run("odd", "paused")), "Best so far")
    app = visit("runs")
    app.text_input(key="runs_filter").set_value("paused best").run()
    assert list(rows(app)) == ["odd"]
    app.text_input(key="runs_filter").set_value("nothing-like-it").run()
    assert "No run has" in texts(app)


def test_the_table_keeps_its_order_while_runs_are_training(make_run):
    """Selected rows are positions: a heartbeat must not reorder them."""
    make_run("a")
    make_run("b", "running")
    before = list(rows(visit("runs")))
    (RunPaths(RunReader(frame.state_dir() / "a").root).status).touch()
    assert list(rows(visit("runs"))) == before == ["a", "b"]


def test_the_summary_of_a_damaged_run_names_the_file(make_run):
    """The state is shown all the same."""
    run = RunReader(make_run("first", "damaged"))
    [summary] = run_table.summaries([run])
    assert summary.scores is None
    assert [text.partition(": ")[0] for text in summary.problems] == [str(run.paths.scores)]
    assert run_table.shown_state(summary, derive_state(run)) == "finished"
