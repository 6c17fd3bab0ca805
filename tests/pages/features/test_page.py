"""The page Features: importance by parts, over folds, by pixel, by gesture, in another run."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

from pages.ui.features import fold_importance, importance
from pages.ui.features import importance_ranks as ranks
from pages.ui.shared import distributions
from tests.support import third_model
from tests.support.pages import metrics, texts, visit
from trainer.models import registry
from trainer.store.durable import write_atomic
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import dump_record

SHOWN, FOLDS, PIXELS, GESTURES, OTHER_RUN = VIEWS = (
    *("Importance", "Stability", "Pixels", "By gesture", "Other run"),
)


@pytest.fixture
def real_run(tiny_run, state_dir):
    """A real finished run of 2 folds over all 332 sensor columns."""
    return RunPaths(shutil.copytree(tiny_run, state_dir / "tiny"))


def look(view, app=None):
    """Open one of the page's views."""
    app = app or visit("features")
    app.session_state["features_view"] = view
    app.run()
    assert not app.exception
    return app


def undo_fold(paths, fold):
    """Make the run one that has not finished this LightGBM fold yet."""
    paths.importance.unlink()
    state = RunReader(paths.root).model_state("lgbm")
    units = [u.model_copy(update={"done": u.done and u.fold != fold}) for u in state.folds]
    changed = state.model_copy(update={"folds": tuple(units)})
    write_atomic(paths.model_state("lgbm"), dump_record(changed))


def two_folds(first, second):
    """Return an importance table of two folds over the features a, b, c ..."""
    both = np.array([first, second], dtype=float)
    return pl.DataFrame(
        {
            "feature": list("abcdef")[: len(first)],
            "gain_mean": both.mean(axis=0),
            "gain_fold00": both[0],
            "gain_fold01": both[1],
        }
    )


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", ["running", "paused", "failed", "finished", "half"])
def test_every_view_shows_every_state(make_run, state, view):
    """The fixture's runs have importance, but neither fold files nor a feature cache."""
    make_run("first", state)
    make_run("second", "finished")
    app = look(view)
    assert not app.error


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_a_real_run_has_a_chart(real_run, make_run, view):
    """With all sensors no view is empty."""
    make_run("other", "finished")
    app = visit("features")
    app.selectbox(key="run").set_value("tiny").run()
    look(view, app)
    assert len(app.get("plotly_chart")) == {PIXELS: 5, SHOWN: 2, OTHER_RUN: 2}.get(view, 1)
    assert not app.error


def test_importance_of_the_folds_that_are_done_shows_while_others_are_trained(real_run):
    """The page states the number of folds; the numbers are those of that fold."""
    whole = pl.read_csv(real_run.importance)
    undo_fold(real_run, 1)
    app = visit("features")
    assert "From 1 of 2 folds of LightGBM" in texts(app)
    assert metrics(app)["Features"] == f"{len(whole):,}"
    so_far = fold_importance.read(RunReader(real_run.root), registry.get("lgbm")).table
    both = so_far.join(whole, on="feature")
    assert both["gain_mean"].to_list() == pytest.approx(both["gain_fold00_right"].to_list())
    assert "gain_fold01" not in so_far.columns
    assert "Stability needs two folds" in texts(look(FOLDS, app))


def test_a_damaged_fold_file_is_named_and_the_others_are_shown(real_run):
    """Its checksum differs from the recorded one, so it is never parsed."""
    real_run.importance.unlink()
    real_run.fold(registry.get("lgbm"), 0).final_path.write_bytes(b"not a fold")
    app = visit("features")
    assert "lgbm_fold00.pkl: content differs from its recorded SHA-256" in texts(app)
    assert "From 1 of 2 folds" in texts(app)


def test_a_damaged_table_is_named_and_rebuilt_from_the_folds(real_run):
    """The importance is also in the files of the folds."""
    real_run.importance.write_bytes(b"\xff\xfe")
    app = visit("features")
    assert "feature_importance.csv" in texts(app)
    assert "From 2 of 2 folds" in texts(app)


def test_without_a_finished_fold_the_page_states_when_importance_appears(make_run):
    """No LightGBM fold is done."""
    make_run("first", "running", done=0)
    assert "It appears with the first finished fold of LightGBM" in texts(visit("features"))


