"""The competition's predict: one plain gesture whatever row comes, or an error; never a guess."""

from __future__ import annotations

import dataclasses
import random
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, make_demographics, make_table
from trainer.data.raw_table import sequences_from_table
from trainer.data.schema import ROT_COLUMNS, SENSOR_COLUMNS, THM_COLUMNS, TOF_COLUMNS
from trainer.kaggle import server
from trainer.kaggle.gateway import through_arrow
from trainer.kaggle.served_sequence import read_served
from trainer.kaggle.server import SequenceServer
from trainer.predict.predictor import PredictError, Predictor

NAMES = [name for name, _ in GESTURES]
SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def table():
    """Twelve unlabelled sequences of two people, all sensors, as test.csv has them."""
    return make_table(num_subjects=2, sequences_per_subject=6, seed=3, labelled=False)


@pytest.fixture(scope="module")
def people(table):
    return make_demographics(table, left_handers=("SUBJ_000001",))


@pytest.fixture(scope="module")
def warm(tiny_run):
    """The run's models, loaded once."""
    return SequenceServer(tiny_run, lambda line: None).predictor


@pytest.fixture
def sequence_server(tiny_run, warm):
    """A server with a list of its log lines."""
    lines = []
    sequence_server = SequenceServer(tiny_run, lines.append)
    sequence_server.__dict__["predictor"] = warm
    sequence_server.__dict__["lines"] = lines
    return sequence_server


def sequences_of(table):
    return table.partition_by("sequence_id", maintain_order=True)


def demographics_of(sequence, people):
    return people.filter(pl.col("subject") == sequence["subject"][0])


def all_null(sequence, names):
    return sequence.with_columns(pl.lit(None).alias(name) for name in names)


def cast(sequence, dtype, names=SENSOR_COLUMNS):
    return sequence.with_columns(pl.col(name).cast(dtype) for name in names)


def test_the_prediction_is_a_plain_str_of_the_runs_gestures(sequence_server, table, people):
    """numpy's str is refused by the gateway; nothing is logged if no value is missing."""
    first = sequences_of(table)[0]
    gesture = sequence_server.predict(first, demographics_of(first, people))
    assert type(gesture) is str and gesture in NAMES
    assert sequence_server.__dict__["lines"] == []


def test_single_predictions_equal_those_of_the_whole_file(sequence_server, warm, table, people):
    """One at a time, in any order, twice: the same as all at once."""
    known = sequences_from_table(table, people)
    expected = dict(zip(known.sequence_ids.tolist(), warm.predict(known).predicted, strict=True))
    parts = sequences_of(table)
    order = random.Random(1).sample(parts + parts, 2 * len(parts))
    for part in order:
        gesture = sequence_server.predict(
            through_arrow(part), through_arrow(demographics_of(part, people))
        )
        assert gesture == expected[part["sequence_id"][0]]


