"""The Data page: counts, the checks with their evidence, one sequence."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
import streamlit as st

from pages.ui.data import chart_titles
from pages.ui.shared import recordings, source
from tests.support.builders import make_table
from tests.support.pages import metrics, texts, visit
from tests.support.run_folders import know_source
from trainer.data import sources
from trainer.data.quality import checks
from trainer.data.quality.findings import warnings
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
    """The recordings are shown in every state of the run."""
    path = tmp_path / "recordings.parquet"
    make_table(length=12).write_parquet(path)
    know_source(make_run("first", state, source=str(path)), path)
    assert len(look(view).get("plotly_chart")) >= 1


def test_the_overview_shows_counts_and_one_line_for_all_checks(known_run):
    """Counts, lengths and missing sensors too."""
    app = visit("data")
    assert metrics(app)["Sequences"] == "48"
    assert metrics(app)["Sensors"] == "4 of 4"
    for title in (
        "Every gesture has 12 sequences",
        "Every subject has 8 sequences",
        "Every subject made every gesture",
        "No sensor value is missing",
        "Look at this: Channels that never change",  # the tiny wrist turns about one axis only
    ):
        assert title in texts(app)


def test_a_sequence_is_chosen_by_gesture_and_subject(known_run):
    """Its traces, the time of the gesture itself, and its images."""
    app = look(ONE)
    assert "SEQ_000000: Cheek - pinch skin, subject SUBJ_000000" in texts(app)
    assert "The gesture itself, shaded: " in texts(app)
    assert len(app.get("plotly_chart")) == 1 + 5
    app.selectbox(key="data_gesture").select("Wave hello").run()
    app.selectbox(key="data_subject").select("SUBJ_000002").run()
    assert not app.exception
    assert "SEQ_000019: Wave hello, subject SUBJ_000002" in texts(app)


def test_every_check_is_shown_with_its_findings_and_method(known_run):
    """Ten checks, those to look at first."""
    app = look(CHECKS)
    methods = [caption.value for caption in app.get("caption")]
    path = known_run.root.parents[1] / "recordings.parquet"
    shown = texts(app).replace("\\", "")
    for check in checks.check_recordings(sources.load(str(path))):
        assert check.title in shown
        first = (warnings(check.findings) or check.findings)[0]
        assert first.line[1:] in shown
        assert any(check.method[:40] in text.replace("\\", "") for text in methods)


def test_recordings_are_checked_once(known_run, monkeypatch):
    """A rerun shows what the first one derived."""
    st.cache_resource.clear()  # other tests use the same recordings
    calls = []
    original = checks.check_duplicates
    monkeypatch.setattr(
        checks, "check_duplicates", lambda sequences: calls.append(1) or original(sequences)
    )
    app = look(CHECKS)
    app.run()
    assert len(calls) == 1


def test_a_source_that_disappears_is_reported_though_it_was_read_before(known_run):
    """Cached recordings are not shown as if the source still existed."""
    app = visit("data")
    assert "Sensors" in metrics(app)
    (known_run.root.parents[1] / "recordings.parquet").unlink()
    app.run()
    assert not app.exception
    assert "recordings.parquet' does not exist" in texts(app)
    assert metrics(app) == {"Sequences": "48", "Subjects": "6", "Gestures": "4"}


def test_the_page_without_its_source_shows_what_the_run_has_stored(make_run, tmp_path):
    """A run that was moved to another machine still has subjects, gestures and folds."""
    make_run("first", "finished", source=str(tmp_path / "gone.csv"))
    app = visit("data")
    assert "gone.csv' does not exist" in texts(app)
    assert "Sequences and subjects of every fold" in texts(app)


def test_recordings_that_changed_since_are_not_shown_as_the_runs(known_run):
    """Their content decides; with the old file back in place they are shown again."""
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


def test_titles_state_the_range_of_the_data():
    """Equal counts, different ones, and pairs of subject and gesture without a sequence."""
    rows = pl.DataFrame({"gesture": ["a", "b"], "count": [5, 2]})
    assert chart_titles.counts(rows, "gesture") == "From 2 sequences (b) to 5 (a) by gesture"
    pairs = pl.DataFrame({"gesture": ["a", "b"], "x": [1, 0], "y": [1, 1]})
    assert chart_titles.pairs(pairs) == "1 of 4 pairs of subject and gesture have no sequence"
    assert (
        chart_titles.lengths(pl.DataFrame({"steps": [7, 7]})) == "Every sequence has 7 time steps"
    )


def test_missing_values_are_shown_for_every_single_sensor():
    """One subject lacks one thermopile; a group that is in no recording has no column."""
    table = make_table(num_subjects=2, sequences_per_subject=4, groups=("acc", "thm"))
    is_first = pl.col("subject") == "SUBJ_000000"
    table = table.with_columns(thm_5=pl.when(is_first).then(None).otherwise(pl.col("thm_5")))
    missing = recordings.missing_by_subject(sources.sequences_from_table(table))
    assert missing.columns == ["subject", "acc", *(f"thm_{i}" for i in range(1, 6))]
    assert missing.row(0) == ("SUBJ_000000", 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert chart_titles.missing(missing) == "Most missing: thm_5 of SUBJ_000000, 100 %"
