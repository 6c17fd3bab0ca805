"""The Data page: what is in the recordings, the checks with their evidence, one sequence."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
import streamlit as st

from pages.ui.data import chart_titles, checks_values
from pages.ui.shared import source
from tests.pages.test_result_pages import know_source, metrics, texts, visit
from tests.support.builders import make_table
from trainer.data import sources
from trainer.simulation import any_source
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader

ASL = Path(__file__).parents[4] / "shared" / "data" / "asl.parquet"  # no licence: not shipped
OVERVIEW, CHECKS, ONE = VIEWS = ("Overview", "Checks", "One sequence")


@pytest.fixture
def known_run(make_run, tmp_path):
    """A run whose recordings, with all sensors, are a file beside the state folder."""
    path = tmp_path / "recordings.parquet"
    make_table(length=12).write_parquet(path)
    root = make_run("first", "finished", source=str(path))
    know_source(root, path)
    return RunPaths(root)


def look(view):
    app = visit("data")
    app.session_state["data_view"] = view
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", ["running", "paused", "failed", "finished", "damaged"])
def test_every_view_shows_every_state(make_run, tmp_path, state, view):
    """The recordings are there, whatever became of the run."""
    path = tmp_path / "recordings.parquet"
    make_table(length=12).write_parquet(path)
    know_source(make_run("first", state, source=str(path)), path)
    assert len(look(view).get("plotly_chart")) >= 1


def test_the_overview_says_what_is_there(known_run):
    """Counts, lengths, missing sensors, and one line for all checks."""
    app = visit("data")
    assert metrics(app)["Sequences"] == "48"
    assert metrics(app)["Sensors"] == "4 of 4"
    for title in (
        "Every gesture has 12 sequences",
        "Every subject has 8 sequences",
        "Every subject made every gesture",
        "No sensor value is missing",
        "Look at this: Channels that stand still",  # the tiny wrist turns about one axis only
    ):
        assert title in texts(app)


def test_a_sequence_is_chosen_by_gesture_and_subject(known_run):
    """Its traces, when the gesture itself happens, and what its images saw."""
    app = look(ONE)
    assert "SEQ_000000: Cheek - pinch skin, subject SUBJ_000000" in texts(app)
    assert "The gesture itself, shaded: " in texts(app)
    assert len(app.get("plotly_chart")) == 1 + 5
    app.selectbox(key="data_gesture").select("Wave hello").run()
    app.selectbox(key="data_subject").select("SUBJ_000002").run()
    assert not app.exception
    assert "SEQ_000019: Wave hello, subject SUBJ_000002" in texts(app)


def test_every_check_tells_how_it_was_decided(known_run):
    """Nine findings, those to look at first, each with its method."""
    app = look(CHECKS)
    methods = [caption.value for caption in app.get("caption")]
    path = known_run.root.parents[1] / "recordings.parquet"
    for check in checks_values.all_checks(sources.load(str(path))):
        assert check.title in texts(app)
        assert check.finding in texts(app)
        assert any(check.method[:40] in text.replace("\\", "") for text in methods)


def test_recordings_are_looked_through_once(known_run, monkeypatch):
    """A rerun takes what the first one derived."""
    st.cache_resource.clear()  # other tests look at the same recordings
    calls = []
    original = checks_values.duplicates
    monkeypatch.setattr(
        checks_values, "duplicates", lambda sequences: calls.append(1) or original(sequences)
    )
    app = look(CHECKS)
    app.run()
    assert len(calls) == 1


def test_a_source_that_goes_away_is_told_though_it_was_read_before(known_run):
    """What was kept warm is not shown as if it were still there."""
    app = visit("data")
    assert "Sensors" in metrics(app)
    (known_run.root.parents[1] / "recordings.parquet").unlink()
    app.run()
    assert not app.exception
    assert "recordings.parquet' does not exist" in texts(app)
    assert metrics(app) == {"Sequences": "48", "Subjects": "6", "Gestures": "4"}


def test_the_page_without_its_source_shows_what_the_run_kept(make_run, tmp_path):
    """A run that was moved to another machine still tells its subjects, gestures and folds."""
    make_run("first", "finished", source=str(tmp_path / "gone.csv"))
    app = visit("data")
    assert "gone.csv' does not exist" in texts(app)
    assert "Sequences and subjects of every fold" in texts(app)


def test_recordings_that_changed_since_are_not_shown_as_the_runs(known_run):
    """Their content is what counts; putting the old ones back brings them back."""
    path = known_run.root.parents[1] / "recordings.parquet"
    shutil.copy(path, path.with_suffix(".old"))
    make_table(length=12, seed=1).write_parquet(path)
    assert "has changed since the run was made" in texts(visit("data"))
    shutil.copy(path.with_suffix(".old"), path)
    assert "Sensors" in metrics(visit("data"))


def test_a_reading_failure_is_not_repeated_at_every_rerun(known_run, monkeypatch):
    """The recordings of another run are read once, then refused from memory."""
    path = known_run.root.parents[1] / "recordings.parquet"
    make_table(length=12, seed=2).write_parquet(path)
    run_file = RunReader(known_run.root).run_file()
    reads = []
    original = any_source.load
    monkeypatch.setattr(any_source, "load", lambda name: reads.append(name) or original(name))
    for _ in range(3):
        with pytest.raises(source.SourceError, match="has changed"):
            source.recordings(run_file)
    assert len(reads) == 1


def test_the_words_of_the_titles():
    """Even counts, uneven ones, and pairs that never meet."""
    rows = pl.DataFrame({"gesture": ["a", "b"], "count": [5, 2]})
    assert chart_titles.counts(rows, "gesture") == "From 2 sequences (b) to 5 (a) by gesture"
    pairs = pl.DataFrame({"gesture": ["a", "b"], "x": [1, 0], "y": [1, 1]})
    assert chart_titles.pairs(pairs) == "1 of 4 pairs of subject and gesture have no sequence"
    assert (
        chart_titles.lengths(pl.DataFrame({"steps": [7, 7]})) == "Every sequence has 7 time steps"
    )
