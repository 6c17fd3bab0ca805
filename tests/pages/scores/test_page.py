"""The page Scores: every state of a run, and its numbers against an independent computation."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from pages.ui.scores import (
    blend_weights,
    calibration,
    charts_confusion,
    charts_scores,
    misclassified,
    score_tables,
    scoreboard,
)
from pages.ui.shared import results
from tests.pages.test_result_pages import metrics, small_oof, texts, visit
from tests.support import run_folders
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
    """Give the fixture's run IMU-only answers: LightGBM's and the network's are exchanged."""
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


def answers_of(frame, model, num_targets, suffix=""):
    """Score one fold table's columns by hand: no code of the pages is used."""
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
    ("state", "done", "charts", "said"),
    [
        ("running", 0, 0, "No fold is done yet"),
        ("running", 2, 6, "LightGBM 2 of 3 folds, Network 0 of 3 folds"),
        ("running", 3, 6, "Network 0 of 3 folds"),
        ("paused", 4, 7, "Network 1 of 3 folds"),
        ("interrupted", 5, 7, "Network 2 of 3 folds"),
        ("failed", 5, 7, "Network 2 of 3 folds"),
        ("finished", 6, 7, "Do not take the best point of this curve"),
        ("damaged", 6, 0, "scores.json"),
        ("half", 4, 7, "Network 1 of 3 folds"),
    ],
)
def test_every_state_of_a_run_is_shown_and_said(make_run, state, done, charts, said):
    """No fold, some folds, one model only, all done, damaged: never an exception."""
    make_run("first", state, done=done)
    app = visit("scores")
    assert not app.exception
    assert said in texts(app)
    assert len(app.get("plotly_chart")) == charts


def test_a_blend_of_one_shared_fold_says_that_the_check_needs_two(make_run):
    """The nested check holds out one of at least two folds."""
    make_run("first", "running", done=4)
    assert "needs two folds" in texts(visit("scores"))


def test_a_run_of_one_model_has_nothing_to_weigh(make_run):
    """No blend on any card, in any choice, and the reason where its curve would be."""
    root = make_run("first", "finished", done=3)
    path = RunPaths(root).config
    config = json.loads(path.read_text()) | {"models": ["lgbm"]}
    path.write_text(json.dumps(config))
    app = visit("scores")
    assert "This run has one model" in texts(app)
    assert "Not all folds are done" not in texts(app)
    assert list(metrics(app)) == ["LightGBM, mean score"]
    assert app.segmented_control(key="scores_model").options == ["LightGBM"]


@pytest.mark.parametrize("name", ["oof", "scores", "metrics"])
@pytest.mark.parametrize("data", [b"", b"PAR1 no more", b'{"schema": 1, "weights"'])
def test_damaged_files_are_named_or_left_out(make_run, name, data):
    """Half a file is never shown as numbers; the other files still are."""
    root = make_run("first", "finished")
    path = getattr(RunPaths(root), name)
    path.write_bytes(data)
    app = visit("scores")
    assert not app.exception
    assert (path.name in texts(app)) == (name != "metrics")
    assert bool(app.get("plotly_chart")) == (name != "oof")


def test_all_sensors_imu_only_and_their_mean_stand_side_by_side(make_run):
    """The cards show the mean of both; each row has the score, its halves and their spread."""
    root = make_run("first", "finished")
    with_imu_columns(root)
    app = visit("scores")
    assert metrics(app)["LightGBM, mean of both"] == "0.905"  # between 0.89 and 0.92
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
    table = score_tables.headline_table(scores)
    for model, title in (("lgbm", "LightGBM"), ("torch", "Network"), ("blend", "Blend")):
        rows = table.filter(model=title, sensors="Mean of both")
        assert rows["out_of_fold"].item() == pytest.approx(scores.models[model].half_and_half)


