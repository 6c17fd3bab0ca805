"""Device orientation: reversed devices are found without labels, corrected and reported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.tiny_runs import tiny_config, train
from trainer.data import sources
from trainer.data.device_orientation import correct_orientation, find_reversed
from trainer.data.sequences import Sequences
from trainer.explain.input_check import check_input_for
from trainer.predict.predictor import Predictor
from trainer.run.inputs.recordings import load_dataset
from trainer.simulation.people import REVERSED
from trainer.simulation.sensors import Recording, reverse
from trainer.simulation.simulate import simulate
from trainer.store.checksums import CheckedFolder
from trainer.store.reader import RunReader

ASL = Path(__file__).parents[4] / "shared" / "data" / "asl.parquet"  # no licence: not shipped
SUBJECTS = 20  # two of them have a reversed device


@pytest.fixture(scope="module")
def simulated() -> Sequences:
    """Simulated recordings with all sensors; two of the subjects are reversed."""
    return simulate(SUBJECTS)


def reversed_names() -> tuple[str, ...]:
    return tuple(f"SUBJ_{number:06d}" for number in REVERSED)


def test_only_the_reversed_devices_of_simulated_subjects_are_found(simulated):
    """Two of twenty, without labels."""
    assert find_reversed(simulated) == reversed_names()
    assert find_reversed(dataclasses.replace(simulated, label_idx=None)) == reversed_names()


def test_no_device_of_the_real_recordings_looks_reversed():
    """Ten people with a watch on the same wrist, as recorded."""
    assert find_reversed(sources.load("watch")) == ()


@pytest.mark.skipif(not ASL.exists(), reason="these recordings have no licence to ship")
def test_the_two_reversed_arm_bands_are_found():
    """Real recordings of 27 people, unchanged."""
    assert find_reversed(sources.load(str(ASL))) == ("DM02", "DM25")


def test_the_correction_is_the_inverse_of_a_reversed_device(simulated):
    """All sensors, bit for bit; values of other subjects and the input stay unchanged."""
    before = {name: values.copy() for name, values in simulated.arrays.items()}
    back = correct_orientation(simulated, reversed_names())
    theirs_T = np.repeat(np.isin(simulated.subjects, reversed_names()), simulated.lengths_N)
    again = reverse(Recording(*(values[theirs_T] for values in back.arrays.values())))
    reversed_again = (again.acc_T3, again.rot_T4, again.thm_T5, again.tof_T320)
    for (name, values), turned in zip(before.items(), reversed_again, strict=True):
        np.testing.assert_array_equal(np.abs(turned), np.abs(values[theirs_T]), err_msg=name)
        np.testing.assert_array_equal(back.arrays[name][~theirs_T], values[~theirs_T])
        np.testing.assert_array_equal(simulated.arrays[name], values)
    np.testing.assert_array_equal(reversed_again[0], before["acc"][theirs_T])
    own = dataclasses.replace(
        simulated,
        **{
            name: getattr(simulated, name).copy()
            for name in ("acc_T3", "rot_T4", "thm_T5", "tof_T320")
        },
    )
    assert correct_orientation(own, reversed_names(), in_place=True) is own
    for name, values in own.arrays.items():
        np.testing.assert_array_equal(values, back.arrays[name])


def test_no_device_looks_reversed_without_subjects_or_with_few_sequences(simulated):
    """A mean over a few sequences is too uncertain."""
    assert find_reversed(dataclasses.replace(simulated, subjects=None)) == ()
    theirs_N = np.isin(simulated.subjects, reversed_names())
    few = simulated.select(np.flatnonzero(~theirs_N | (np.cumsum(theirs_N) <= 9)))
    assert find_reversed(few) == ()
    assert correct_orientation(simulated, ()) is simulated


@pytest.fixture(scope="module")
def rotated_watch(tmp_path_factory):
    """The recordings that ship with the project, with one subject's device rotated."""
    table = pl.read_parquet(sources.WATCH_PATH)
    theirs = pl.col("subject") == "SUBJ_W05"
    turned = {
        **{f"acc_{axis}": -pl.col(f"acc_{axis}") for axis in "xy"},
        "rot_w": -pl.col("rot_z"),
        "rot_x": pl.col("rot_y"),
        "rot_y": -pl.col("rot_x"),
        "rot_z": pl.col("rot_w"),
    }
    changed = [
        pl.when(theirs).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in turned.items()
    ]
    file = tmp_path_factory.mktemp("rotated") / "watch.parquet"
    table.with_columns(changed).write_parquet(file)
    return file


