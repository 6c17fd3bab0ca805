"""The Predict page on a real, tiny run: every view, every state, marks and uploads."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.predict import (
    built_in_sequences,
    charts_traces,
    explanation_panels,
    prediction_panels,
    request_panels,
    trace_panels,
    uploads,
)
from pages.ui.shared import recordings
from tests.support.builders import make_table
from tests.support.hostile_runs import HOSTILE
from tests.support.pages import texts, visit
from trainer.data.quality.findings import Finding
from trainer.data.schema import DataError
from trainer.data.sources import sequences_from_table
from trainer.explain.contributions import Contribution
from trainer.explain.places import place_of
from trainer.predict.predictor import Prediction
from trainer.store.names import RunPaths

ROOT = Path(__file__).parents[3]
VIEWS = ("Over time", "Why", "What if", "Nearest", "Report")


@pytest.fixture
def run(tiny_run, state_dir):
    """A copy of the tiny run in the state folder that the pages show."""
    return Path(shutil.copytree(tiny_run, state_dir / "tiny"))


def look(app, view):
    app.segmented_control(key="predict_view").set_value(view).run()
    assert not app.exception
    return texts(app)


def figures(app):
    """Return the keys and figures of all Plotly charts of the page."""
    return {
        chart.proto.id.rpartition("-")[2]: json.loads(chart.proto.spec)
        for chart in app.get("plotly_chart")
    }


def upload(app, name, table):
    app.segmented_control(key="predict_mode").set_value("Upload").run()
    data = table if isinstance(table, bytes) else csv_of(table)
    app.file_uploader(key="predict_file").upload(name, data, "text/csv").run()
    assert not app.exception
    return app


def csv_of(table):
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return buffer.getvalue()


def parquet_of(table):
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


# Views


def test_a_prediction_is_shown_with_its_certainty_and_its_recording(run):
    """Probability, margin, target, entropy, length; attention and the five images below."""
    app = visit("predict")
    assert [metric.label for metric in app.metric] == [
        *("Its probability", "Margin", "Any target", "Entropy", "Length")
    ]
    shown = texts(app)
    assert "The 4 most probable gestures: blended, and by model" in shown
    assert "Attention: where the model looks, not why it predicts." in shown
    assert "Dotted lines: the time bins" in shown
    assert [sensor for sensor in ("tof_1", "tof_5") if f"{sensor}: " in shown] == [
        *("tof_1", "tof_5")
    ]
    assert {"chart_traces", "chart_top_gestures", "chart_tof_3"} <= figures(app).keys()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_its_part(run, view):
    """And only its part: views that are not shown are not computed."""
    shown = look(visit("predict"), view)
    parts = {
        "Over time": "Time of flight: the 8 x 8 pixels",
        "Why": "LightGBM: contributions to",
        "What if": "Prediction after each change",
        "Nearest": "nearest training sequences have the predicted gesture",
        "Report": "",
    }
    for name, part in parts.items():
        if part:
            assert (part in shown) == (name == view)


def test_the_slider_moves_the_images_and_the_line_on_the_traces(run):
    """The line is at the slider's time on every panel, attention too; the traces stay."""
    app = visit("predict")
    slider = app.select_slider[0]
    before = figures(app)
    (line,) = time_lines(app)
    assert line["x0"] == line["x1"] == pytest.approx(slider.value / 10.0)
    assert (line["yref"], line["y0"], line["y1"]) == ("paper", 0, 1)
    slider.set_value(3).run()
    assert not app.exception
    assert figures(app)["chart_tof_1"]["data"][0]["z"] != before["chart_tof_1"]["data"][0]["z"]
    assert [shape["x0"] for shape in time_lines(app)] == [pytest.approx(0.3)]
    assert figures(app)["chart_traces"]["data"] == before["chart_traces"]["data"]


def time_lines(app):
    shapes = figures(app)["chart_traces"]["layout"]["shapes"]
    return [shape for shape in shapes if shape.get("name") == "instant"]


def test_a_chosen_contribution_is_marked_on_the_traces(run):
    """Its preprocessed signal on top, its time window shaded; nothing is marked before."""
    app = visit("predict")
    look(app, "Why")
    assert marks(app) == []
    box = app.selectbox(key="predict_feature")
    feature = next(name for name in box.options if "bin" in name or "late_m" in name)
    box.select(feature).run()
    assert not app.exception
    assert f"{feature} is computed from" in texts(app)
    assert len(marks(app)) == 1


def marks(app):
    shapes = figures(app)["chart_traces"]["layout"]["shapes"]
    return [shape for shape in shapes if shape.get("name") == "mark"]


