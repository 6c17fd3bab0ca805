"""Comparison of runs: differing settings, paired differences by fold, noise."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pages.ui.runs import charts_compare, comparison, run_table
from pages.ui.runs.comparison import PairedDifference
from pages.ui.shared import charts, intervals
from pages.ui.train import fold_table
from tests.support import run_folders
from tests.support.pages import texts, visit
from trainer.store.durable import write_atomic
from trainer.store.event_log import curves
from trainer.store.reader import RunReader
from trainer.store.records import ScoreRow, Scores, SensorScores, dump_record


@pytest.fixture
def two(make_run):
    """Two finished runs that differ in the seed and, in the second, by some points per fold."""
    first, second = make_run("first", seed=1), make_run("second", seed=2)
    change_scores(second, "blend", (0.01, 0.02, 0.03))
    return [summary_of(root) for root in (first, second)]


def summary_of(root):
    return run_table.summaries([RunReader(root)])[0]


def change_scores(root, model, by):
    """Add these amounts to the fold scores of one model; None: that fold is not done."""
    reader = RunReader(root)
    entry = reader.scores().models[model]
    rows = tuple(
        None if more is None else row.model_copy(update={"score": row.score + more})
        for row, more in zip(entry.all_sensors.folds, by, strict=True)
    )
    mean = float(np.mean([row.score for row in rows if row is not None]))
    sensors = SensorScores(folds=rows, mean=mean, std=0.01, oof=entry.all_sensors.oof)
    models = reader.scores().models | {model: entry.model_copy(update={"all_sensors": sensors})}
    scores = Scores(weights=reader.scores().weights, models=models)
    write_atomic(reader.paths.scores, dump_record(scores))


def pair(first, second, num_folds=None):
    """Return the difference of two lists of fold scores."""
    run = [
        run_table.RunSummary(
            run=RunReader(Path(name)),
            notes=None,
            run_file=None,
            settings={},
            scores=Scores.model_construct(
                weights={},
                models={"blend": _model([*scores, *[None] * ((num_folds or 0) - len(scores))])},
            ),
            num_done=0,
            num_folds=0,
            training_s=0.0,
            problems=(),
            version=(),
        )
        for name, scores in (("a", first), ("b", second))
    ]
    return comparison.paired_difference(*run, "blend")


def _model(scores):
    row = run_folders._row("blend", 0)
    rows = tuple(
        None if score is None else row.model_copy(update={"score": score}) for score in scores
    )
    return run_folders.ModelScores(all_sensors=SensorScores(folds=rows, mean=0.5))


def test_differences_are_paired_by_fold(two):
    """0.01, 0.02, 0.03: mean 0.02, spread 0.01; t(2) = 4.303, variance times 1/3 + 1/2."""
    found = comparison.paired_difference(*two, "blend")
    assert found.folds == (0, 1, 2)
    assert found.differences == pytest.approx((0.01, 0.02, 0.03))
    assert found.mean == pytest.approx(0.02)
    assert found.std == pytest.approx(0.01)
    assert found.half_width == pytest.approx(4.303 * 0.01 * (5 / 6) ** 0.5)
    assert not found.is_more_than_noise
    assert comparison.describe(found) == (
        "second is 0.020 above first on average over 3 folds and better on 3 of them: within the "
        "noise of the folds (95 % interval \N{MINUS SIGN}0.019 to +0.059)."
    )


def test_a_steady_difference_is_more_than_noise():
    """Five folds, all worse by nearly the same."""
    found = pair([0.90, 0.91, 0.92, 0.93, 0.94], [0.880, 0.891, 0.900, 0.909, 0.920])
    assert found.is_more_than_noise
    assert comparison.describe(found).startswith(
        "b is 0.020 below a on average over 5 folds and better on 0 of them: more than the noise"
    )


def test_equal_scores_are_described_as_the_same():
    """Not "above by 0.000"."""
    assert comparison.describe(pair([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])) == (
        "b has the same score on every fold."
    )


@pytest.mark.parametrize("num_done", [1, 2])
def test_too_few_folds_have_no_interval(num_done):
    """With one or two of five folds done, the noise is not known."""
    found = pair([0.9] * num_done, [0.95, 0.96][:num_done], num_folds=5)
    assert found.half_width is None
    assert comparison.describe(found).endswith("too few folds to distinguish that from noise.")


def test_only_folds_done_in_both_count(two):
    """A fold that one of them has not done is left out, not counted as zero."""
    change_scores(two[1].run.root, "blend", (None, 0.0, 0.0))
    found = comparison.paired_difference(two[0], summary_of(two[1].run.root), "blend")
    assert found.folds == (1, 2)
    assert comparison.paired_difference(two[0], two[1], "unknown") is None


def test_the_interval_is_right_to_a_hundredth_of_its_spread():
    """Against scipy, over all numbers of folds that a run can have."""
    from scipy.stats import t

    for num in range(intervals.MIN_FOLDS, 51):
        fitted = intervals.half_width(1.0, num, num) / (1 / num + 1 / (num - 1)) ** 0.5
        assert fitted == pytest.approx(t.ppf(0.975, num - 1), abs=0.007)


def moved(table):
    return table.with_columns((pl.col("fold") + 1) % 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table, ""),
        (lambda table: table.reverse().select("fold", "gesture", "subject", "sequence_id"), ""),
        (lambda table: table.drop("subject"), "a fold table is missing or cannot be read"),
        (lambda table: table.head(40), "use different recordings (48 and 40 sequences)"),
        (lambda table: table.with_columns(pl.col("fold") % 2), "split into 3 and 2 folds"),
        (moved, "48 of 48 sequences are in a different fold"),
        (lambda table: table.with_columns(gesture=pl.lit("x")), "different labels or subjects"),
    ],
)
def test_why_folds_cannot_be_paired(two, change, reason):
    """The order of rows and columns does not matter; everything else is named."""
    first, second = (summary.run for summary in two)
    change(run_folders.fold_table()).write_parquet(second.paths.folds)
    change_shape_of_run(second.root, len(change(run_folders.fold_table())))
    found = comparison.why_not_comparable(first, second)
    assert reason in found
    assert (found == "") == (reason == "")


def change_shape_of_run(root, num_sequences):
    run_file = RunReader(root).run_file()
    summary = run_file.recordings.model_copy(update={"num_sequences": num_sequences})
    changed = run_file.model_copy(update={"recordings": summary})
    write_atomic(RunReader(root).paths.config, dump_record(changed))


def test_a_missing_fold_table_is_named(two):
    """Two runs without one are not equal either."""
    first, second = (summary.run for summary in two)
    for run in (second, first):
        run.paths.folds.unlink()
        assert "a fold table is missing" in comparison.why_not_comparable(first, second)


def test_runs_are_paired_by_their_folds_whatever_made_them(two):
    """One by its seed, one by a file, of another row order and format: the same folds."""
    path = two[1].run.paths.folds
    run_folders.fold_table().reverse().write_parquet(path, compression="gzip")
    run_file = two[1].run.run_file()
    folds = run_file.folds.model_copy(update={"file_sha256": "a" * 64})
    changed = run_file.model_copy(update={"folds": folds})
    write_atomic(two[1].run.paths.config, dump_record(changed))
    assert path.read_bytes() != two[0].run.paths.folds.read_bytes()
    app = visit_compare("first", "second")
    assert "second is 0.020 above first on average over 3 folds" in texts(app)


def test_settings_and_scores_side_by_side(two):
    """Only what differs, or everything; one row per model and run."""
    table = comparison.settings_table(two, is_whole=False)
    assert table.to_dicts() == [{"Setting": "seed", "first": "1", "second": "2"}]
    assert len(comparison.settings_table(two, is_whole=True)) > 40
    scores = comparison.score_table(two)
    assert scores["Model"].to_list() == ["Blend"] * 2 + ["LightGBM"] * 2 + ["Network"] * 2
    assert scores["Mean of folds"].to_list()[:2] == pytest.approx([0.94, 0.96])
    folds = comparison.difference_table([comparison.paired_difference(*two, "blend")])
    assert folds.columns == ["Run", "Fold", "first", "Its score", "Difference"]
    assert folds["Difference"].to_list() == pytest.approx([0.01, 0.02, 0.03, 0.02])


def test_a_deep_link_opens_the_comparison(two):
    """?compare=first&compare=second: settings, sentences, charts; then stop."""
    app = visit_compare("first", "second")
    shown = texts(app)
    assert "2 runs side by side" in shown
    assert "second is 0.020 above first" in shown
    assert len(app.get("vega_lite_chart")) == 3
    assert [button.key for button in app.button if button.key == "open"] == []
    app.selectbox(key="compare_first").select("second").run()
    assert "first is 0.020 below second" in texts(app)
    app.button(key="stop_comparing").click().run()
    assert not app.exception
    assert "side by side" not in texts(app)


def visit_compare(*names):
    app = visit("runs")
    app.multiselect(key="compare").set_value(list(names)).run()
    assert not app.exception
    return app


def test_different_folds_are_not_paired_and_the_page_shows_why(two):
    """Scores stay side by side; no difference is computed."""
    paths = two[1].run.paths
    moved(run_folders.fold_table()).write_parquet(paths.folds)
    app = visit_compare("first", "second")
    assert "second cannot be paired with first: 48 of 48 sequences are in a different fold" in (
        texts(app)
    )
    assert len(app.get("vega_lite_chart")) == 2  # the curves


@pytest.mark.parametrize("state", [s for s in run_folders.STATES if s != "starting"])
def test_a_run_in_any_state_can_be_compared(make_run, state):
    """Damaged, unfinished or of another version: the readable parts are compared."""
    make_run("first", "finished")
    make_run("second", state)
    assert "2 runs side by side" in texts(visit_compare("first", "second"))


def test_a_compared_run_that_is_gone_is_dropped(two):
    """Deleted in a terminal while the page is open."""
    app = visit_compare("first", "second")
    shutil.rmtree(two[1].run.root)
    app.run()
    assert not app.exception
    assert app.dataframe[0].value["Run"].to_list() == ["first"]
    assert "side by side" not in texts(app)


def test_curves_are_overlaid_with_their_mean(two):
    """A line per run and fold; the mean ends where the first fold ends."""
    points = curves(two[0].run.events())
    short = points.filter(~((pl.col("fold") == 2) & (pl.col("step") > 50)))
    both = charts_compare.overlaid_points([("a", points), ("b", short)], "lgbm", "score")
    assert both.filter(run="a", fold="mean")["step"].to_list() == [25.0, 50.0, 75.0, 100.0]
    assert both.filter(run="b", fold="mean")["step"].to_list() == [25.0, 50.0]
    assert both.filter(run="a", fold="0").height == 4
    assert charts_compare.overlaid_points([("a", points)], "lgbm", "unknown").is_empty()
    curve = charts.CURVES["Score"]
    figure = charts_compare.overlaid_chart(both, curve, "round", ["a", "b"]).to_dict()
    folds, _ = figure["layer"]
    assert folds["encoding"]["x"]["title"] == "Round"
    assert folds["encoding"]["y"]["title"] == "Score of the fold (0 to 1)"


def test_the_difference_chart_names_its_axis(two):
    """The axis names the run that is subtracted; without an interval only the mean is drawn."""
    found = comparison.paired_difference(*two, "blend")
    alone = dataclasses.replace(found, half_width=None)
    assert isinstance(alone, PairedDifference)
    for one in (found, alone):
        figure = charts_compare.difference_chart([one]).to_dict()
        interval = figure["layer"][2]
        assert interval["encoding"]["x"]["title"] == "Score minus that of first, per fold"


def test_the_range_of_the_final_mean_is_by_student_s_t():
    """Three of five folds, spread 0.02: 0.80 +- 4.303 * 0.02 * sqrt(1/3 - 1/5); none when done."""
    low, high = intervals.final_range([0.78, 0.80, 0.82], 5)
    assert (low, high) == pytest.approx((0.76858, 0.83142), abs=1e-4)
    assert intervals.final_range([0.78, 0.80], 5) is None
    assert intervals.final_range([0.78, 0.80, 0.82, 0.81, 0.79], 5) is None
    assert intervals.final_range([0.99, 1.0, 0.90], 5)[1] == 1.0


def test_the_range_of_the_final_mean_covers_it_in_95_percent():
    """Of 2,000 runs with normal folds, seen after 3 of 5, about 95 % end within the range."""
    folds_N5 = np.random.default_rng(0).normal(0.5, 0.03, (2_000, 5))
    ranges = [intervals.final_range(row[:3].tolist(), 5) for row in folds_N5]
    held = [low <= row.mean() <= high for (low, high), row in zip(ranges, folds_N5, strict=True)]
    assert 0.935 <= np.mean(held) <= 0.965


def test_the_fold_table_shows_the_expected_final_mean():
    """With folds left to do, from the third fold on."""
    rows = [
        ScoreRow(score=score, binary_f1=score, macro_f1=score, accuracy=score, num_sequences=9)
        for score in (0.78, 0.80, 0.82)
    ]
    assert fold_table._likely(SensorScores(folds=(*rows, None, None))) == "0.769 to 0.831"
    assert fold_table._likely(SensorScores(folds=(*rows[:2], None, None, None))) == ""
    assert fold_table._likely(SensorScores(folds=tuple(rows))) == ""
    assert fold_table._likely(None) == ""
