"""The input check: what recordings contain and what makes a prediction for them doubtful."""

import dataclasses

import numpy as np
import pytest

from tests.support.builders import make_demographics, make_table
from tests.support.fresh_python import modules_after
from trainer.data.preprocess import preprocess
from trainer.data.quality.checks import check_input
from trainer.data.quality.findings import warnings
from trainer.data.sources import load, sequences_from_table
from trainer.explain.training import Training
from trainer.features.feature_table import build_table

REVERSED = "the device orientation may be reversed"


@pytest.fixture
def sequences():
    """Four sequences of 24 to 36 steps with all sensors; the orientation turns about all axes."""
    made = sequences_from_table(make_table(num_subjects=1, sequences_per_subject=4, labelled=False))
    random = np.random.default_rng(0)
    rot_T4 = made.rot_T4 + random.normal(0, 0.02, made.rot_T4.shape).astype(np.float32)
    rot_T4 /= np.linalg.norm(rot_T4, axis=1, keepdims=True)
    return dataclasses.replace(made, rot_T4=rot_T4)


def changed(sequences, group, sequence=None, column=None, **change):
    """Return the sequences with ``scale``, ``add`` or ``value`` applied to a part of a group."""
    field = {"acc": "acc_T3", "rot": "rot_T4", "thm": "thm_T5", "tof": "tof_T320"}[group]
    values = getattr(sequences, field).copy()
    rows = slice(None) if sequence is None else slice(*sequences.offsets[sequence : sequence + 2])
    columns = slice(None) if column is None else column
    part = values[rows, columns] * change.get("scale", 1) + change.get("add", 0)
    values[rows, columns] = change.get("value", part)
    return dataclasses.replace(sequences, **{field: values})


def lines(findings, severity="warning"):
    return [finding.line for finding in findings if finding.severity == severity]


def test_a_good_recording_has_no_warning(sequences):
    """Notes describe it: rows, sensors, units, ranges."""
    findings = check_input(sequences)
    assert lines(findings) == []
    notes = lines(findings, "note")
    rows = int(sequences.offsets[-1])
    low, high = sequences.lengths_N.min(), sequences.lengths_N.max()
    assert notes[0] == f"recordings: 4 sequences, {rows} rows, {low} to {high} rows each"
    assert "acc: acceleration present: every value" in notes
    assert f"rot: all {rows} orientations are unit quaternions: a mean length of 1.000" in notes
    assert "the hand is not known in all 4 sequences; taken for a right hand" in notes
    assert any(note.startswith("tof_3: nothing in range: expected about 57 %") for note in notes)


@pytest.mark.parametrize(
    ("scale", "text"),
    [
        (1 / 9.81, "the acceleration seems to be in g, not m/s2; multiply it by 9.81"),
        (1000 / 9.81, "the acceleration seems to be in thousandths of g; multiply it by 0.00981"),
        (10, "the acceleration is stronger than a hand's; check its unit"),
    ],
)
def test_the_unit_of_the_acceleration_is_derived_from_gravity(sequences, scale, text):
    """Its length is about 9.81 in m/s2, about 1 in g."""
    (finding,) = warnings(check_input(changed(sequences, "acc", scale=np.float32(scale))))
    assert finding.what == f"{text} (all 4 sequences)"
    assert finding.expected == "a median length near 9.81 m/s2"
    assert finding.sequence_id is None


def test_an_acceleration_without_gravity_is_found_in_its_sequence(sequences):
    """It returns to zero, which an acceleration with gravity never does."""
    random = np.random.default_rng(1)
    rows = sequences.lengths_N[2]
    free = random.normal(0, 0.8, (rows, 3)).astype(np.float32)
    (finding,) = warnings(check_input(changed(sequences, "acc", sequence=2, value=free)))
    assert finding.what.startswith("gravity seems to have been removed")
    assert "(1 of 4 sequences)" in finding.what
    assert finding.sequence_id == "SEQ_000002"


def test_missing_values_are_reported_with_their_share(sequences):
    """Half a sequence without acceleration is a warning, an absent sensor a note."""
    stop = int(sequences.lengths_N[0]) // 2
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[:stop] = np.nan
    holes = dataclasses.replace(sequences, acc_T3=acc_T3).without(["thm"])
    findings = check_input(holes)
    (finding,) = warnings(findings)
    assert finding.what == "much of the acceleration is missing in 1 of 4 sequences"
    assert (finding.expected, finding.sequence_id) == ("at most 2% of the values", "SEQ_000000")
    assert "thm: no thermopiles in the recording" in lines(findings, "note")


def test_a_sensor_that_some_sequences_lack_is_named(sequences):
    """With the first affected sequence."""
    findings = check_input(changed(sequences, "tof", sequence=3, value=np.nan))
    assert "SEQ_000003, tof: no time of flight in 1 of 4 sequences" in lines(findings, "note")


def test_quaternions_that_are_no_rotations_are_a_warning(sequences):
    """With the number of those that are so short that they count as missing."""
    (finding,) = warnings(check_input(changed(sequences, "rot", sequence=1, scale=np.float32(0.1))))
    assert finding.what.startswith("not all orientations are unit quaternions (1 of 4 sequences)")
    assert finding.expected == "a length of 1"
    assert finding.sequence_id == "SEQ_000001"


