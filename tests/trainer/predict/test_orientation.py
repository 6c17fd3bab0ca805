"""Recordings of reversed devices are corrected before all models; --as-worn leaves them."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

from tests.support.builders import make_demographics, make_table
from tests.support.detectors import add_detector
from trainer.cli import commands
from trainer.data.device_orientation import rotate
from trainer.data.raw_table import sequences_from_table
from trainer.explain.input_check import check_input_for
from trainer.kaggle.server import SequenceServer
from trainer.predict.predictor import Predictor

NOTE = (
    "3 of 6 recordings look rotated by 180 degrees about z (device reversed): "
    "corrected before prediction"
)


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A finished run with a detector: below zero along x is reversed."""
    return add_detector(shutil.copytree(tiny_run, tmp_path_factory.mktemp("detecting") / "run"))


@pytest.fixture(scope="module")
def table():
    """Three recordings of a person with the usual orientation, three of another with the other."""
    table = make_table(num_subjects=2, sequences_per_subject=3, seed=5, labelled=False)
    is_first = pl.col("subject") == table["subject"][0]
    return table.with_columns(acc_x=pl.when(is_first).then(5.0).otherwise(-5.0))


@pytest.fixture(scope="module")
def recordings(table):
    return sequences_from_table(table)


def corrected(recordings):
    return rotate(recordings, np.repeat([False, True], 3))


def test_reversed_recordings_are_predicted_by_all_models_as_if_worn_the_usual_way(run, recordings):
    """And the note names how many."""
    predictor = Predictor.load(run)
    found = predictor.predict(recordings)
    expected = predictor.predict(corrected(recordings))
    for model in ("lgbm", "torch"):
        np.testing.assert_array_equal(found.by_model[model], expected.by_model[model])
    assert NOTE in found.notes
    assert not any("rotated" in note for note in expected.notes)


def test_recordings_as_worn_are_predicted_as_by_a_run_without_a_detector(run, tiny_run, recordings):
    """Bundles of earlier versions have no detector, and correct no one."""
    predictor, earlier = Predictor.load(run), Predictor.load(tiny_run)
    assert earlier.detector is None
    as_worn = predictor.predict(predictor.decide_orientation(recordings, as_worn=True))
    expected = earlier.predict(recordings)
    np.testing.assert_array_equal(as_worn.proba_NK, expected.proba_NK)
    assert as_worn.notes == expected.notes


def test_the_input_check_is_of_the_corrected_recordings(run, recordings):
    """The same findings as of recordings that were corrected before."""
    predictor = Predictor.load(run)
    findings = check_input_for(predictor, recordings)
    assert findings == check_input_for(predictor, corrected(recordings))


def test_the_command_line_names_what_it_corrects_and_predicts_as_worn_on_demand(
    run, table, tmp_path, capsys
):
    """The table has the same columns; the notes are on stderr."""
    file, out = tmp_path / "six.parquet", tmp_path / "out.parquet"
    table.write_parquet(file)
    predicted = {}
    for as_worn in (False, True):
        commands.predict(run, file, None, out, by_model=False, as_worn=as_worn)
        err = capsys.readouterr().err
        ids = ", ".join(table["sequence_id"].unique(maintain_order=True)[3:])
        line = f"corrected: {ids}; --as-worn predicts them as recorded"
        assert [text in err for text in (NOTE, line)] == [not as_worn] * 2
        predicted[as_worn] = pl.read_parquet(out)
    assert predicted[False].columns == predicted[True].columns
    assert predicted[False].head(3).equals(predicted[True].head(3))
    assert not predicted[False].tail(3).equals(predicted[True].tail(3))


def test_the_competitions_server_corrects_single_recordings_and_logs_it(run, table, recordings):
    """Each call knows one recording only."""
    lines = []
    server = SequenceServer(run, lines.append)
    people = make_demographics(table)
    last = table.partition_by("sequence_id", maintain_order=True)[5]
    gesture = server.predict(last, people.filter(pl.col("subject") == last["subject"][0]))
    assert gesture == server.predictor.predict(corrected(recordings)).predicted[5]
    assert lines == [
        f"sequence {last['sequence_id'][0]}: this recording looks rotated by 180 degrees about z "
        "(device reversed): corrected before prediction"
    ]