def test_a_lost_feature_cache_is_named_where_it_is_needed(real_run):
    """Pixels and values need it, the importance does not."""
    real_run.features.write_bytes(b"not a cache")
    assert "cannot be read. Resume computes it again" in texts(look(PIXELS))
    app = look(GESTURES)
    assert "train_features.joblib: content differs from its recorded SHA-256" in texts(app)


def test_recordings_without_time_of_flight_have_no_pixels(make_run):
    """The fixture's run has acceleration and orientation."""
    make_run("first", "finished")
    assert "no time-of-flight sensors" in texts(look(PIXELS))


def test_one_feature_is_chosen_and_its_gestures_compared(real_run):
    """The box and the title follow the choice."""
    app = look(GESTURES)
    app.selectbox(key="features_feature").select("thm_1.temperature.mean").run()
    assert not app.exception
    assert "in the ranks of thm_1.temperature.mean" in texts(app)
    app.text_input(key="features_table_search").input("tof_3").run()
    assert "tof_3" in app.dataframe(key="features_rows").value["feature"][0]
    assert app.selectbox(key="features_feature").value == "thm_1.temperature.mean"


def test_another_run_is_needed_to_compare_with(make_run):
    """A run without importance cannot be chosen."""
    make_run("first", "finished")
    make_run("second", "running", done=0)
    app = visit("features")
    app.selectbox(key="run").set_value("first").run()
    assert "No other run to compare with" in texts(look(OTHER_RUN, app))


def test_two_equal_runs_share_all_their_top_features(make_run):
    """Ranks and shares agree; both ways of comparing can be drawn."""
    make_run("first", "finished")
    make_run("second", "finished")
    app = look(OTHER_RUN)
    assert "share 6 of their top 6 features" in texts(app)
    assert "Rank correlation over the features of both runs: 1.00" in texts(app)
    app.segmented_control(key="features_compare").set_value("Rank").run()
    assert not app.exception


def test_a_damaged_other_run_is_named(make_run):
    """The missing column is named."""
    make_run("first", "finished")
    other = RunPaths(make_run("second", "finished"))
    other.importance.write_text("feature\nacc.x.mean\n")
    app = visit("features")
    app.selectbox(key="run").set_value("first").run()
    assert "feature_importance.csv: not a readable CSV file (expected a column sensor)" in texts(
        look(OTHER_RUN, app)
    )


def test_importance_is_summed_by_the_parts_of_a_name():
    """Names are sensor.signal.statistic; the shares sum to 100 %."""
    table = importance.named_parts(
        pl.DataFrame(
            {
                "feature": ["acc.acc_x.mean", "acc.acc_x.std", "tof_1.block_r0c3.mean", "odd"],
                "sensor": ["acc", "acc", "tof_1", "odd"],
                "gain_mean": [5.0, 3.0, 2.0, 0.0],
                "gain_fold00": [6.0, 3.0, 1.0, 0.0],
                "gain_fold01": [4.0, 3.0, 3.0, 0.0],
            }
        )
    )
    by_signal = importance.summed_by(table, "signal", "gain")
    assert by_signal.rows() == [
        ("acc.acc_x", 2, 80.0, 10.0),
        ("tof_1.block_r0c3", 1, 20.0, 10.0),
        ("odd", 1, 0.0, 0.0),
    ]
    assert importance.summed_by(table, "statistic", "gain").rows()[0] == ("mean", 2, 70.0, 0.0)


def test_the_importance_of_a_region_is_divided_among_its_pixels():
    """A 2 x 2 block of gain 8 gives each of its four pixels 2."""
    table = pl.DataFrame({"feature": ["block", "other"], "gain_mean": [8.0, 1.0]})
    grids = importance.grids(table, {"block": ("tof_1", 0, 1, 6, 7)}, "gain")
    assert list(grids) == ["tof_1"]
    assert grids["tof_1"][:2, 6:].tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert grids["tof_1"].sum() == 8.0