def test_the_pages_numbers_are_those_of_the_metric_on_a_real_runs_table(real_run):
    """Headline, folds and subjects against trainer.metric on oof.parquet, computed here."""
    frame = pl.read_parquet(RunPaths(real_run).oof)
    labels = RunReader(real_run).run_file().labels
    app = visit("scores")
    headline, folds = table_with(app, "binary_f1_mean"), table_with(app, "rank")
    subjects = next(table for table in tables(app) if "lgbm" in table and "score" in table)
    for model, title in (("lgbm", "LightGBM"), ("torch", "Network"), ("blend", "Blend")):
        by_fold = []
        for fold in sorted(set(frame["fold"])):
            told = answers_of(frame.filter(fold=fold), model, labels.num_targets)
            shown = folds[(folds["fold"] == fold) & (folds["model"] == title)].iloc[0]
            assert shown[["score", "binary_f1", "macro_f1"]].tolist() == pytest.approx(
                [told.score, told.binary_f1, told.macro_f1]
            )
            by_fold.append(told.score)
        for sensors, suffix in (("All sensors", ""), ("IMU only", "_imu")):
            row = headline[(headline["model"] == title) & (headline["sensors"] == sensors)].iloc[0]
            whole = answers_of(frame, model, labels.num_targets, suffix)
            assert row[["out_of_fold", "binary_f1", "macro_f1"]].tolist() == pytest.approx(
                [whole.score, whole.binary_f1, whole.macro_f1]
            )
            if not suffix:
                assert row["mean"] == pytest.approx(np.mean(by_fold))
                assert row["std"] == pytest.approx(np.std(by_fold))
    for subject in set(frame["subject"]):
        told = answers_of(frame.filter(subject=subject), "blend", labels.num_targets)
        shown = subjects[subjects["subject"] == subject]
        assert shown["score"].item() == pytest.approx(told.score)


def test_the_weight_curve_is_the_metric_at_every_weight(real_run):
    """The weight in use and both models alone, against trainer.metric."""
    reader = RunReader(real_run)
    run_file, frame = reader.run_file(), pl.read_parquet(RunPaths(real_run).oof)
    report = scoreboard.read(reader, run_file, frame, "all").blend()
    told = answers_of(frame, "blend", run_file.labels.num_targets).score
    assert report.used == (0.4, pytest.approx(told))
    for weight, model in ((0.0, "torch"), (0.4, "blend"), (1.0, "lgbm")):
        there = report.curve.filter(pl.col("lgbm_weight") == weight)["score"].item()
        told = answers_of(frame, model, run_file.labels.num_targets).score
        assert there == pytest.approx(told)


def test_the_weight_is_chosen_without_the_fold_that_scores_it():
    """Fold 1 alone would choose the network; held out, it is scored with LightGBM's weight."""
    fold = np.array([0, 0, 1, 1])
    right, wrong = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.1, 0.9], [0.9, 0.1]])
    oof = results.OutOfFold(
        sequence_ids=list("pqrs"),
        subjects=list("xxyy"),
        fold_N=fold,
        true_N=np.array([0, 1, 0, 1]),
        by_model={"lgbm": np.vstack([right, wrong]), "torch": np.vstack([wrong, right])},
        gestures=("a", "b"),
        num_targets=1,
    )
    nested = blend_weights.nested_check(oof, 0.4)
    assert nested["fold"].to_list() == [0, 1]
    assert nested["chosen_weight"][0] < 0.5 < nested["chosen_weight"][1]
    assert nested["chosen_score"].to_list() == [0.0, 0.0]
    assert nested["used_score"].to_list() == [0.0, 1.0]
    assert nested["difference"].to_list() == [0.0, -1.0]


def test_of_equally_good_weights_the_middle_one_is_the_best():
    """A plateau's edge is where the score falls off."""
    assert blend_weights.best_place(np.array([0.1, 0.9, 0.9, 0.9, 0.2])) == 2


def test_the_expected_calibration_error_of_literal_answers():
    """Three answers at 0.95 of which two are right, one at 0.55 that is right."""
    proba_MK = np.array([[0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.45, 0.55]])
    bins = calibration.reliability_table(np.array([0, 0, 0, 1]), proba_MK)
    assert bins.select("bin_low", "sequences").rows() == [(0.5, 1), (0.9, 3)]
    assert bins["share_right"].to_list() == pytest.approx([1.0, 2 / 3])
    error = 0.25 * 0.45 + 0.75 * (0.95 - 2 / 3)
    assert calibration.expected_error(bins) == pytest.approx(error)