def test_a_feature_without_a_contribution_is_not_marked(run):
    """A choice from another run's sequence is dropped."""
    app = visit("predict")
    app.session_state["predict_feature"] = "acc.no_such.feature"
    look(app, "Why")
    assert app.selectbox(key="predict_feature").value == "Nothing"
    assert marks(app) == []


def test_the_view_stays_when_another_sequence_is_selected(run):
    """So sequences can be compared in one view."""
    app = visit("predict")
    look(app, "What if")
    app.selectbox(key="predict_sequence").select_index(5).run()
    assert not app.exception
    assert "Prediction after each change" in texts(app)


def test_the_nearest_training_sequence_is_not_the_sequence_itself(run):
    """The selected one is left out."""
    app = visit("predict")
    look(app, "Nearest")
    rows = app.dataframe(key="predict_nearest").value
    assert len(rows) == 5
    assert app.selectbox(key="predict_sequence").value not in rows["sequence_id"].tolist()


# States


def test_a_run_without_a_finished_model_shows_its_progress(make_run):
    """No prediction, no error, and a link to the progress."""
    make_run("first", "running")
    app = visit("predict")
    assert "No model of this run is finished yet" in texts(app)
    assert not app.error


def test_a_damaged_bundle_is_named_and_the_input_is_still_checked(run):
    """The check needs no model."""
    RunPaths(run).bundle("lgbm").write_bytes(b"not a bundle")
    app = visit("predict")
    assert "No prediction is possible." in [error.value for error in app.error]
    assert "lgbm_bundle.pkl" in texts(app)
    assert any(box.label.startswith("Input check: ") for box in app.expander)


@pytest.mark.parametrize(
    "attack",
    ["text-feature beyond the table", "text-cycle of children", "text-infinite leaf", "weights"],
)
def test_a_changed_model_with_right_checksums_is_refused_in_words(run, attack):
    """LightGBM would end the dashboard's process; the file is named instead."""
    HOSTILE[attack](run)
    app = visit("predict")
    assert not app.exception
    assert "No prediction is possible." in [error.value for error in app.error]
    assert "_bundle.pkl: fold 0: " in texts(app)


def test_without_the_network_everything_else_is_shown(run):
    """LightGBM predicts alone; a note says why there is no attention."""
    RunPaths(run).bundle("torch").unlink()
    app = visit("predict")
    assert "expected a model with attention (Network)" in texts(app)
    assert "LightGBM: contributions to" in look(app, "Why")


def test_without_lightgbm_everything_else_is_shown(run):
    """The network predicts alone; there are no contributions and no neighbours."""
    RunPaths(run).bundle("lgbm").unlink()
    app = visit("predict")
    shown = look(app, "Why")
    assert "expected a model with contributions (LightGBM)" in shown
    assert "Network: hiding" in shown
    assert "expected a model with importance (LightGBM)" in look(app, "Nearest")


def test_predictions_do_not_need_the_training_data(run):
    """Only the nearest training sequences do; they are replaced by a message."""
    RunPaths(run).features.unlink()
    app = visit("predict")
    assert "Its probability" in [metric.label for metric in app.metric]
    assert "Predictions do not need it" in look(app, "Nearest")


def test_a_read_only_dashboard_predicts(run, monkeypatch):
    """Predictions and explanations write nothing."""
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    app = visit("predict")
    for view in VIEWS:
        look(app, view)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_switch_keeps_the_page_and_the_run(run, state_dir, tiny_run):
    """The other run predicts the sequence that was selected."""
    shutil.copytree(tiny_run, state_dir / "other")
    app = visit("predict")
    app.selectbox(key="predict_sequence").select_index(3).run()
    picked = app.selectbox(key="predict_sequence").value
    for name in ("other", "tiny"):
        app.session_state["run"] = name
        app.run()
        assert not app.exception
        assert len(app.metric) == 5
        assert app.selectbox(key="predict_sequence").value == picked
        assert app.session_state["run"] == name


def test_each_kind_has_its_examples():
    """A confused pair counts in both directions; kinds without any sequence are not offered."""
    rows = pl.DataFrame(
        {
            "sequence_id": ["a", "b", "c", "d", "e"],
            "gesture": ["x", "y", "x", "z", "z"],
            "predicted": ["y", "x", "z", "z", "y"],
            "probability": [0.9, 0.8, 0.7, 0.6, 0.5],
            "margin": [0.5, 0.4, 0.3, 0.2, 0.1],
            "is_left": [False, False, False, True, False],
            "lacks_sensor": [False, False, False, False, True],
        }
    )
    picked = {
        kind: built_in_sequences.of_kind(rows, kind, 2)["sequence_id"].to_list() for kind in KINDS
    }
    assert picked == {
        "All": ["a", "b", "c", "d", "e"],
        "Confident and correct": ["d"],
        "Confident but wrong": ["a", "b"],
        "Smallest margins": ["e", "d"],
        "Most confused pair": ["a", "b"],
        "Left hand": ["d"],
        "Missing sensor": ["e"],
    }
    assert built_in_sequences.list_kinds(rows) == list(KINDS)
    unscored = rows.drop("predicted", "probability", "margin").with_columns(is_left=False)
    assert built_in_sequences.list_kinds(unscored) == ["All", "Missing sensor"]


