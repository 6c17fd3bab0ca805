"""The pages Scores, Features, Data and Predict: every state of a run, and what they derive."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pages.ui.predict import built_in_sequences, request_panels, uploads
from pages.ui.shared import charts_results, recordings
from tests.support import run_folders
from tests.support.builders import make_demographics, make_table
from tests.support.fresh_python import modules_after
from tests.support.pages import metrics, texts, turn_to, visit
from tests.support.run_folders import know_source
from trainer.data import sources
from trainer.data.schema import DataError
from trainer.predict import model_process, predictor
from trainer.store.names import RunPaths

PAGES = ("scores", "features", "data", "predict")
STATES = tuple(state for state in run_folders.STATES if state != "starting")
SMALL = {"num_subjects": 6, "sequences_per_subject": 8, "length": 12}  # the fixture's sequences


@pytest.fixture
def source(tmp_path):
    """Recordings with all sensors, of the very sequences that the fixture's runs are made of."""
    folder = tmp_path / "source"
    folder.mkdir()
    table = make_table(**SMALL)
    table.write_parquet(folder / "train.parquet")
    make_demographics(table, ("SUBJ_000001",)).write_csv(folder / "train_demographics.csv")
    return folder


@pytest.fixture
def finished(make_run, source, monkeypatch):
    """A finished run with a fake predictor, and its source."""
    root = make_run("first", "finished", source=str(source))
    know_source(root, source)
    for model in ("lgbm", "torch"):
        RunPaths(root).bundle(model).write_bytes(model.encode())
    calls = []

    def compute(models, function, *arguments, **options):
        function = getattr(FakePredictor, function.__name__, function)
        return function(FakePredictor(calls), *arguments, **options)

    monkeypatch.setattr(model_process, "load", lambda models: None)
    monkeypatch.setattr(model_process, "compute", compute)
    return SimpleNamespace(root=root, calls=calls)


class FakePredictor:
    """LightGBM predicts the first gesture, the network and the blend the second.

    It has no models to explain.
    """

    root, models, notes = Path("first"), {}, ()

    def __init__(self, calls):
        self.calls = calls

    def models_of(self, fold):
        return {}

    def predict(self, sequences, fold=None):
        self.calls.append((sequences.num_sequences, fold))
        num = sequences.num_sequences
        lgbm_NK = np.tile([0.7, 0.1, 0.1, 0.1], (num, 1))
        torch_NK = np.tile([0.05, 0.9, 0.03, 0.02], (num, 1))
        return predictor.Prediction(
            sequence_ids=sequences.sequence_ids,
            gestures=run_folders.NAMES,
            num_targets=run_folders.NUM_TARGETS,
            proba_NK=0.4 * lgbm_NK + 0.6 * torch_NK,
            by_model={"lgbm": lgbm_NK, "torch": torch_NK},
            by_fold={"lgbm": lgbm_NK[None], "torch": torch_NK[None]},
            weights={"lgbm": 0.4, "torch": 0.6},
            notes=("predicted by: LightGBM 0.40, the network 0.60",),
        )


def csv_of(table):
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return buffer.getvalue()


def test_a_page_without_any_run_says_what_to_do_next(state_dir):
    """An empty state folder is a beginning, not an error."""
    app = visit(PAGES[0])
    for page in PAGES:
        assert "No runs yet" in texts(turn_to(app, page))
        assert not app.error


@pytest.mark.parametrize("state", STATES)
def test_every_page_shows_every_state_of_a_run(make_run, state):
    """Running, paused, failed, finished, damaged, of a newer schema: no page breaks."""
    make_run("first", state)
    app = visit(PAGES[0])
    for page in PAGES[1:]:
        turn_to(app, page)


def test_every_page_shows_a_run_that_has_no_fold_yet(make_run):
    """Right after the start there are folds.parquet and nothing to score."""
    make_run("first", "running", done=0)
    app = visit(PAGES[0])
    for page in PAGES:
        assert not turn_to(app, page).error


@pytest.mark.parametrize(
    ("name", "pages_in_need"),
    [
        ("oof", {"scores"}),
        ("scores", {"scores"}),
        ("importance", {"features"}),
        ("folds", {"data"}),
        ("config", {"scores", "features", "data", "predict"}),
    ],
)
def test_a_damaged_file_is_named_where_it_is_needed(make_run, name, pages_in_need):
    """No page breaks on half a file, whichever it is."""
    root = make_run("first", "finished")
    path = getattr(RunPaths(root), name)
    path.write_bytes(b"PAR1\x00\xff{")
    app = visit(PAGES[0])
    named = {page for page in PAGES if path.name in texts(turn_to(app, page))}
    assert named == pages_in_need


