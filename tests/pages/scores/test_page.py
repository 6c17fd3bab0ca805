"""The page Scores: every state of a run, and its numbers against an independent computation."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from pages.ui.scores import blend_weights, confusion, evaluation, mean_scores
from tests.support import run_folders, third_model
from tests.support.pages import metrics, texts, visit
from trainer import metric
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import Scores

WEIGHTS = {"lgbm": 0.4, "torch": 0.6}


@pytest.fixture
def real_run(tiny_run, state_dir):
    """A copy of a run that the trainer really made: all sensors, two models."""
    return shutil.copytree(tiny_run, state_dir / "tiny")


def with_imu_columns(root):
    """Give the fixture's run IMU-only predictions: those of the other model."""
    paths = RunPaths(root)
    table = pl.read_parquet(paths.oof)
    other = {"lgbm": "torch", "torch": "lgbm"}
    table.with_columns(
        pl.col(f"{other[model]}:{name}").alias(f"{model}_imu:{name}")
        for model in other
        for name in run_folders.NAMES
    ).write_parquet(paths.oof)
    scores = json.loads(paths.scores.read_text())
    models = scores["models"]
    for model, entry in models.items():
        source = models[other.get(model, "blend")]
        entry["imu_only"] = source["all_sensors"]
        parts = (entry["all_sensors"], entry["imu_only"])
        entry["half_and_half"] = sum(part["oof"]["score"] for part in parts) / 2
    paths.scores.write_text(json.dumps(scores))


def tables(app):
    return [element.value for element in app.dataframe]


def table_with(app, column):
    return next(table for table in tables(app) if column in table.columns)


def score_of(frame, model, num_targets, suffix=""):
    """Score the columns of an out-of-fold table without any code of the pages."""
    names = list(dict.fromkeys(name.split(":", 1)[1] for name in frame.columns if ":" in name))
    parts = ["lgbm", "torch"] if model == "blend" else [model]
    share = WEIGHTS if model == "blend" else {model: 1.0}
    total = sum(
        share[part] * frame.select(f"{part}{suffix}:{name}" for name in names).to_numpy()
        for part in parts
    )
    true_N = np.array([names.index(name) for name in frame["gesture"]])
    return metric.competition_score(true_N, total.argmax(axis=1), num_targets)


@pytest.mark.parametrize(
    ("state", "done", "charts", "text"),
    [
        ("running", 0, 0, "No fold is done yet"),
        ("running", 2, 6, "LightGBM 2 of 3 folds, Network 0 of 3 folds"),
        ("running", 3, 6, "Network 0 of 3 folds"),
        ("paused", 4, 7, "Network 1 of 3 folds"),
        ("interrupted", 5, 7, "Network 2 of 3 folds"),
        ("failed", 5, 7, "Network 2 of 3 folds"),
        ("finished", 6, 7, "Do not adopt the best weight of this curve"),
        ("damaged", 6, 0, "scores.json"),
        ("half", 4, 7, "Network 1 of 3 folds"),
    ],
)
def test_every_state_of_a_run_is_shown_and_explained(make_run, state, done, charts, text):
    """No fold, some folds, one model only, all done, damaged: never an exception."""
    make_run("first", state, done=done)
    app = visit("scores")
    assert not app.exception
    assert text in texts(app)
    assert len(app.get("plotly_chart")) == charts


def test_chosen_weights_need_two_folds_and_an_interval_five_subjects(make_run):
    """One fold of two subjects: the blend is compared with each model, and the rest explained."""
    make_run("first", "running", done=4)
    app = visit("scores")
    gain = table_with(app, "gain")
    assert gain["compared_with"].tolist() == ["LightGBM alone", "Network alone"] * 2
    assert gain["low"].isna().all()
    assert "need two folds that all models have finished" in texts(app)
    assert "An interval needs at least 5 subjects" in texts(app)