def test_a_run_reports_corrected_subjects_and_corrects_their_recordings_in_predictions(
    rotated_watch, tmp_path
):
    """A fold without the corrected subject repeats its out-of-fold predictions of them."""
    config = tiny_config(rotated_watch, "models=lgbm", "folds.count=2")
    logged = []
    assert train(tmp_path / "first", config, echo=logged.append) == "finished"
    run = RunReader(tmp_path / "first")
    assert run.run_file().recordings.turned_subjects == ("SUBJ_W05",)
    assert any(
        "corrected   device orientation of SUBJ_W05: half a turn about z" in line for line in logged
    )

    sequences = sources.load(str(rotated_watch))
    their_idx = np.flatnonzero(sequences.subjects == "SUBJ_W05")[:5]
    oof = run.oof().filter(pl.col("sequence_id").is_in(sequences.sequence_ids[their_idx]))
    predicted = Predictor.load(tmp_path / "first").predict(
        sequences.select(their_idx), oof["fold"][0]
    )
    expected_NK = oof.select(pl.col("^lgbm:.*$")).to_numpy()
    np.testing.assert_allclose(predicted.by_model["lgbm"], expected_NK, atol=1e-12)
    predictor = Predictor.load(tmp_path / "first")
    recorded = run.run_file().recordings.orientation_detector
    assert {
        name: tuple(values) for name, values in predictor.detector.to_plain().items()
    } == recorded
    findings = check_input_for(predictor, sequences.select(their_idx[:1]))
    assert not any(finding.severity == "warning" for finding in findings)


def test_in_a_folder_of_parts_the_same_devices_are_corrected(rotated_watch, tmp_path):
    """Features and frames to the last bit; without the correction others, under another key."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for (subject,), rows in pl.read_parquet(rotated_watch).group_by("subject"):
        rows.write_parquet(folder / f"{subject}.parquet")
    made = {}
    for name, config in (
        ("one file", tiny_config(rotated_watch)),
        ("parts", tiny_config(folder)),
        ("not corrected", tiny_config(folder, "data.turn_reversed=false")),
    ):
        made[name] = load_dataset(config)
        checked = CheckedFolder(tmp_path / "run")
        made[name].open_features(checked, lambda: None)
        made[name].open_frames(checked, lambda: None)
    one, many, raw = made.values()
    assert many.turned_subjects == one.turned_subjects == ("SUBJ_W05",)
    assert raw.turned_subjects == ()
    assert many.fit_orientation_detector() == one.fit_orientation_detector() != {}
    order_idx = [
        one.catalogue.sequence_ids.tolist().index(name) for name in many.catalogue.sequence_ids
    ]
    np.testing.assert_array_equal(many.features.values_NF, one.features.values_NF[order_idx])
    assert len({dataset.feature_key for dataset in made.values()}) == 3
    rows_T = np.concatenate(
        [np.arange(*one.catalogue.offsets[[place, place + 1]]) for place in order_idx]
    )
    np.testing.assert_array_equal(many.frames.values_TC, one.frames.values_TC[rows_T])
    theirs_T = np.repeat(many.subjects == "SUBJ_W05", many.catalogue.lengths_N)
    is_same_T = (many.frames.values_TC == raw.frames.values_TC).all(axis=1)
    assert is_same_T[~theirs_T].all()
    assert not is_same_T[theirs_T].any()