def test_traces_and_phases_of_one_sequence():
    """At 10 steps per second step 12 of 24 is at 1.2 s; the gesture is the second half."""
    sequences = sources.sequences_from_table(make_table(num_subjects=1, length=24))
    steps = int(sequences.lengths_N[0])
    traces = recordings.traces(sequences, 0, 10.0)
    assert traces["panel"].n_unique() == 4
    assert traces["time_s"].max() == pytest.approx((steps - 1) / 10)
    assert recordings.phase_bands(sequences, 0, 10.0).rows() == [
        ("transition", 0.0, pytest.approx(steps // 2 / 10)),
        ("gesture", pytest.approx(steps // 2 / 10), pytest.approx(steps / 10)),
    ]
    figure = charts_results.trace_figure(traces, recordings.phase_bands(sequences, 0, 10.0), 10.0)
    assert figure.layout.yaxis.title.text == "Acceleration, m/s²"
    assert figure.layout.xaxis.title.text == "Time, s (at 10 steps per second)"


def test_nothing_in_range_does_not_count_as_a_distance():
    """-1 is left out of a time-of-flight mean; a step that sees nothing is a gap."""
    table = make_table(num_subjects=1, sequences_per_subject=4)
    pixels = [f"tof_1_v{pixel}" for pixel in range(64)]
    table = table.with_columns(pl.lit(-1.0).alias(name) for name in pixels)
    traces = recordings.traces(sources.sequences_from_table(table), 0, 10.0)
    sensor = traces.filter(channel="tof 1")
    assert sensor["value"].null_count() == len(sensor)


def test_a_built_in_sequence_is_predicted_by_the_fold_that_validated_it(finished):
    """Subject 0 is validated in fold 0; the true gesture is shown beside the prediction."""
    app = visit("predict")
    assert finished.calls == [(1, 0)]
    assert "True gesture: Cheek - pinch skin" in texts(app).replace("\\", "")
    assert "Models disagree" in texts(app)
    assert metrics(app)["Its probability"] == "58.0 %"
    assert metrics(app)["Any target"] == "89.0 %"
    assert "Seen in training" not in texts(app)


def test_all_folds_on_a_training_sequence_are_marked_as_seen_in_training(finished):
    """Four of five folds were trained on the sequence: the page warns of it."""
    app = visit("predict")
    models = next(group for group in app.segmented_control if group.label == "Models")
    models.set_value("All folds").run()
    assert not app.exception
    assert finished.calls[-1] == (1, None)
    assert "Seen in training" in texts(app)


def test_sequences_can_be_filtered_by_their_out_of_fold_prediction(finished):
    """By correctness, probability and margin."""
    app = visit("predict")
    for kind in ("Confident and correct", "Confident but wrong", "Smallest margins"):
        app.segmented_control(key="predict_kind").set_value(kind).run()
        assert not app.exception


def upload(app, *files):
    app.segmented_control(key="predict_mode").set_value("Upload").run()
    for key, (name, data) in zip(("predict_file", "predict_people"), files, strict=False):
        app.file_uploader(key=key).upload(name, data, "text/csv").run()
    assert not app.exception
    return app


def test_an_upload_of_several_sequences_is_predicted_in_a_table(finished):
    """New recordings without labels, with demographics."""
    table = make_table(num_subjects=2, sequences_per_subject=2, length=12, labelled=False, seed=1)
    people = csv_of(make_demographics(table, ("SUBJ_000000",)))
    app = upload(visit("predict"), ("../../x.csv", csv_of(table)), ("p.csv", people))
    assert finished.calls[-1] == (4, None)
    rows = app.dataframe(key="predict_rows").value
    assert rows["gesture"].tolist() == ["Neck - scratch"] * 4
    assert "Seen in training" not in texts(app)


def test_an_uploaded_training_sequence_is_recognized_by_its_content(finished):
    """The same recording under another id was seen; another one under a known id was not."""
    table = make_table(**SMALL).filter(pl.col("subject") == "SUBJ_000000")
    renamed = table.with_columns(sequence_id=pl.lit("new_") + pl.col("sequence_id"))
    app = upload(visit("predict"), ("mine.csv", csv_of(renamed)))
    assert "Seen in training: 8 of 8" in texts(app)
    other = make_table(num_subjects=1, sequences_per_subject=2, length=12, seed=1)
    app = upload(visit("predict"), ("mine.csv", csv_of(other)))
    assert "Seen in training" not in texts(app)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"", "is empty"),
        ("x.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "is not a CSV file"),
        ("x.parquet", b"a,b\n1,2\n", "is not Parquet"),
        ("x.csv", b"a,b\n1,2\n", "Missing column"),
    ],
)
def test_an_unusable_upload_is_refused_with_the_reason(finished, name, data, message):
    """A message, no traceback, no prediction."""
    app = upload(visit("predict"), (name, data))
    assert message in texts(app)


def test_large_uploads_are_refused_before_they_are_read(monkeypatch):
    """Bytes, rows and sequences are limited; the message names the limit."""
    data = csv_of(make_table(num_subjects=1, sequences_per_subject=2, length=12))
    monkeypatch.setattr(uploads, "MAX_SEQUENCES", 1)
    with pytest.raises(DataError, match="has 2 sequences: expected at most 1"):
        uploads.read_sequences("x.csv", data)
    monkeypatch.setattr(uploads, "MAX_ROWS", 10)
    with pytest.raises(DataError, match="rows: expected at most 10"):
        uploads.read_sequences("x.csv", data)
    monkeypatch.setattr(uploads, "MAX_UPLOAD_MB", 0)
    with pytest.raises(DataError, match="expected at most 0 MB"):
        uploads.read_sequences("x.csv", data)


def test_an_error_of_the_predictor_is_shown(finished, monkeypatch):
    """The page names a damaged bundle."""

    def fail(self, sequences, fold=None):
        raise predictor.PredictError("lgbm_bundle.pkl: its SHA-256 is not the recorded one")

    monkeypatch.setattr(FakePredictor, "predict", fail)
    assert "its SHA-256 is not the recorded one" in texts(visit("predict"))


def test_a_real_damaged_bundle_is_a_message(make_run, source):
    """With the real predictor."""
    root = make_run("first", "finished", source=str(source))
    know_source(root, source)
    RunPaths(root).bundle("lgbm").write_bytes(b"not a bundle")
    app = visit("predict")
    assert "No prediction is possible." in [error.value for error in app.error]


def test_a_run_without_its_source_predicts_uploads(finished, source):
    """Only the built-in sequences need the source."""
    (source / "train.parquet").unlink()
    (source / "train_demographics.csv").unlink()
    predict_page = visit("predict")
    assert "Upload a recording instead" in texts(predict_page)
    table = make_table(num_subjects=1, sequences_per_subject=1, length=12, labelled=False)
    upload(predict_page, ("x.csv", csv_of(table)))
    assert finished.calls[-1] == (1, None)


def test_the_download_has_the_columns_of_the_command_line():
    """sequence_id, gesture, p_target, blended, then by model; rows sum to 1."""
    sequences = SimpleNamespace(num_sequences=2, sequence_ids=np.array(["a", "b"]))
    table = request_panels.download_rows(FakePredictor([]).predict(sequences))
    names = run_folders.NAMES
    assert table.columns == [
        *("sequence_id", "gesture", "p_target"),
        *names,
        *(f"lgbm:{name}" for name in names),
        *(f"torch:{name}" for name in names),
    ]
    assert table.select(pl.sum_horizontal(*names)).to_series().to_list() == pytest.approx([1, 1])


def test_kinds_filter_built_in_sequences():
    """Sequences without an out-of-fold prediction are of no kind but All."""
    rows = pl.DataFrame(
        {
            "sequence_id": list("abcd"),
            "gesture": ["x", "x", "x", "x"],
            "predicted": ["x", "y", "x", None],
            "probability": [0.9, 0.8, 0.6, None],
            "margin": [0.8, 0.7, 0.2, None],
        }
    )

    def ids(kind):
        return built_in_sequences.of_kind(rows, kind, 2)["sequence_id"].to_list()

    assert ids("Confident and correct") == ["a", "c"]
    assert ids("Confident but wrong") == ["b"]
    assert ids("Smallest margins") == ["c", "b"]
    assert ids("All") == list("abcd")


def test_the_pages_import_neither_torch_nor_lightgbm_before_the_first_prediction():
    """Opening the dashboard stays quick."""
    code = (
        "from pages.ui.predict import built_in_sequences, explanation_panels, uploads\n"
        "from pages.ui.shared import charts_results, results, source\n"
    )
    assert modules_after(code, ("torch", "lightgbm", "trainer.predict.predictor")) == []