def test_the_gain_of_the_blend_is_that_of_the_out_of_fold_table(make_run):
    """Score and accuracy against trainer.metric on oof.parquet, computed here."""
    root = make_run("first", "finished")
    app, frame = visit("scores"), pl.read_parquet(RunPaths(root).oof)
    gain = table_with(app, "gain")
    others = ["LightGBM alone", "Network alone", "Chosen weights"]
    assert gain["compared_with"].tolist() == others * 2
    assert gain["measure"].tolist() == ["Score"] * 3 + ["Accuracy"] * 3
    scores = [
        score_of(frame, model, run_folders.NUM_TARGETS).score for model in ("blend", *WEIGHTS)
    ]
    assert gain["gain"].tolist()[:2] == pytest.approx([scores[0] - one for one in scores[1:]])
    assert (gain["low"] <= gain["high"]).all()
    best = "LightGBM" if scores[1] >= scores[2] else "the network"
    assert f"{best} alone (between " in texts(app)
    assert "for other people like these" in texts(app)


@pytest.mark.parametrize(("optimistic", "times"), [((), 0), (("lgbm", "blend"), 2), (None, 2)])
def test_an_optimistic_run_says_so_beside_the_gain_too(make_run, optimistic, times):
    """In the same words as above; a file without the entry is of an earlier version."""
    paths = RunPaths(make_run("first", "finished"))
    scores = json.loads(paths.scores.read_text()) | {"optimistic": optimistic}
    paths.scores.write_text(json.dumps(scores))
    assert texts(visit("scores")).count(mean_scores.OPTIMISTIC) == times


def test_a_run_of_one_model_has_no_blend(make_run):
    """No blend on any card, in any choice, and the reason where its curve would be."""
    root = make_run("first", "finished", done=3)
    path = RunPaths(root).config
    config = json.loads(path.read_text()) | {"models": ["lgbm"]}
    path.write_text(json.dumps(config))
    app = visit("scores")
    assert "This run has one model" in texts(app)
    assert "Not all folds are done" not in texts(app)
    assert not any("gain" in table for table in tables(app))
    assert list(metrics(app)) == ["LightGBM"]
    assert app.segmented_control(key="scores_model").options == ["LightGBM"]


@pytest.mark.parametrize("name", ["oof", "scores", "metrics"])
@pytest.mark.parametrize("data", [b"", b"PAR1 no more", b'{"schema": 1, "weights"'])
def test_damaged_files_are_named_or_left_out(make_run, name, data):
    """An incomplete file is never shown as numbers; the other files still are."""
    root = make_run("first", "finished")
    path = getattr(RunPaths(root), name)
    path.write_bytes(data)
    app = visit("scores")
    assert not app.exception
    assert (path.name in texts(app)) == (name != "metrics")
    assert bool(app.get("plotly_chart")) == (name != "oof")


def test_all_sensors_imu_only_and_their_mean_stand_side_by_side(make_run):
    """The cards show the mean of both; each row has the score, its parts and their spread."""
    root = make_run("first", "finished")
    with_imu_columns(root)
    app = visit("scores")
    assert metrics(app)["LightGBM"] == "0.905"  # mean of 0.89 and 0.92
    assert "the mean of all sensors and IMU only" in texts(app)
    headline = table_with(app, "binary_f1_mean")
    assert headline["sensors"].tolist() == ["All sensors", "IMU only", "Mean of both"] * 3
    lgbm = headline[headline["model"] == "LightGBM"]
    assert lgbm["mean"].tolist() == pytest.approx([0.89, 0.92, 0.905])
    assert lgbm["binary_f1_mean"].tolist() == pytest.approx([0.91, 0.94, 0.925])
    assert lgbm["macro_f1_mean"].tolist() == pytest.approx([0.87, 0.90, 0.885])
    app.segmented_control(key="scores_sensors").set_value("imu").run()
    assert not app.exception
    assert "Blend, IMU only: true gesture" in texts(app)


