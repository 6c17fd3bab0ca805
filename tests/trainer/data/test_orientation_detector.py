"""The orientation detector: devices of people who were not in the training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.detectors import BELOW_ZERO
from tests.support.tiny_runs import tiny_config
from trainer.data import sources
from trainer.data.device_orientation import rotate
from trainer.data.orientation_detector import (
    CLIP,
    NUM_FEATURES,
    OrientationDetector,
    decide_orientation,
    fit_detector,
    note_turned,
    odd_features,
)
from trainer.data.preprocess import mirror
from trainer.plain_data import DamagedDataError
from trainer.run.inputs.recordings import load_dataset


@pytest.fixture(scope="module")
def watch():
    """Real recordings of ten people, all with the same device orientation."""
    return sources.load("watch")


def all_rotated(sequences):
    return rotate(sequences, np.ones(sequences.num_sequences, dtype=bool))


def fit(sequences):
    return fit_detector(odd_features(sequences), sequences.subjects, sequences.label_idx)


def split(sequences, others):
    """Return the recordings of some subjects, and a detector fitted on all others."""
    is_other_N = np.isin(sequences.subjects, others)
    theirs = sequences.select(np.flatnonzero(is_other_N))
    return theirs, fit(sequences.select(np.flatnonzero(~is_other_N)))


def left_out(sequences):
    """Yield pairs of subjects' recordings, and a detector that was fitted without the pair."""
    names = np.unique(sequences.subjects)
    for first in range(0, len(names), 2):
        yield split(sequences, names[first : first + 2])