def test_the_search_keeps_features_with_the_text_in_their_name(make_run):
    """The title contains the text; that no feature matches is stated."""
    make_run("first", "finished")
    app = visit("features")
    app.text_input(key="features_search").input("rot.y").run()
    assert "The 1 most important features with rot.y in the name" in texts(app)
    app.text_input(key="features_search").input("(nothing").run()
    assert not app.exception
    assert "No feature has that in its name" in texts(app)


def test_ranks_of_every_fold():
    """A feature that a fold does not use has no rank there."""
    table = ranks.fold_ranks(two_folds([5, 3, 0], [1, 4, 2]), "gain", 2)
    assert table.rows() == [("b", 2, 1, 2), ("a", 1, 3, 3)]
    assert ranks.fold_ranks(two_folds([5, 0], [5, 1]), "gain", 2)["fold 0"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([4, 3, 2, 1], [8, 6, 4, 2], ranks.Agreement(2, 2, 1.0)),
        ([4, 3, 2, 1], [1, 2, 3, 4], ranks.Agreement(0, 2, -1.0)),
        ([1, 0, 0, 0], [1, 0, 0, 0], ranks.Agreement(1, 1, None)),
        ([0, 0, 0, 0], [0, 0, 0, 0], ranks.Agreement(0, 0, None)),
    ],
)
def test_agreement_of_two_rankings(first, second, expected):
    """Same ranking, reversed, one feature only, none used at all."""
    assert ranks.agreement(np.array([first, second], dtype=float), 2) == expected


def test_two_runs_are_compared_by_rank_and_share():
    """A feature of one run only has neither in the other."""
    here = pl.DataFrame({"feature": ["a", "b", "c"], "gain_mean": [6.0, 3.0, 1.0]})
    there = pl.DataFrame({"feature": ["b", "a", "d"], "gain_mean": [8.0, 2.0, 0.0]})
    assert ranks.compare(here, there, "gain").rows() == [
        ("a", 1, 2, 60.0, 20.0, 1),
        ("b", 2, 1, 30.0, 80.0, -1),
        ("c", 3, None, 10.0, None, None),
        ("d", None, None, None, 0.0, None),
    ]


def test_quantiles_of_every_gesture():
    """Missing values are counted, not ranked; a gesture without a value has no box."""
    values = np.array([0, 10, 20, 30, 40, np.nan, np.nan], dtype=np.float32)
    rows = distributions.by_gesture(values, np.array([0, 0, 0, 0, 0, 0, 1]), ("a", "b", "c"))
    assert rows.row(0) == ("a", 6, 1, pytest.approx(2), 10.0, 20.0, 30.0, pytest.approx(38))
    assert rows.row(1) == ("b", 1, 1, None, None, None, None, None)
    assert rows.row(2) == ("c", 0, 0, None, None, None, None, None)
    assert len(distributions.box_figure(rows, "x").data[0].median) == 1


def test_the_share_of_variance_that_gestures_explain():
    """1 where each gesture has one value of its own, 0 where they do not differ."""
    label_idx = np.array([0, 0, 1, 1])
    assert distributions.explained_share(np.array([1, 1, 9, 9], np.float32), label_idx) == 1.0
    assert distributions.explained_share(np.array([1, 9, 1, 9], np.float32), label_idx) == 0.0
    assert distributions.explained_share(np.full(4, np.nan, np.float32), label_idx) == 0.0


def test_the_importance_is_that_of_the_first_model_that_has_any(make_run, monkeypatch):
    """Of the network and a third model: the third model's."""
    third_model.register(monkeypatch)
    paths = RunPaths(make_run("first", "running", done=0))
    text = paths.config.read_text()
    write_atomic(paths.config, text.replace('"lgbm",\n    "torch"', '"torch", "third"').encode())
    assert "the first finished fold of the third model" in texts(visit("features"))


def test_a_run_of_the_network_only_has_no_importance(make_run):
    """The page states it, and which model has importance."""
    paths = RunPaths(make_run("first", "finished"))
    text = paths.config.read_text()
    write_atomic(paths.config, text.replace('"lgbm",\n    "torch"', '"torch"').encode())
    paths.importance.unlink()
    shown = texts(visit("features"))
    assert "This run has no feature importance" in shown
    assert "None of its models (Network) reports it. Start a run with LightGBM" in shown