KINDS = (built_in_sequences.ALL, *built_in_sequences.SCORED_KINDS, *built_in_sequences.SENSOR_KINDS)


def test_a_kind_of_another_run_is_dropped(run):
    """The page shows all sequences again."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60)
    app.session_state["predict_kind"] = "Left hand, of another run"
    app.switch_page("pages/predict.py").run()
    assert not app.exception
    assert app.segmented_control(key="predict_kind").value == "All"


def test_a_sequence_of_another_run_is_dropped(run):
    """The page falls back to the first sequence of any gesture."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60)
    app.session_state["predict_sequence"] = "no such sequence"
    app.session_state["predict_gesture"] = "no such gesture"
    app.switch_page("pages/predict.py").run()
    assert not app.exception
    assert app.selectbox(key="predict_gesture").value == "Any"
    assert app.selectbox(key="predict_sequence").value == "SEQ_000000"


# Uploads


def test_several_sequences_are_a_table_and_each_can_be_selected(run):
    """Gesture, probability, margin, target, entropy; downloads in three formats."""
    table = make_table(num_subjects=2, sequences_per_subject=2, length=12, labelled=False, seed=1)
    app = upload(visit("predict"), "x.csv", table)
    rows = app.dataframe(key="predict_rows").value
    assert len(rows) == 4
    assert rows["entropy"].between(0, 1).all()
    keys = {button.key for button in app.get("download_button")}
    assert {f"download_predictions_{ending}" for ending in ("csv", "parquet", "json")} <= keys
    for view in VIEWS:
        look(app, view)


def test_an_upload_without_time_of_flight_has_no_images(run):
    """Only the acceleration is needed."""
    table = make_table(num_subjects=1, sequences_per_subject=1, length=12, labelled=False, seed=1)
    app = upload(visit("predict"), "x.csv", table.drop(pl.selectors.matches("^(tof|thm|rot)_")))
    shown = texts(app)
    assert "Time of flight: the 8 x 8" not in shown
    assert time_lines(app) == []
    assert "Sensors: Accelerometer" in shown and "Not in this recording" in shown


