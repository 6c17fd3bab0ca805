"""A model that only this test registers is shown on the pages Train and Runs like the others."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from pages.ui.runs import run_files
from pages.ui.shared import toasts
from tests.support import run_folders
from tests.support.pages import metrics, texts, visit
from tests.support.run_folders import change_status
from trainer.config import run_config
from trainer.models import registry
from trainer.models.base import Model
from trainer.run import control
from trainer.store.durable import append_line, write_atomic
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, ModelScores, ModelState, SensorScores, dump_record

NAME, TREES = "forest", 40


class ForestSettings(BaseModel):
    """``parameters.forest`` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: int = TREES
    leaf_size: int = 2


class Forest(Model):
    """A model that is shown and never trained: each step of progress is half a tree."""

    name, title, phrase = NAME, "Random forest", "the random forest"
    step_title, step_name = "tree", "half tree"
    inputs = "features"
    libraries = ()
    code_name, code_version = NAME, 1
    fold_file, checkpoint_file = "forest_fold{fold:02d}.pkl", "forest_fold{fold:02d}_last.pkl"

    def settings(self, config):
        return ForestSettings(**config.parameters.get(NAME, {}))

    def max_steps(self, config):
        return self.settings(config).trees

    def fixed_step(self, config):
        return self.settings(config).trees

    def num_threads(self, config):
        return 1

    def estimate_s(self, config, size):
        return 3600.0

    def fit(self, task, config, seed, fold, monitor, checkpoint=None):
        raise NotImplementedError

    def steps_done(self, checkpoint):
        raise NotImplementedError

    def open(self, packed):
        raise NotImplementedError

    def canary(self, config):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def forest(monkeypatch):
    """Register the model for one test."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(run_config, "_KNOWN_MODELS", dict(run_config._KNOWN_MODELS))
    registry.register(Forest(), ForestSettings)


@pytest.fixture
def root(make_run):
    """A run of three models, at work on the second fold of the third."""
    root = make_run("first", "running", done=6)
    paths, reader = RunPaths(root), RunReader(root)
    settings = {
        "models": ("lgbm", "torch", NAME),
        "parameters": {NAME: {"trees": TREES, "leaf_size": 3}},
    }
    write_atomic(paths.config, dump_record(reader.run_file().model_copy(update=settings)))
    score = run_folders._row("lgbm", 0).model_copy(update={"score": 0.777})
    folds = (
        FoldRecord(model=NAME, fold=0, done=True, step=80, total_steps=80, score=score, seconds=9),
        FoldRecord(model=NAME, fold=1, step=20, total_steps=80, resumed_at=(20,)),
        FoldRecord(model=NAME, fold=2, total_steps=80),
    )
    write_atomic(paths.model_state(NAME), dump_record(ModelState(model=NAME, folds=folds)))
    sensors = SensorScores(folds=(score, None, None), mean=0.777, std=0.0)
    models = {**reader.scores().models, NAME: ModelScores(all_sensors=sensors)}
    scores = reader.scores().model_copy(update={"models": models})
    write_atomic(paths.scores, dump_record(scores))
    for step, loss in ((5, 0.9), (10, 0.5), (15, 0.4), (20, 0.9)):
        add_event(root, "segment", step=step, valid_loss=loss, score=0.5 + step / 100)
    change_status(
        root, stage=NAME, model=NAME, fold=1, step=40, total_steps=80, done_units=7, total_units=9
    )
    return root


def add_event(root, event, fold=1, text="", **values):
    line = {"event": event, "time": run_folders.NOW, "attempt": 1, "model": NAME, "fold": fold}
    append_line(RunPaths(root).metrics, line | {"values": values, "text": text})


def test_the_train_page_shows_progress_scores_and_curves_of_a_third_model(root):
    """Numbers, fold table, alert and a third chart, in the model's own words."""
    app = visit()
    shown = metrics(app)
    assert shown["Now"] == "Random forest, fold 1"
    assert shown["Trees done"] == "20 of 40"
    assert shown["Score of this fold"] == "0.700"
    table = app.table[0].value
    assert table.columns.to_list() == ["Fold", "LightGBM", "Network", "Random forest", "Blend"]
    cells = table["Random forest"].to_list()
    assert "**0.777**" in cells[0]
    assert cells[1] == ":blue-badge[running] tree 20 of 40 · best so far 0.700 · resumed"
    assert len(app.get("vega_lite_chart")) == 3
    assert "Random forest, newest: fold 1, tree 20: 0.7" in texts(app)
    assert "the validation loss is 0.9 at tree 20; its lowest was 0.4 at tree 15" in texts(app)


def test_the_event_log_names_the_fold_of_a_third_model(root):
    """A finished fold and a resumed one, with the step of progress."""
    add_event(root, "fold", fold=0, score=0.777, seconds=9.0)
    add_event(root, "resume", step=20)
    app = visit()
    app.session_state["event_log"] = True
    table = app.run().dataframe[0].value
    assert table["Where"].to_list()[:2] == [
        "Random forest, fold 1, half tree 20",
        "Random forest, fold 0",
    ]
    assert toasts._fold_text(RunReader(root)).startswith("first: Random forest, fold 0 done")


def test_a_run_with_a_third_model_is_started_and_duplicated(root, monkeypatch):
    """The form offers the model, its settings and its weight, and describes the plan."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    app = visit()
    app.button(key="duplicate").click().run()
    assert not app.exception
    shown = texts(app)
    assert "and 3 folds of the random forest (40 trees)" in shown
    assert forecast_of_last_model(shown) == "Random forest 3.0 h"
    assert app.text_input(key="start_set_parameters.forest.leaf_size").value == "3"
    app.text_input(key="start_set_blend.weights.forest").set_value("0.5").run()
    assert "Different from first: blend.weights.forest 0.0 → **0.5**" in texts(app)
    app.button(key="start").click().run()
    [(_, _, config, *_)] = started
    assert config.models == ("lgbm", "torch", NAME)
    assert config.parameters == {NAME: {"trees": TREES, "leaf_size": 3}}
    assert config.blend.by_model[NAME] == 0.5


def forecast_of_last_model(shown):
    """Return the last model's part of the forecast."""
    return shown.partition("at most about ")[2].partition(")")[0].rpartition(", ")[2]


def test_the_runs_page_shows_a_third_model(root, make_run):
    """A column of the table, the origin, the files, and a chart and rows of the comparison."""
    make_run("second")
    app = visit("runs", run="first")
    rows = {row["Run"]: row for row in app.dataframe[0].value.to_dict("records")}
    assert rows["first"]["Random forest"] == pytest.approx(0.777)
    assert rows["first"]["Folds done"] == "7 of 9"
    assert "LightGBM, Network and Random forest" in texts(app)
    app.multiselect(key="compare").set_value(["first", "second"]).run()
    assert not app.exception
    assert "Random forest: score of the fold by tree" in texts(app)
    scores = next(each.value for each in app.dataframe if "Model" in each.value.columns)
    assert scores["Model"].to_list()[-1] == "Random forest"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("forest_state.json", "Folds of the random forest"),
        ("forest_bundle.pkl", "Random forest, all folds for prediction"),
        ("forest_fold02.pkl", "Random forest, fold 2: fitted model"),
        ("forest_fold02_last.pkl", "Random forest, fold 2: checkpoint"),
        ("units/forest_fold02.json", "Random forest, fold 2: record"),
    ],
)
def test_the_files_of_a_third_model_are_described(name, content):
    """By the patterns that the model gives."""
    assert run_files.describe(name) == content