def test_the_features_and_the_log_odds_only_change_their_sign(watch):
    """Up to the order in which a processor adds numbers, also with missing rows."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[::7, 1] = np.nan
    acc_T3[: watch.offsets[1]] = np.nan
    holes = dataclasses.replace(watch, acc_T3=acc_T3)
    usual, rotated = odd_features(holes), odd_features(all_rotated(holes))
    assert usual.shape == (744, NUM_FEATURES)
    np.testing.assert_allclose(rotated, -usual, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(usual[0], np.zeros(NUM_FEATURES))
    detector = fit(watch)
    log_odds_N = detector.log_odds(usual)
    np.testing.assert_allclose(detector.log_odds(rotated), -log_odds_N, rtol=1e-9, atol=1e-9)


def test_a_left_wrist_has_the_features_of_its_mirror_image(watch):
    """Mirrored recordings of left-handers are the recordings of right-handers."""
    left = dataclasses.replace(mirror(watch), right_handed_N=np.zeros(744, np.float32))
    np.testing.assert_array_equal(odd_features(left), odd_features(watch))


def test_every_left_out_subject_of_real_recordings_is_found_when_rotated_and_only_then(watch):
    """All ten, by detectors that were fitted on the eight others."""
    for theirs, detector in left_out(watch):
        assert not detector.find_rotated(theirs).any()
        assert detector.find_rotated(all_rotated(theirs)).all()


def test_single_recordings_are_found_only_where_they_are_clear(watch):
    """Less than 0.5 % of those as worn look rotated; of the rotated ones a third or more do."""
    false, found = [], []
    for theirs, detector in left_out(watch):
        alone = dataclasses.replace(theirs, subjects=None)
        false.append(detector.find_rotated(alone))
        found.append(detector.find_rotated(all_rotated(alone)))
    assert np.concatenate(false).mean() < 0.005
    assert np.concatenate(found).mean() > 1 / 3


def test_without_a_usual_orientation_nothing_is_rotated():
    """Half of the recordings point one way, half the other, whoever makes them."""
    rng = np.random.default_rng(0)
    subjects, label_idx = np.repeat(list("abcdefghij"), 60), np.tile(np.arange(6), 100)
    features_NF = rng.normal(size=(600, NUM_FEATURES))
    detector = fit_detector(features_NF, subjects, label_idx)
    new_NF = rng.normal(size=(600, NUM_FEATURES))
    assert (np.abs(detector.log_odds(new_NF)) < detector.threshold).all()


@pytest.mark.parametrize(("num_subjects", "num_each"), [(7, 60), (8, 49)])
def test_there_is_no_detector_of_few_subjects_or_recordings(num_subjects, num_each):
    """A share of 0.25 % cannot be validated on them."""
    subjects = np.repeat(np.arange(num_subjects).astype(str), num_each)
    features_NF = np.ones((len(subjects), NUM_FEATURES))
    assert fit_detector(features_NF, subjects, np.zeros(len(subjects), np.int64)) is None


def test_all_recordings_of_a_subject_are_decided_together(watch):
    """By their mean: three clear ones carry a fourth; alone it stays."""
    detector = OrientationDetector.from_plain(BELOW_ZERO)
    four = watch.select(np.arange(4))
    acc_T3 = np.repeat(np.array([-9.0, -9.0, -9.0, 0.5]), four.lengths_N)[:, None] * [1.0, 0.0, 0.0]
    four = dataclasses.replace(four, acc_T3=acc_T3.astype(np.float32), subjects=np.array(["a"] * 4))
    mean = (-3 * CLIP + 0.5 / 9.81 / 0.1) / 4 * 10.0
    assert mean < -detector.threshold
    assert detector.find_rotated(four).tolist() == [True] * 4
    apart = dataclasses.replace(four, subjects=np.array(["a", "a", "a", "b"]))
    assert detector.find_rotated(apart).tolist() == [True, True, True, False]
    unknown = dataclasses.replace(four, subjects=None)
    assert detector.find_rotated(unknown).tolist() == [True, True, True, False]


def test_a_decision_is_kept_and_travels_with_the_recording(watch):
    """Subjects of the training by name, others by the detector; none as worn."""
    few = watch.select(np.unique(watch.subjects, return_index=True)[1][:3])
    name = str(few.subjects[1])
    assert decide_orientation(few, (), None).turned_N.tolist() == [False] * 3
    by_name = decide_orientation(few, (name,), None)
    assert by_name.turned_N.tolist() == [False, True, False]
    assert by_name.select(np.array([1])).turned_N.tolist() == [True]
    assert decide_orientation(by_name, (), None, as_worn=True) is by_name
    assert note_turned(by_name) == (
        "1 of 3 recordings looks rotated by 180 degrees about z (device reversed): "
        "corrected before prediction",
    )
    as_worn = decide_orientation(few, (name,), fit(watch), as_worn=True)
    assert (as_worn.turned_N.any(), note_turned(as_worn), note_turned(few)) == (False, (), ())


def test_the_numbers_of_a_file_are_the_detector(watch):
    """There and back, from lists and from the tuples of a record; no numbers are no detector."""
    packed = fit(watch).to_plain()
    for again in (packed, {name: tuple(numbers) for name, numbers in packed.items()}):
        assert OrientationDetector.from_plain(again).to_plain() == packed
    assert OrientationDetector.from_plain({}) is None


def test_a_detector_of_other_features_is_not_used():
    """A later version of the project may compute others; its runs then correct as earlier ones."""
    other = {"version": [2.0], "weights": [1.0]}
    assert OrientationDetector.from_plain(other) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": ["x"]}, "version: expected float, got a str"),
        ({"weights": [1.0]}, "weights: expected 28 numbers, got 1"),
        ({"weights": None}, "weights: expected list, got nothing"),
        ({"weights": ["1"] * 28}, "weights: expected float, got a str"),
        ({"weights": [float("nan")] * 28}, "weights: expected -1e\\+100 to 1e\\+100, got nan"),
        ({"scales": [0.0] * 28}, "scales: expected 1e-09 to 1e\\+100, got 0"),
        ({"thresholds": [-1.0, 1.0]}, "thresholds: expected 0 to 1e\\+100, got -1"),
        ({"thresholds": [1.0]}, "thresholds: expected 2 numbers, got 1"),
    ],
)
def test_numbers_that_no_version_writes_are_refused(changes, message):
    """The message names the part."""
    with pytest.raises(DamagedDataError, match=f"orientation_detector: {message}"):
        OrientationDetector.from_plain(BELOW_ZERO | changes)


def test_a_run_that_does_not_correct_devices_has_no_detector(tmp_path):
    """The setting data.turn_reversed."""
    numbers = load_dataset(tiny_config("watch")).fit_orientation_detector()
    assert len(numbers["weights"]) == NUM_FEATURES
    off = load_dataset(tiny_config("watch", "data.turn_reversed=false"))
    assert off.fit_orientation_detector() == {}
