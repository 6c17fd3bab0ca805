"""A run whose folds share subjects is marked wherever its scores are shown."""

from __future__ import annotations

import json

import pytest

from pages.ui.scores import mean_scores
from pages.ui.shared import toasts
from pages.ui.shared.words import SHARED_HELP
from tests.support.pages import texts, visit
from trainer.store.durable import append_line
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader


def share_subjects(root):
    """Rewrite a run as made with --allow-shared-subjects."""
    paths = RunPaths(root)
    config = json.loads(paths.config.read_text())
    config["folds"] |= {"file_sha256": "a" * 64, "shared_subjects": True}
    paths.config.write_text(json.dumps(config))
    scores = json.loads(paths.scores.read_text()) | {"optimistic": [], "shared_subjects": True}
    paths.scores.write_text(json.dumps(scores))


@pytest.fixture
def leaking(make_run):
    root = make_run("leaking", "finished")
    share_subjects(root)
    return root


@pytest.mark.parametrize("page", ["train", "scores", "features", "predict", "data"])
def test_every_page_of_the_run_is_marked(leaking, page):
    """Below the title, in words; with the badge that simulated recordings have too."""
    app = visit(page)
    assert SHARED_HELP in texts(app)
    assert "Optimistic" in texts(app)


@pytest.mark.parametrize("page", ["train", "scores", "runs"])
def test_another_run_is_not_marked(make_run, page):
    """Folds by subject, nothing chosen on the scored rows."""
    root = make_run("first", "finished")
    scores = json.loads(RunPaths(root).scores.read_text()) | {"optimistic": []}
    RunPaths(root).scores.write_text(json.dumps(scores))
    app = visit(page)
    assert "ptimistic" not in texts(app).replace("so its score is optimistic", "")
    assert not any("Optimistic" in frame.value.columns for frame in app.dataframe)


def test_the_scores_are_marked_beside_the_means_and_beside_the_gain(leaking):
    """In the sentence that says of other runs that nothing was chosen, and below the blend."""
    shown = texts(visit("scores"))
    assert shown.count(SHARED_HELP) == 3  # with the mark of the page
    assert "Nothing was chosen or fitted" not in shown
    assert "models that were not trained on its subject" not in shown


def test_scores_that_were_also_chosen_have_both_reasons(leaking):
    """Best steps and shared subjects."""
    path = RunPaths(leaking).scores
    path.write_text(json.dumps(json.loads(path.read_text()) | {"optimistic": ["lgbm", "blend"]}))
    assert mean_scores.optimistic_sentences(RunReader(leaking).scores()) == (
        f"{mean_scores.OPTIMISTIC} {SHARED_HELP}"
    )
    rows = visit("runs").dataframe[0].value
    assert rows["Optimistic"].to_list() == ["Best steps, shared subjects"]


def test_the_train_page_does_not_say_that_subjects_are_new(leaking):
    """The title of the fold table of other runs would be wrong."""
    assert "Folds, each scored on sequences it was not trained on" in texts(visit("train"))


def test_the_runs_page_marks_the_run_in_the_table_and_in_a_comparison(leaking, make_run):
    """A column with the reason, also beside the scores of each model, and a badge."""
    other = make_run("other", "finished", seed=2)
    path = RunPaths(other).scores
    path.write_text(json.dumps(json.loads(path.read_text()) | {"optimistic": []}))
    app = visit("runs", run="leaking")
    rows = {row["Run"]: row for row in app.dataframe[0].value.fillna("").to_dict("records")}
    assert rows["leaking"]["Optimistic"] == "Shared subjects"
    assert rows["other"]["Optimistic"] == ""
    assert "3 folds of a file" in texts(app)
    assert "Optimistic" in texts(app)
    app.multiselect(key="compare").set_value(["leaking", "other"]).run()
    assert not app.exception
    table = next(each.value for each in app.dataframe if "Model" in each.value.columns)
    marks = dict(zip(table["Run"], table["Optimistic"].fillna(""), strict=True))
    assert marks == {"leaking": "Shared subjects", "other": ""}


def test_a_message_about_a_fold_is_marked(leaking):
    """Beside its score."""
    values = {"score": 0.9, "seconds": 1.0}
    line = {"event": "fold", "time": 2e9, "attempt": 1, "model": "lgbm", "fold": 2}
    append_line(RunPaths(leaking).metrics, line | {"values": values, "text": ""})
    assert toasts._fold_text(RunReader(leaking)).endswith("score 0.900 (optimistic).")