def test_a_channel_that_is_stuck_is_named(sequences):
    """A thermopile that never changes in one sequence."""
    stuck = changed(sequences, "thm", sequence=2, column=3, value=30.0)
    assert lines(check_input(stuck)) == [
        "SEQ_000002, thm_4: the channel never changes in 1 of 4 sequences: expected values that "
        "vary, got 30 throughout"
    ]


def test_a_clipped_axis_is_a_warning(sequences):
    """Four rows in a row at the largest value; across two sequences they are no run."""
    start = int(sequences.offsets[1])
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[start - 2 : start + 2, 0] = 19.61
    assert lines(check_input(dataclasses.replace(sequences, acc_T3=acc_T3))) == []
    acc_T3[start : start + 4, 0] = -19.61
    (finding,) = warnings(check_input(dataclasses.replace(sequences, acc_T3=acc_T3)))
    assert (finding.channel, finding.sequence_id) == ("acc_x", "SEQ_000001")
    assert finding.got == "4 rows or more in a row at 19.61 m/s2"


def test_implausible_temperatures_and_ranges_are_named(sequences):
    """Such as kelvin and millimetres."""
    kelvin = changed(sequences, "thm", column=0, add=np.float32(273.15))
    (finding,) = warnings(check_input(kelvin))
    assert (finding.channel, finding.expected) == ("thm_1", "18 to 40 degrees Celsius")
    far = changed(sequences, "tof", column=slice(64, 128), value=1200.0)
    (finding,) = warnings(check_input(far))
    assert (finding.channel, finding.got) == ("tof_2", "1200 to 1200")


def test_a_time_of_flight_sensor_with_nothing_in_range_is_a_warning(sequences):
    """One without any value is a note."""
    blind = changed(sequences, "tof", column=slice(0, 64), value=-1.0)
    (finding,) = warnings(check_input(blind))
    assert (finding.channel, finding.got) == ("tof_1", "100%")
    silent = changed(sequences, "tof", column=slice(256, 320), value=np.nan)
    assert "tof_5: the sensor has no values" in lines(check_input(silent), "note")


def test_a_left_hand_is_a_note(sequences):
    """It states that the hand is mirrored, where the run does so."""
    table = make_table(num_subjects=1, sequences_per_subject=1, labelled=False)
    left = sequences_from_table(table, make_demographics(table, left_handers=["SUBJ_000000"]))
    mirrored = "SEQ_000000: left hand in the sequence, mirrored for the models"
    assert mirrored in lines(check_input(left), "note")
    as_it_is = "SEQ_000000: left hand in the sequence, used as recorded"
    assert as_it_is in lines(check_input(left, mirror_left_handers=False), "note")


# Against the training data


@pytest.fixture(scope="module")
def training(tiny_run):
    return Training.load(tiny_run).summary


def test_recordings_as_long_as_the_training_data_are_a_note(tiny_source, training):
    """Here the training data itself."""
    notes = lines(check_input(load(str(tiny_source)), training), "note")
    lengths = training.lengths_M
    span = f"{lengths.min():.0f} to {lengths.max():.0f}"
    middle = f"{np.percentile(lengths, 50):.0f}"
    assert (
        f"as long as training sequences: expected {span} rows, {middle} in the median, got {span}"
    ) in notes


def test_an_unusual_length_is_a_warning(training):
    """Shorter than any training sequence."""
    short = sequences_from_table(
        make_table(num_subjects=1, sequences_per_subject=1, length=4, labelled=False)
    )
    assert any(
        "shorter than any training sequence (the sequence)" in line
        for line in lines(check_input(short, training))
    )


def test_a_reversed_device_is_a_warning(tiny_source, training):
    """Rotated by 180 degrees about z, as two devices of the competition (facts 3.1)."""
    recorded = load(str(tiny_source))
    mean_acc_M3 = training.mean_acc_M3.copy()
    mean_acc_M3[:, 0] = 6.0
    tilted = dataclasses.replace(training, mean_acc_M3=mean_acc_M3)
    usual = dataclasses.replace(recorded, acc_T3=recorded.acc_T3 + np.float32([6, 0, 0]))
    rotated = dataclasses.replace(usual, acc_T3=usual.acc_T3 * np.float32([-1, -1, 1]))
    assert not any(REVERSED in line for line in lines(check_input(usual, tilted)))
    (finding,) = [f for f in warnings(check_input(rotated, tilted)) if REVERSED in f.what]
    assert finding.channel == "acc"
    assert "within" in finding.expected and "rotated" in finding.got


def test_recordings_of_the_training_itself_do_not_look_reversed():
    """Real recordings, each checked alone: hardly any does; rotated by 180 degrees, most do."""
    watch = load("watch")
    table = build_table(preprocess(watch))
    known = Training(table, watch.label_idx, watch.subjects, watch.sequence_ids).summary
    rotated = dataclasses.replace(watch, acc_T3=watch.acc_T3 * np.float32([-1, -1, 1]))

    def num_reversed(recordings):
        singles = (recordings.select(np.array([n])) for n in range(0, watch.num_sequences, 12))
        return sum(
            any(REVERSED in line for line in lines(check_input(one, known))) for one in singles
        )

    assert num_reversed(watch) <= 1  # of 62
    assert num_reversed(rotated) >= 40


def test_the_input_check_needs_no_model_library():
    """It is shown before torch or LightGBM is loaded."""
    names = ("torch", "lightgbm", "sklearn")
    assert modules_after("import trainer.explain.input_check", names) == []
