"""The triangle of blend weights: its values, its marks, and for which runs it is shown."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pages.ui.scores import blend_weights, evaluation, weight_figures
from tests.support import third_model
from tests.support.pages import texts, visit
from tests.support.run_folders import NAMES, NUM_TARGETS
from tests.support.third_model import ThirdModel
from trainer.metric import competition_score
from trainer.models import registry
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader

MODELS = ("lgbm", "torch", "third")


class FourthModel(ThirdModel):
    """A model of which no page knows."""

    name, title, phrase = "fourth", "Fourth model", "the fourth model"


@pytest.fixture
def root(make_run, monkeypatch):
    """A finished run of three models that predict differently, weights 0.4, 0.6 and 1."""
    third_model.register(monkeypatch, FourthModel)
    root = make_run("first", "finished")
    third_model.add_to(root, seed=3)
    return root


@pytest.fixture
def evaluated(root):
    reader = RunReader(root)
    table = pl.read_parquet(root / "oof.parquet")
    return evaluation.read(reader, reader.run_file(), table, "all", None)


def score_by_hand(root, weights, is_scored=None):
    """Score the weighted mean of the columns of oof.parquet, with no code of the pages."""
    table = pl.read_parquet(root / "oof.parquet")
    table = table if is_scored is None else table.filter(is_scored)
    parts = [table.select(f"{model}:{name}" for name in NAMES).to_numpy() for model in MODELS]
    blended_NK = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    true_N = np.array([NAMES.index(name) for name in table["gesture"]])
    return competition_score(true_N, blended_NK.argmax(axis=1), NUM_TARGETS).score


def test_the_triangle_is_the_metric_at_every_weight(root, evaluated):
    """66 blends in steps of a tenth, each computed from the out-of-fold table."""
    gain = blend_weights.compare(evaluated.oof, evaluated.weights)
    triangle = blend_weights.weight_triangle(evaluated.oof, gain)
    weights = triangle.select(MODELS).rows()
    assert len(set(weights)) == 66
    assert all(sum(row) == pytest.approx(1.0) for row in weights)
    expected = [score_by_hand(root, row) for row in weights]
    assert triangle["score"].to_list() == pytest.approx(expected)
    assert len(set(triangle["score"].round(6))) > 10  # the models differ


def test_the_weights_in_use_and_those_chosen_on_other_folds_are_marked(root, evaluated):
    """Squares, diamonds and a star, each at its weights; the diamonds of a fold are its best."""
    gain = blend_weights.compare(evaluated.oof, evaluated.weights)
    triangle = blend_weights.weight_triangle(evaluated.oof, gain)
    best = int(triangle["score"].arg_max())
    used = {"lgbm": 0.2, "torch": 0.3, "third": 0.5}
    models = registry.select(MODELS)
    figure = weight_figures.triangle_figure(triangle, models, (used, 0.5), gain.chosen, best)
    points, in_use, chosen, highest = figure.data
    assert (in_use.name, in_use.a, in_use.b, in_use.c) == (
        "In use, 0.2 : 0.3 : 0.5",
        *((0.2,), (0.3,), (0.5,)),
    )
    assert list(points.marker.color) == triangle["score"].to_list()
    assert (highest.a[0], highest.b[0], highest.c[0]) == triangle.select(MODELS).row(best)
    marked = {
        int(fold): corners
        for *corners, text in zip(chosen.a, chosen.b, chosen.c, chosen.text, strict=True)
        for fold in text.removeprefix("chosen for fold ").split(", ")
    }
    assert sorted(marked) == [0, 1, 2]
    for fold, corners in marked.items():
        others = pl.col("fold") != fold
        most = max(score_by_hand(root, row, others) for row in triangle.select(MODELS).rows())
        assert score_by_hand(root, corners, others) == pytest.approx(most)
    assert figure.layout.ternary.aaxis.title.text == "LightGBM"


def test_the_page_shows_the_triangle_of_three_models(root):
    """With the normalised weights, the warning about the best point, and the numbers as CSV."""
    app = visit("scores")
    shown = texts(app)
    used = f"{score_by_hand(root, (0.2, 0.3, 0.5)):.4f}"
    assert f"score of the blend by weights: {used} with the weights in use (0.2 : 0.3 : 0.5)" in (
        shown
    )
    assert "Weights of LightGBM, Network and Third model; each corner is one model alone" in shown
    assert "they are chosen and scored on the same sequences, so their score is optimistic" in shown
    assert any("scatterternary" in chart.proto.spec for chart in app.get("plotly_chart"))


def test_the_score_of_four_models_is_not_drawn(root):
    """The reason is given; the table of gains has all of them."""
    third_model.add_to(root, "fourth", seed=4)
    app = visit("scores")
    assert "shown for runs of two and of three models" in texts(app)
    assert "Third model 0.333, Fourth model 0.333" in texts(app)
    assert not any("scatterternary" in chart.proto.spec for chart in app.get("plotly_chart"))


def test_there_is_no_blend_before_every_model_has_a_fold(root):
    """Two of three models are not shown as the blend of the run."""
    path = RunPaths(root).oof
    table = pl.read_parquet(path)
    table.drop(f"third:{name}" for name in NAMES).write_parquet(path)
    app = visit("scores")
    assert app.segmented_control(key="scores_model").options == ["LightGBM", "Network"]
    assert "The blend appears when all models have finished the same fold" in texts(app)