def test_the_mean_of_both_is_the_recorded_half_and_half(real_run):
    """Out of fold, as scores.json has it."""
    scores = Scores.model_validate_json(RunPaths(real_run).scores.read_text())
    table = mean_scores.mean_table(scores)
    for model, title in (("lgbm", "LightGBM"), ("torch", "Network"), ("blend", "Blend")):
        rows = table.filter(model=title, sensors="Mean of both")
        assert rows["out_of_fold"].item() == pytest.approx(scores.models[model].half_and_half)


def test_the_page_shows_the_metric_of_a_real_runs_out_of_fold_table(real_run):
    """Headline, folds and subjects against trainer.metric on oof.parquet, computed here."""
    frame = pl.read_parquet(RunPaths(real_run).oof)
    labels = RunReader(real_run).run_file().labels
    app = visit("scores")
    means, folds = table_with(app, "binary_f1_mean"), table_with(app, "rank")
    subjects = next(table for table in tables(app) if "lgbm" in table and "score" in table)
    for model, title in (("lgbm", "LightGBM"), ("torch", "Network"), ("blend", "Blend")):
        by_fold = []
        for fold in sorted(set(frame["fold"])):
            expected = score_of(frame.filter(fold=fold), model, labels.num_targets)
            shown = folds[(folds["fold"] == fold) & (folds["model"] == title)].iloc[0]
            assert shown[["score", "binary_f1", "macro_f1"]].tolist() == pytest.approx(
                [expected.score, expected.binary_f1, expected.macro_f1]
            )
            by_fold.append(expected.score)
        for sensors, suffix in (("All sensors", ""), ("IMU only", "_imu")):
            row = means[(means["model"] == title) & (means["sensors"] == sensors)].iloc[0]
            whole = score_of(frame, model, labels.num_targets, suffix)
            assert row[["out_of_fold", "binary_f1", "macro_f1"]].tolist() == pytest.approx(
                [whole.score, whole.binary_f1, whole.macro_f1]
            )
            if not suffix:
                assert row["mean"] == pytest.approx(np.mean(by_fold))
                assert row["std"] == pytest.approx(np.std(by_fold))
    for subject in set(frame["subject"]):
        expected = score_of(frame.filter(subject=subject), "blend", labels.num_targets)
        shown = subjects[subjects["subject"] == subject]
        assert shown["score"].item() == pytest.approx(expected.score)


def test_the_weight_curve_is_the_metric_at_every_weight(real_run):
    """The weight in use and both models alone, against trainer.metric."""
    reader = RunReader(real_run)
    run_file, frame = reader.run_file(), pl.read_parquet(RunPaths(real_run).oof)
    evaluated = evaluation.read(reader, run_file, frame, "all", reader.scores())
    gain = blend_weights.compare(evaluated.oof, evaluated.weights)
    curve = blend_weights.weight_curve(evaluated.oof, gain)
    for weight, model in ((0.0, "torch"), (0.4, "blend"), (1.0, "lgbm")):
        there = curve.filter(pl.col("weight") == weight)["score"].item()
        expected = score_of(frame, model, run_file.labels.num_targets).score
        assert there == pytest.approx(expected)


def test_a_click_on_a_cell_chooses_its_sequences(make_run):
    """The clicked point carries its cell; the list below shows that cell's sequences only."""
    make_run("first", "finished")
    assert confusion.clicked_cell([{"customdata": [2, 0, "Wave", "Pull"]}]) == "2:0"
    assert confusion.clicked_cell([]) == "misclassified"
    app = visit("scores")
    app.segmented_control(key="scores_model").set_value("lgbm").run()
    cell = "1:1"
    app.selectbox(key="scores_cell").set_value(cell).run()
    assert not app.exception
    shown = table_with(app, "margin")
    assert set(shown["true"]) == set(shown["predicted"]) == {run_folders.NAMES[1]}


def test_a_sequence_leads_to_the_page_predict(make_run):
    """The page Predict opens with that sequence selected."""
    make_run("first", "finished")
    app = visit("scores")
    app.selectbox(key="scores_cell").set_value("0:0").run()
    sequence_id = table_with(app, "margin")["sequence_id"][0]
    app.button(key="scores_to_predict").click().run()
    assert not app.exception
    assert app.title[0].value == "Predict"
    assert app.session_state["predict_sequence"] == sequence_id