ODD_ROWS = {
    "no thermopiles, no images": (
        lambda s: all_null(s, THM_COLUMNS + TOF_COLUMNS),
        "",  # half of the competition's sequences are so: no line
    ),
    "nothing at all": (lambda s: all_null(s, SENSOR_COLUMNS), "no acceleration at all"),
    "one row": (lambda s: s.head(1), ""),
    "3,000 rows": (lambda s: pl.concat([s] * 200).head(3000), ""),
    "missing orientation": (lambda s: all_null(s, ROT_COLUMNS), ""),
    "orientation not in the table": (lambda s: s.drop(ROT_COLUMNS), ""),
    "numbers as text": (lambda s: cast(s, pl.String), ""),
    "words among the numbers": (
        lambda s: cast(s, pl.String).with_columns(pl.lit("n/a").alias("acc_x")),
        "acc_x: 24 of 24 values are not usable numbers, taken as missing",
    ),
    "whole numbers": (lambda s: cast(s, pl.Int64), ""),
    "infinities": (
        lambda s: s.with_columns(pl.lit(float("inf")).alias("rot_w")),
        "rot_w: 24 of 24 values are not usable numbers, taken as missing",
    ),
    "huge values": (
        lambda s: s.with_columns(pl.lit(-1e30).alias("thm_3")),
        "thm_3: 24 of 24 values are not usable numbers, taken as missing",
    ),
    "no ids": (lambda s: all_null(s, ("sequence_id", "sequence_counter", "subject")), "hand"),
    "columns of no type": (
        lambda s: s.with_columns(pl.Series(name, [None] * len(s)) for name in TOF_COLUMNS),
        "",
    ),
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_odd_rows_are_predicted_and_logged(sequence_server, table, people, name):
    """One of the run's gestures, and a line with the sequence and its missing values."""
    spoil, logged = ODD_ROWS[name]
    sequence = sequences_of(table)[0].head(24)
    gesture = sequence_server.predict(
        through_arrow(spoil(sequence)), demographics_of(sequence, people)
    )
    assert type(gesture) is str and gesture in NAMES
    lines = sequence_server.__dict__["lines"]
    assert all(line.startswith("sequence ") for line in lines)
    assert logged in "\n".join(lines)
    assert bool(lines) == bool(logged)


@pytest.mark.parametrize(
    "change",
    [
        lambda people: people.clear(),
        lambda people: people.with_columns(pl.lit("SUBJ_999999").alias("subject")),
        lambda people: pl.DataFrame(),
        lambda people: people.with_columns(pl.lit("both").alias("handedness")),
        lambda people: people.with_columns(pl.lit(7).alias("handedness")),
    ],
)
def test_an_unknown_person_is_predicted_and_logged(sequence_server, table, people, change):
    """Unknown subject, empty demographics, no such column, no such hand."""
    sequence = sequences_of(table)[0]
    demographics = change(demographics_of(sequence, people))
    assert sequence_server.predict(sequence, demographics) in NAMES
    assert sequence_server.__dict__["lines"][0].startswith("sequence SEQ_000000: hand unknown: ")


def test_text_and_numbers_give_the_same_sensor_values(table, people):
    """Read as text, as the gateway may guess, no value differs."""
    sequence = sequences_of(table)[0]
    numbers, _ = read_served(sequence, people)
    text, remarks = read_served(cast(sequence, pl.String), people)
    assert remarks == ()
    for group, values in numbers.arrays.items():
        np.testing.assert_array_equal(text.arrays[group], values)


def test_a_left_hander_is_known_by_the_demographics(table, people):
    """0 left, 1 right, as text too."""
    parts = {part["subject"][0]: part for part in sequences_of(table)}
    hands = {subject: read_served(part, people)[0] for subject, part in parts.items()}
    assert {name: hand.right_handed_N.tolist() for name, hand in hands.items()} == {
        "SUBJ_000000": [1.0],
        "SUBJ_000001": [0.0],
    }


def test_a_sequence_without_rows_is_an_error(sequence_server, table, people):
    """There is nothing to predict."""
    with pytest.raises(PredictError, match="expected at least one row, got none"):
        sequence_server.predict(table.clear(), people)


def broken(warm, *models):
    """Return the predictor with some models that fail on every sequence."""
    models = {
        model: dataclasses.replace(
            fitted.select(np.arange(len(fitted.folds)) == 0), folds=("not a model",)
        )
        if model in models
        else fitted
        for model, fitted in warm.models.items()
    }
    return Predictor(**{**warm.__dict__, "models": models})


@pytest.mark.parametrize(("failing", "other"), [("lgbm", "torch"), ("torch", "lgbm")])
def test_if_one_model_fails_the_other_predicts(
    sequence_server, warm, table, people, failing, other
):
    """The reason is logged; the prediction is the other model's own."""
    sequence_server.__dict__["predictor"] = broken(warm, failing)
    for sequence in sequences_of(table)[:4]:
        recording, _ = read_served(sequence, people)
        alone = warm.predict(recording).by_model[other]
        expected = warm.labels.gestures[int(np.argmax(alone[0]))]
        assert sequence_server.predict(sequence, people) == expected
    assert len(sequence_server.__dict__["lines"]) == 4
    assert sequence_server.__dict__["lines"][0].startswith(
        f"sequence SEQ_000000: {failing}: AttributeError: "
    )


def test_if_all_models_fail_it_is_an_error_not_a_guess(sequence_server, warm, table, people):
    """Both reasons are in it."""
    sequence_server.__dict__["predictor"] = broken(warm, "lgbm", "torch")
    with pytest.raises(PredictError, match=r"no model could predict it \(lgbm: .*; torch: .*\)"):
        sequence_server.predict(sequences_of(table)[0], people)


def test_no_run_is_an_error_that_names_the_searched_folders(tmp_path, table, people, monkeypatch):
    """The public function finds its run by the environment."""
    monkeypatch.setenv("CKPT_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("KAGGLE_INPUT_DIR", str(tmp_path / "input"))
    monkeypatch.delenv("MODEL_PATH", raising=False)
    server._default_server.cache_clear()
    with pytest.raises(PredictError, match="no run with a finished model in"):
        server.predict(sequences_of(table)[0], people)


@pytest.mark.parametrize("place", ["MODEL_PATH", "CKPT_DIR", "KAGGLE_INPUT_DIR"])
def test_the_public_function_finds_the_run(
    tiny_run, sequence_server, tmp_path, table, people, monkeypatch, place
):
    """Named by MODEL_PATH, in the state folder, or anywhere under the input folder."""
    for name in ("MODEL_PATH", "CKPT_DIR", "KAGGLE_INPUT_DIR"):
        monkeypatch.setenv(name, "" if name == "MODEL_PATH" else str(tmp_path / "nothing"))
    run = shutil.copytree(tiny_run, tmp_path / "mount" / "notebook" / "state" / "tiny")
    folders = {"MODEL_PATH": run, "CKPT_DIR": run.parent, "KAGGLE_INPUT_DIR": tmp_path / "mount"}
    monkeypatch.setenv(place, str(folders[place]))
    server._default_server.cache_clear()
    sequence = sequences_of(table)[0]
    assert server.predict.__name__ == "predict"  # the endpoint's name at the gateway
    assert server.predict(sequence, people) == sequence_server.predict(sequence, people)
    assert server._default_server().root == run
    server._default_server.cache_clear()


def test_the_models_are_loaded_once(tiny_run, warm, table, people, monkeypatch):
    """At the first call: every other one must be quick."""
    loaded = []
    monkeypatch.setattr(server.Predictor, "load", lambda root: loaded.append(root) or warm)
    sequence_server = SequenceServer(tiny_run, lambda line: None)
    assert loaded == []
    for sequence in sequences_of(table)[:3]:
        sequence_server.predict(sequence, people)
    assert loaded == [tiny_run]


@pytest.mark.skipif(not (SHARED_DATA / "test.csv").exists(), reason="the sample is not here")
def test_the_competitions_own_rows_are_predicted(sequence_server):
    """Real rows of the real device, types as the gateway guesses them."""
    table = pl.read_csv(SHARED_DATA / "test.csv")
    people = pl.read_csv(SHARED_DATA / "test_demographics.csv")
    for sequence in sequences_of(table):
        assert sequence_server.predict(sequence, demographics_of(sequence, people)) in NAMES
    assert sequence_server.__dict__["lines"] == []
