"""Simulated recordings: their scores are never shown without the mark."""

from __future__ import annotations

import json
import time

import pytest

from pages.ui.runs import comparison
from pages.ui.runs.run_table import summaries
from pages.ui.shared import toasts, words
from pages.ui.train import start_source
from tests.support.pages import texts, visit
from tests.support.run_folders import change_status
from trainer.cli import reports
from trainer.store.durable import append_line
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

SOURCE = "simulated:20"
COPY = {"source": "/data/copy", "is_marked": True}  # simulated by its content, not by its name
BADGE = ":material/science: Simulated"


@pytest.mark.parametrize("page", ["train", "scores", "features", "predict", "runs"])
def test_a_page_marks_a_simulated_run_and_no_other(make_run, page):
    """The same badge on every page that shows a score."""
    make_run("made", source=SOURCE)
    make_run("copied", **COPY)
    make_run("real")
    assert BADGE in texts(visit(page, run="made"))
    assert BADGE in texts(visit(page, run="copied"))
    assert BADGE not in texts(visit(page, run="real"))


def test_the_table_of_runs_marks_simulated_recordings(make_run):
    """In a column before the scores."""
    make_run("made", source=SOURCE)
    make_run("copied", **COPY)
    make_run("real")
    table = visit("runs").dataframe[0].value
    assert dict(zip(table["Run"], table["Recordings"], strict=True)) == {
        "made": "Simulated, 20 subjects",
        "copied": "Simulated, /data/copy",
        "real": "watch",
    }
    assert list(table.columns).index("Recordings") < list(table.columns).index("Blend")


def test_compared_scores_mark_simulated_recordings(make_run):
    """One row per model and run, each with the source of its recordings."""
    found = summaries([RunReader(make_run("made", source=SOURCE))])
    assert comparison.score_table(found)["Recordings"].unique().to_list() == [
        "Simulated, 20 subjects"
    ]


@pytest.mark.parametrize("made_from", [{"source": SOURCE}, COPY], ids=["by name", "by content"])
def test_a_toast_marks_a_simulated_score(make_run, made_from):
    """A finished fold of another run is shown with its score and the mark."""
    root = make_run("made", "running", **made_from)
    app = visit("runs", run="made")
    line = {"event": "fold", "time": time.time(), "attempt": 1, "model": "torch", "fold": 1}
    append_line(RunPaths(root).metrics, line | {"values": {"score": 0.912, "seconds": 3.0}})
    change_status(root, done_units=5)
    app.run()
    assert app.toast[0].value.replace("\\", "").endswith("score 0.912 (simulated).")


@pytest.mark.parametrize("made_from", [{"source": SOURCE}, COPY], ids=["by name", "by content"])
def test_the_command_line_marks_simulated_scores(make_run, made_from):
    """``train`` ends with the mark above its scores, ``status`` too, in lines and in JSON."""
    reader = RunReader(make_run("made", **made_from))
    real = RunReader(make_run("real"))
    mark = "Simulated recordings: these scores do not apply to real ones."
    assert mark in reports.outcome_lines(reader.root, "finished")
    assert f"  {mark}" in reports.status_lines(reader, derive_state(reader), with_evidence=True)
    assert reports.status_json(reader, derive_state(reader))["is_simulated"] is True
    assert mark not in reports.outcome_lines(real.root, "finished")
    assert reports.status_json(real, derive_state(real))["is_simulated"] is False


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("simulated", "Simulated"),
        ("simulated:1", "Simulated, 1 subject"),
        ("/data/simulated.csv", "/data/simulated.csv"),
    ],
)
def test_only_the_source_of_that_name_is_simulated(make_run, source, text):
    """A file with the word in its name is a file."""
    assert words.recordings(RunReader(make_run(source=source)).run_file()) == text


def test_a_run_of_an_earlier_version_without_the_mark_can_be_read(make_run):
    """Without the entry in config.json the name of the source decides."""
    for name, source, expected in (("made", SOURCE, True), ("folder", "/data/folder", False)):
        reader = RunReader(make_run(name, source=source))
        content = json.loads(reader.paths.config.read_text())
        assert content["recordings"].pop("is_simulated") is False
        reader.paths.config.write_text(json.dumps(content))
        assert RunReader(reader.root).run_file().is_simulated is expected


def test_simulated_recordings_can_be_chosen_and_duplicated(make_run, monkeypatch):
    """The form offers them with a number of people; a duplicate keeps that number."""
    root = make_run("made", source="simulated:7")
    app = visit(run="made")
    app.button("duplicate").click().run()
    assert not app.exception
    assert app.session_state["start_source"] == "Simulated"
    assert app.number_input("start_subjects").value == 7
    assert "on simulated recordings of 7 subjects" in texts(app)
    app.number_input("start_subjects").set_value(1).run()
    assert "on simulated recordings of 1 subject." in texts(app)
    assert RunReader(root).run_file().data.source == "simulated:7"


def test_a_source_that_cannot_be_read_is_reported(tmp_path):
    """Before the start."""
    assert start_source.problem("simulated:3") == ""
    assert "whole number from 1 to 1000" in start_source.problem("simulated:many")
    missing = str(tmp_path / "no.csv")
    assert start_source.problem(missing) == f"Recordings: no file or folder at {missing!r}."


def test_the_fold_toast_of_a_real_run_has_no_mark(make_run):
    """Nothing is added where the recordings are real."""
    reader = RunReader(make_run("real"))
    assert "simulated" not in toasts._fold_text(reader)