def test_a_cell_that_new_predictions_emptied_gives_way_to_all_misclassified_sequences(make_run):
    """The predictions of the first two gestures are exchanged while a cell is chosen."""
    root = make_run("first", "finished")
    app = visit("scores")
    app.selectbox(key="scores_cell").set_value("0:0").run()
    table = pl.read_parquet(RunPaths(root).oof)
    first, second = (f"{{}}:{name}" for name in run_folders.NAMES[:2])
    names = {first.format(model): second.format(model) for model in WEIGHTS}
    names |= {second: first for first, second in names.items()}
    table.rename(names).write_parquet(RunPaths(root).oof)
    app.run()
    assert not app.exception
    assert app.selectbox(key="scores_cell").value == "misclassified"
    assert "all 24 misclassified sequences" in texts(app)


def test_every_chart_has_a_text_alternative_and_every_table_too(make_run):
    """A screen reader reads the title that is shown above."""
    make_run("first", "finished")
    app = visit("scores")
    charts = [*app.get("plotly_chart"), *app.get("vega_lite_chart")]
    assert len(charts) == 9
    assert all(chart.proto.alt for chart in charts)
    assert all(table.proto.alt for table in app.dataframe)
    assert len(app.get("download_button")) == 16  # everything shown can be downloaded


def test_the_mean_scores_are_those_that_the_run_recorded(make_run):
    """Mean over folds as in scores.json, so that page and command line agree."""
    make_run("first", "finished")
    assert metrics(visit("scores")) == {
        "Blend": "0.940",
        "LightGBM": "0.890",
        "Network": "0.920",
    }


def test_unfinished_folds_are_left_out_and_named(make_run):
    """The fixture's running run has 3 LightGBM folds and 1 of the network done."""
    make_run("first", "running")
    app = visit("scores")
    assert "Network 1 of 3 folds" in texts(app)
    assert "16 sequences, out of fold" in texts(app)


def test_an_out_of_fold_table_of_other_gestures_is_refused(make_run):
    """A table that does not fit the run's labels is named, not shown wrongly."""
    root = make_run("first", "finished")
    path = RunPaths(root).oof
    pl.read_parquet(path).with_columns(gesture=pl.lit("Juggle")).write_parquet(path)
    assert "gesture 'Juggle' is unknown" in texts(visit("scores"))


@pytest.fixture
def third_run(make_run, monkeypatch):
    """A finished run of three models; the third one predicts as LightGBM does."""
    third_model.register(monkeypatch)
    third_model.add_to(make_run("first", "finished"))


def test_a_third_model_is_shown_like_the_others(third_run):
    """Cards, choice, tables and charts have it; the blend is compared with it."""
    app = visit("scores")
    titles = ["Blend", "LightGBM", "Network", "Third model"]
    assert metrics(app)["Third model"] == "0.890"
    assert app.segmented_control(key="scores_model").options == titles
    assert sorted(set(table_with(app, "rank")["model"])) == titles
    assert table_with(app, "log_loss")["model"].tolist() == titles
    subjects = next(table for table in tables(app) if "subject" in table and "score" in table)
    assert {"lgbm", "torch", "third"} <= set(subjects.columns)
    others = [f"{title} alone" for title in titles[1:]] + ["Chosen weights"]
    assert table_with(app, "gain")["compared_with"].tolist() == others * 2
    assert "LightGBM 0.2, Network 0.3, Third model 0.5." in texts(app)
    assert any("Third model" in chart.proto.spec for chart in app.get("plotly_chart"))
    app.selectbox(key="scores_cell").set_value("0:0").run()
    assert {"lgbm", "torch", "third"} <= set(table_with(app, "margin").columns)
    app.segmented_control(key="scores_model").set_value("third").run()
    assert not app.exception
    assert "Third model: true gesture" in texts(app)