def test_an_interval_of_a_share_holds_it_and_narrows():
    """Wilson's 95 % interval of 8 in 10: 0.49 to 0.94, as in the textbooks."""
    assert calibration.wilson(0.8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    low, high = calibration.wilson(1.0, 100)
    assert (round(low, 3), round(high, 3)) == (0.963, 1.0)


def test_calibration_says_which_way_a_model_is_wrong():
    """Says more than it is right, less, or about as much."""
    said = {"mean_probability": 0.9, "accuracy": 0.8}
    assert calibration.derived(said).startswith("surer than it may be")
    assert calibration.derived(said | {"accuracy": 0.95}).startswith("too modest")
    assert calibration.derived(said | {"accuracy": 0.91}).startswith("about as sure")


def test_the_most_confused_gestures_come_first():
    """Counts, shares of the true gesture, and how often it is the other way round."""
    count_KK = np.array([[6, 2, 0], [1, 9, 0], [4, 0, 6]])
    assert results.pair_table(count_KK, ("a", "b", "c")).rows() == [
        ("c", "a", 4, 40.0, 0),
        ("a", "b", 2, 25.0, 1),
        ("b", "a", 1, 10.0, 2),
    ]
    nothing = results.pair_table(np.diag([3, 3]), ("a", "b"))
    assert misclassified.confused_text(nothing) == "no gesture is taken for another"


def test_folds_are_ranked_and_the_hardest_is_named():
    """The lowest score has the highest rank; one fold alone has no rank to speak of."""
    rows = results.fold_table(small_oof(done_torch=(0, 1)), WEIGHTS)
    assert rows.columns[:3] == ["fold", "model", "rank"]
    table = pl.DataFrame({"fold": [0, 1], "model": ["Blend"] * 2, "score": [0.5, 0.7]})
    assert results.hardest_fold(table) == "fold 0 is the hardest for Blend"
    assert results.hardest_fold(table.head(1)) == ""


def test_a_click_on_a_cell_chooses_its_sequences(make_run):
    """The clicked point carries its cell; the list below shows that cell's sequences only."""
    make_run("first", "finished")
    assert misclassified.clicked_cell([{"customdata": [2, 0, "Wave", "Pull"]}]) == "2:0"
    assert misclassified.clicked_cell([]) == "mistakes"
    app = visit("scores")
    app.segmented_control(key="scores_model").set_value("lgbm").run()
    cell = "1:1"
    app.selectbox(key="scores_cell").set_value(cell).run()
    assert not app.exception
    shown = table_with(app, "margin")
    assert set(shown["true"]) == set(shown["predicted"]) == {run_folders.NAMES[1]}


def test_every_cell_with_a_sequence_can_be_clicked():
    """Streamlit tells of points only: one lies on each cell that is not empty."""
    figure = charts_confusion.confusion_figure(np.array([[3, 1], [0, 2]]), ("a", "b"), 1, True)
    points = figure.data[1]
    assert list(zip(points.y, points.x, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    assert [list(cell)[:2] for cell in points.customdata] == [[0, 0], [0, 1], [1, 1]]


def test_a_sequence_leads_to_the_page_predict(make_run):
    """The page opens at that very sequence, whatever was looked at there before."""
    make_run("first", "finished")
    app = visit("scores")
    app.selectbox(key="scores_cell").set_value("0:0").run()
    sequence_id = table_with(app, "margin")["sequence_id"][0]
    app.button(key="scores_to_predict").click().run()
    assert not app.exception
    assert app.title[0].value == "Predict"
    assert app.session_state["predict_sequence"] == sequence_id


def test_a_cell_that_new_answers_emptied_gives_way_to_all_mistakes(make_run):
    """The first two gestures' answers are exchanged: a choice of before does not break the page."""
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
    assert app.selectbox(key="scores_cell").value == "mistakes"
    assert "all 24 mistakes" in texts(app)


def test_shares_that_round_to_nothing_are_not_zero():
    """1 in 300 is written <1, an empty cell stays empty."""
    figure = charts_confusion.confusion_figure(np.array([[299, 1], [0, 2]]), ("a", "b"), 1, True)
    assert figure.data[0].text == (["100", "<1"], ["", "100"])


def test_the_weight_in_use_is_marked_on_the_curve():
    """0.4 : 0.6 in words, with a shape of its own."""
    curve = blend_weights.weight_curve(small_oof(done_torch=(0, 1)))
    figure = charts_scores.weight_figure(curve, (0.4, 0.5), 40)
    assert [trace.name for trace in figure.data][1:] == ["In use, 0.4 : 0.6", "Best of this curve"]
    assert figure.data[1].x == (0.4,)


def test_every_chart_has_a_text_alternative_and_every_table_too(make_run):
    """People who hear the page get the title that the others see."""
    make_run("first", "finished")
    app = visit("scores")
    charts = [*app.get("plotly_chart"), *app.get("vega_lite_chart")]
    assert len(charts) == 9
    assert all(chart.proto.alt for chart in charts)
    assert all(table.proto.alt for table in app.dataframe)
    assert len(app.get("download_button")) == 16  # what is seen can be taken away
