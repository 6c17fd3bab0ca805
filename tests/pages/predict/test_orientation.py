"""The Predict page with recordings of a reversed device: corrected, or predicted as worn."""

from __future__ import annotations

import io
import shutil

import polars as pl
import pytest

from tests.support.builders import make_table
from tests.support.detectors import BELOW_ZERO, add_detector
from tests.support.pages import visit

NOTE = "1 of 2 recordings looks rotated by 180 degrees about z (device reversed)"


@pytest.fixture
def run(tiny_run, state_dir):
    """A finished run with a detector: below zero along x is reversed."""
    return add_detector(shutil.copytree(tiny_run, state_dir / "tiny"))


def upload(app, x_of_second=-5.0):
    """Upload a recording of each of two people; x of the second as given."""
    table = make_table(num_subjects=2, sequences_per_subject=1, length=12, labelled=False, seed=1)
    is_first = pl.col("subject") == table["subject"][0]
    buffer = io.BytesIO()
    table.with_columns(acc_x=pl.when(is_first).then(5.0).otherwise(x_of_second)).write_csv(buffer)
    app.segmented_control(key="predict_mode").set_value("Upload").run()
    app.file_uploader(key="predict_file").upload("x.csv", buffer.getvalue(), "text/csv").run()
    assert not app.exception
    return app


def texts(app, kind):
    return [str(element.value).replace("\\", "") for element in app.get(kind)]


def test_a_reversed_recording_is_corrected_and_can_be_predicted_as_worn(run):
    """The page says so, the prediction changes, every view works."""
    app = upload(visit("predict"))
    assert texts(app, "info") == [f"{NOTE}: corrected before prediction."]
    assert any(f"{NOTE}: corrected before prediction" in text for text in texts(app, "caption"))
    before = app.dataframe(key="predict_rows").value
    for view in ("Why", "What if", "Nearest", "Report", "Over time"):
        app.segmented_control(key="predict_view").set_value(view).run()
        assert not app.exception
    app.checkbox(key="predict_as_worn").check().run()
    assert not app.exception
    assert texts(app, "info") == [f"{NOTE}: predicted as worn."]
    assert not any("corrected" in text for text in texts(app, "caption"))
    after = app.dataframe(key="predict_rows").value
    same = (before["probability"] == after["probability"]).tolist()
    assert same == [True, False]


def test_recordings_with_the_usual_orientation_have_no_such_choice(run):
    """Nothing looks rotated."""
    app = upload(visit("predict"), x_of_second=5.0)
    assert texts(app, "info") == []
    assert [box.key for box in app.checkbox if box.key == "predict_as_worn"] == []


def test_a_damaged_detector_is_refused_in_words(run):
    """Not enough weights, with right checksums."""
    add_detector(run, BELOW_ZERO | {"weights": [1.0]})
    app = upload(visit("predict"))
    assert [error.value for error in app.error] == ["The run's configuration is damaged."]
    assert any("weights: expected 28 numbers, got 1" in text for text in texts(app, "code"))