def test_a_warning_is_shown_before_an_unreliable_prediction(run):
    """For acceleration in g."""
    table = make_table(num_subjects=1, sequences_per_subject=1, length=40, labelled=False, seed=1)
    table = table.with_columns(pl.col("acc_x", "acc_y", "acc_z") / 9.81)
    app = upload(visit("predict"), "x.csv", table)
    assert any("Input check" in warning.value for warning in app.warning)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"\x00\xff", "is not a CSV file"),
        ("x.parquet", b"PAR1 and no more", "is damaged"),
        ("x.csv", b"acc_x,acc_y\n1,2\n", "Missing column"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(run, name, data, message):
    """No traceback, no prediction."""
    app = upload(visit("predict"), name, data)
    assert message in texts(app)
    assert not app.metric


def test_an_upload_is_bounded_before_it_is_unpacked():
    """A few kB of Parquet can hold billions of values; rows and columns are checked first."""
    bomb = parquet_of(pl.DataFrame({"acc_x": pl.zeros(600_000, eager=True)}))
    assert len(bomb) < 20_000
    with pytest.raises(DataError, match="has 600,000 rows: expected at most 500,000"):
        uploads.read_sequences("x.parquet", bomb)
    wide = parquet_of(pl.DataFrame({f"c{n}": [0.0] for n in range(1001)}))
    with pytest.raises(DataError, match="has 1,001 columns: expected at most 1,000"):
        uploads.read_sequences("x.parquet", wide)
    header = b",".join(b"c%d" % n for n in range(1001)) + b"\n"
    with pytest.raises(DataError, match="has 1,001 columns"):
        uploads.read_sequences("x.csv", header)
    square = parquet_of(pl.DataFrame({f"c{n}": pl.zeros(50_000, eager=True) for n in range(900)}))
    with pytest.raises(DataError, match="has 50,000 rows: expected at most 44,444 at once with"):
        uploads.read_sequences("x.parquet", square)


@pytest.mark.parametrize("name", [b"\xffequence_id", b"sequence_i\xc3"])
def test_an_upload_whose_names_are_no_text_is_refused(name):
    """pyarrow, which knows the size of a file, stops at its names."""
    buffer = io.BytesIO()
    pl.DataFrame({"sequence_id": ["a"]}).write_parquet(buffer)
    data = buffer.getvalue().replace(b"sequence_id", name)
    with pytest.raises(DataError, match="is damaged"):
        uploads.read_sequences("x" * 10_000, data)


def test_an_upload_with_very_long_texts_is_refused_before_it_is_unpacked():
    """20 kB of Parquet can become gigabytes of text; one long id makes every id as wide."""
    wordy = pl.DataFrame({"sequence_id": [f"{n}" + "x" * 200_000 for n in range(3_000)]})
    buffer = io.BytesIO()
    wordy.write_parquet(buffer, compression="zstd", compression_level=3, use_pyarrow=True)
    assert len(buffer.getvalue()) < 2_000_000
    with pytest.raises(DataError, match="MB unpacked: expected at most 500 MB"):
        uploads.read_sequences("x.parquet", buffer.getvalue())
    table = make_table(num_subjects=1, sequences_per_subject=2, length=5, labelled=False)
    table = table.with_columns(pl.col("subject") + "x" * 300)
    with pytest.raises(DataError, match="Column 'subject' has a text of 311 bytes"):
        uploads.read_sequences("x.csv", csv_of(table))


def test_short_rows_count_before_they_are_padded():
    """A megabyte of line breaks under 1,000 names would become 8 GB; so with blank lines first."""
    header = b",".join(b"c%d" % n for n in range(900))
    with pytest.raises(DataError, match="has 1,000,000 rows: expected at most 44,444 at once"):
        uploads.read_sequences("x.csv", header + b"\n" * 1_000_000)
    with pytest.raises(DataError, match="has 1,001 columns"):
        uploads.read_sequences("x.csv", b"\n\r\n" + b",".join(b"c%d" % n for n in range(1001)))


def test_the_name_of_an_upload_is_no_path_and_no_markup(run, tmp_path):
    """Nothing is written under it, and it is shown as text."""
    before = sorted(path for path in tmp_path.rglob("*"))
    app = upload(visit("predict"), "../../<b>x</b>.csv", b"acc_x\n1\n")
    assert "Missing column" in texts(app)
    assert not any(element.allow_html for element in app.markdown if "<b>x" in element.value)
    table = make_table(num_subjects=1, sequences_per_subject=1, length=12, labelled=False, seed=1)
    app = upload(visit("predict"), "/etc/passwd.csv", table)
    assert len(app.metric) == 5
    assert sorted(path for path in tmp_path.rglob("*")) == before


# What is shown


def prediction():
    lgbm_MNK = np.array([[[0.6, 0.3, 0.1]], [[0.8, 0.1, 0.1]]])
    torch_MNK = np.array([[[0.2, 0.7, 0.1]], [[0.2, 0.7, 0.1]]])
    by_fold = {"lgbm": lgbm_MNK, "torch": torch_MNK}
    by_model = {model: proba_MNK.mean(axis=0) for model, proba_MNK in by_fold.items()}
    blended_NK = 0.5 * by_model["lgbm"] + 0.5 * by_model["torch"]
    return Prediction(
        sequence_ids=np.array(["a"]),
        gestures=("x", "y", "z"),
        num_targets=1,
        proba_NK=blended_NK,
        by_model=by_model,
        by_fold=by_fold,
        weights={"lgbm": 0.5, "torch": 0.5},
        notes=(),
    )


def test_the_gestures_have_the_spread_over_the_folds():
    """LightGBM's folds predict x with 0.6 and 0.8: 0.7, standard deviation 0.1."""
    rows = prediction_panels.gesture_rows(prediction(), 0)
    assert rows["gesture"].to_list() == ["y", "x", "z"] or rows["gesture"][0] == "x"
    x = rows.filter(gesture="x").row(0, named=True)
    assert x["lgbm"] == pytest.approx(0.7) and x["lgbm_spread"] == pytest.approx(0.1)
    assert x["torch_spread"] == 0.0


def test_entropy_is_0_for_certainty_and_1_for_equal_probabilities():
    """Normalized by the largest possible entropy."""
    found = prediction_panels.normalized_entropy(
        np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    )
    assert found == pytest.approx([0.0, 1.0, np.log(2) / np.log(3)])


def test_the_downloads_contain_the_same_numbers():
    """JSON and Parquet can be read back."""
    rows = request_panels.download_rows(prediction())
    assert pl.read_parquet(io.BytesIO(request_panels.as_parquet(rows))).equals(rows)
    assert pl.read_json(io.BytesIO(rows.write_json().encode())).columns == rows.columns


def test_a_pixel_with_nothing_in_range_is_a_stroke_not_a_colour():
    """-1 nothing in range, NaN missing, 0 near: each looks different."""
    pixels_88 = np.full((8, 8), -1.0, dtype=np.float32)
    pixels_88[0, 0], pixels_88[7, 7] = 0.0, np.nan
    heat, strokes = charts_traces.image_figure(pixels_88, None).data
    assert heat.z[0][0] == 254.0
    assert np.isnan(heat.z[3][3]) and np.isnan(heat.z[7][7])
    assert len(strokes.x) == 62
    assert (heat.zmin, heat.zmax) == (0, 254)


def test_a_mark_shades_its_time_window_and_makes_other_channels_faint():
    """For the temperature of sensor 3 in the late part; the colours stay."""
    table = make_table(num_subjects=1, sequences_per_subject=1, length=50, seed=5, labelled=False)
    one = sequences_from_table(table)
    traces, phases = recordings.traces(one, 0, 10.0), recordings.phase_bands(one, 0, 10.0)
    mark = trace_panels.mark_of(place_of(one, "thm_3.temperature.late_mean", 5), 10.0)
    plain = charts_traces.marked_figure(traces, phases, 10.0)
    figure = charts_traces.marked_figure(traces, phases, 10.0, [0, 1, 2, 3, 4, 5], mark)
    faint = {trace.name for trace in figure.data if trace.opacity == charts_traces.FAINT}
    assert faint == {"thm 1", "thm 2", "thm 4", "thm 5"}
    (rect,) = [shape for shape in figure.layout.shapes if shape.name == "mark"]
    assert (rect.x0, rect.x1) == (3.0, 5.0)
    assert sum(shape.type == "line" for shape in figure.layout.shapes) == 4
    assert figure.layout.yaxis.title.text == "Preprocessed, °C"
    names = [trace.name for trace in plain.data]
    assert [trace.name for trace in figure.data][: len(names)] == names


def test_a_click_on_a_bar_selects_its_feature():
    """A click next to the bars selects nothing."""
    assert explanation_panels.clicked_feature([{"point_index": 1}], ["a", "b"]) == "b"
    assert explanation_panels.clicked_feature([], ["a", "b"]) == "Nothing"
    assert explanation_panels.clicked_feature([{"point_index": 7}], ["a", "b"]) == "Nothing"


def test_an_overlay_resamples_both_to_the_same_length():
    """To 101 points each; missing values are interpolated."""
    table = make_table(num_subjects=1, sequences_per_subject=2, length=12, labelled=False)
    both = sequences_from_table(table)
    one, other = (both.select(np.array([n])) for n in range(2))
    rows = explanation_panels.overlay_rows(one, other, "b")
    assert rows.group_by("axis", "which").len()["len"].to_list() == [101] * 6
    first = rows.filter(axis="x", which="this")["value"]
    assert (first[0], first[-1]) == (one.acc_T3[0, 0], one.acc_T3[-1, 0])


def test_warnings_come_first_in_the_check():
    """In any order of the findings."""
    rows = request_panels.finding_rows(
        [Finding("note", "one thing"), Finding("warning", "another", "1", "2", "s", "acc")]
    )
    assert rows["kind"].to_list() == ["Warning", "Note"]
    assert rows.row(0) == ("Warning", "s, acc", "Another", "1", "2")


def test_other_pages_use_the_keys_of_this_page():
    """Other pages clear widgets of this page by their keys."""
    from pages.ui.scores import confusion

    assert built_in_sequences.SEQUENCE == "predict_sequence"
    assert set(confusion.NARROWING) == {"predict_mode", "predict_kind", "predict_gesture"}


def test_the_hover_of_a_contribution_has_its_meaning_on_separate_lines():
    """With a value, without one, and for a sensor, which has neither meaning nor value."""
    contributions = [
        Contribution(name, value, added=0.1, difference=0.236, spread=0.01)
        for name, value in (("acc.acc_x.mean", 2.5), ("acc.acc_x.mean", np.nan), ("acc", np.nan))
    ]
    meaning = "Mean of the acceleration along x (with gravity)."
    assert explanation_panels.contribution_rows(contributions)["text"].to_list() == [
        f"{meaning}<br>value 2.5; +0.236, spread over folds 0.010",
        f"{meaning}<br>+0.236, spread over folds 0.010",
        "+0.236, spread over folds 0.010",
    ]
