"""The checks of a run's recordings: device orientation, hands, units, ranges, duplicates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import make_demographics, make_table
from trainer.data import sources
from trainer.data.device_orientation import HALF_TURNS
from trainer.data.quality import contents, presence, quaternions, reversed_devices, values
from trainer.data.quality.acceleration import check_acceleration
from trainer.data.quality.checks import check_recordings
from trainer.data.quality.findings import warnings

ASL = Path(__file__).parents[5] / "shared" / "data" / "asl.parquet"  # no licence: not shipped


@pytest.fixture(scope="module")
def watch():
    """The real recordings that ship with the project: 10 subjects, 7 gestures."""
    return sources.load("watch")


def rotated(sequences, subject, factors):
    """Rotate one subject's device: its acceleration's axes times the factors."""
    is_theirs_T = np.repeat(sequences.subjects == subject, sequences.lengths_N)
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[is_theirs_T] *= np.float32(factors)
    return dataclasses.replace(sequences, acc_T3=acc_T3)


def looks_reversed(sequences):
    table = reversed_devices.device_orientations(sequences)
    found = table.filter(device_orientation=reversed_devices.REVERSED)
    return found.select("subject", "best_rotation").rows()


def look(check):
    """Return the lines of a check's warnings."""
    return [finding.line for finding in warnings(check.findings)]


def read(table, people=None):
    return sources.sequences_from_table(table, people)


@pytest.mark.parametrize("axis", HALF_TURNS)
def test_each_rotated_subject_of_the_real_recordings_is_found_and_no_other(watch, axis):
    """All ten subjects, one after the other, rotated by 180 degrees about each axis."""
    assert looks_reversed(watch) == []
    for subject in np.unique(watch.subjects):
        found = looks_reversed(rotated(watch, subject, HALF_TURNS[axis]))
        assert found == [(subject, f"180° about {axis}")]


@pytest.mark.skipif(not ASL.exists(), reason="these recordings have no licence to ship")
def test_the_two_reversed_arm_bands_are_found():
    """Real recordings of 27 people, unchanged."""
    assert looks_reversed(sources.load(str(ASL))) == [
        ("DM25", "180° about z"),
        ("DM02", "180° about z"),
    ]


def test_the_check_names_the_subjects_with_a_reversed_device(watch):
    """With the distance before and after the rotation, and what is done about it."""
    check = reversed_devices.check_device_orientation(rotated(watch, "SUBJ_W05", HALF_TURNS["z"]))
    assert check.state == "look"
    first, second, third = look(check)
    assert first == "the device looks reversed for 1 of 10 subjects"
    assert second.startswith("subject SUBJ_W05: 180° about z fits better, 0.")
    assert third == "corrected for the models by default: SUBJ_W05"
    assert reversed_devices.check_device_orientation(watch).state == "fine"


def test_three_subjects_are_too_few_to_compare_device_orientations():
    """The usual orientation is not known."""
    check = reversed_devices.check_device_orientation(read(make_table(num_subjects=3, length=8)))
    assert check.state == "unknown"
    assert check.findings[0].line == "at least 4 subjects are needed for a comparison"


def test_a_left_hander_is_mirrored_before_being_compared(watch):
    """A mirrored wrist of a known left-hander is like the others, not reversed."""
    lefty = rotated(watch, "SUBJ_W03", [-1, 1, 1])
    hands_N = np.where(watch.subjects == "SUBJ_W03", 0, 1).astype(np.float32)
    before = reversed_devices.device_orientations(watch).filter(subject="SUBJ_W03")
    after = reversed_devices.device_orientations(dataclasses.replace(lefty, right_handed_N=hands_N))
    after = after.filter(subject="SUBJ_W03")
    assert after["distance_as_recorded"][0] == pytest.approx(before["distance_as_recorded"][0])


def test_left_handers_are_named():
    """From the demographics; without them nothing is guessed."""
    table = make_table(num_subjects=4, length=8)
    check = presence.check_hands(read(table, make_demographics(table, ("SUBJ_000002",))))
    assert check.state == "fine"
    assert [finding.line for finding in check.findings] == [
        "SEQ_000016: left hand in 8 of 32 sequences (SUBJ_000002)"
    ]
    assert presence.check_hands(read(table)).state == "unknown"


def test_subjects_without_a_row_in_the_demographics_are_a_warning():
    """The hand of others is known, so the row seems to have been forgotten."""
    table = make_table(num_subjects=2, length=8)
    people = make_demographics(table).filter(pl.col("subject") != "SUBJ_000001")
    check = presence.check_hands(read(table, people))
    assert check.state == "look"
    assert look(check) == [
        "SEQ_000008: the hand is not known in 8 of 16 sequences (SUBJ_000001); "
        "taken for a right hand"
    ]


def test_the_unit_of_the_acceleration_is_derived(watch):
    """In m/s2 as in the schema, in g, and with gravity removed."""
    assert check_acceleration(watch).findings[0].what == (
        "the acceleration is in m/s2 and includes gravity"
    )
    in_g = dataclasses.replace(watch, acc_T3=watch.acc_T3 / 9.81)
    assert "seems to be in g, not m/s2" in look(check_acceleration(in_g))[0]
    starts = watch.offsets[:-1]
    means_N3 = np.add.reduceat(watch.acc_T3, starts) / watch.lengths_N[:, None]
    without = watch.acc_T3 - np.repeat(means_N3, watch.lengths_N, axis=0)
    removed = check_acceleration(dataclasses.replace(watch, acc_T3=without.astype(np.float32)))
    assert removed.state == "look"
    assert any("gravity seems to have been removed" in line for line in look(removed))


def test_quaternions_that_are_no_rotations_are_counted(watch):
    """Of length 2, of length 0, and none at all."""
    (finding,) = quaternions.check_quaternion_lengths(watch).findings
    assert finding.what == "all 44,640 orientations are unit quaternions"
    rot_T4 = watch.rot_T4.copy()
    rot_T4[:10] *= 2
    rot_T4[10:13] = 0
    check = quaternions.check_quaternion_lengths(dataclasses.replace(watch, rot_T4=rot_T4))
    assert check.state == "look"
    assert check.findings[0].got == "0 to 2 in 13 of 44,640 rows, 3 of them missing"
    assert check.table["time_steps"].sum() == 44_640
    assert quaternions.check_quaternion_lengths(watch.without(["rot"])).state == "unknown"


def test_an_absurd_quaternion_does_not_make_a_million_bars(watch):
    """The last bar has all that are longer."""
    rot_T4 = watch.rot_T4.copy()
    rot_T4[0] = 1e6
    changed = dataclasses.replace(watch, rot_T4=rot_T4)
    counts = quaternions.check_quaternion_lengths(changed).table
    assert (len(counts), counts["time_steps"][-1]) == (100, 1)


def test_a_quaternion_with_w_last_disagrees_with_the_acceleration(watch):
    """A frequent error: it is the order of the parts in scipy."""
    assert quaternions.check_agreement(watch).state == "fine"
    swapped = dataclasses.replace(watch, rot_T4=np.roll(watch.rot_T4, -1, axis=1))
    assert quaternions.check_agreement(swapped).state == "look"
    assert quaternions.check_agreement(watch.without(["rot"])).state == "unknown"


def test_a_channel_with_values_out_of_range_is_named():
    """A thermopile at 80 degrees; -1 of a time-of-flight pixel is in range."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=10)
    assert values.check_ranges(read(table)).state == "fine"
    hot = table.with_columns(thm_4=pl.lit(80.0))
    check = values.check_ranges(read(hot))
    assert look(check) == [
        "thm_4: values out of range in all 4 sequences: expected 18 to 40 degrees Celsius, got 80 "
        "to 80"
    ]
    outside = check.table.select("channel", "outside").filter(pl.col("outside") > 0)
    assert (len(check.table), outside.rows()) == (17, [("thm_4", 1.0)])


def test_a_channel_that_never_changes_is_found_in_its_sequence():
    """Missing values and short sequences do not count."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=12, groups=("acc", "thm"))
    is_second = pl.col("sequence_id") == "SEQ_000001"
    table = table.with_columns(
        thm_2=pl.when(is_second).then(30.0).otherwise(pl.col("thm_2")),
        thm_3=pl.when(is_second).then(None).otherwise(pl.col("thm_3")),
    )
    check = values.check_stuck_channels(read(table))
    assert check.table.rows() == [("SEQ_000001", "SUBJ_000000", "thm_2", 30.0)]
    short = make_table(num_subjects=1, sequences_per_subject=4, length=4).with_columns(thm_2=30.0)
    assert not any("thm_2" in line for line in look(values.check_stuck_channels(read(short))))


def test_a_copy_under_another_subject_is_found():
    """It can be in training and validation at once."""
    table = make_table(num_subjects=2, sequences_per_subject=4, length=8)
    assert contents.check_duplicates(read(table)).findings[0].line == "all 8 sequences differ"
    copy = table.filter(sequence_id="SEQ_000001").with_columns(
        sequence_id=pl.lit("SEQ_000099"), subject=pl.lit("SUBJ_000001")
    )
    check = contents.check_duplicates(read(pl.concat([table, copy])))
    assert look(check) == [
        "1 of 9 sequences are copies of another one; 2 under several subjects or gestures"
    ]
    assert check.table["copy_of"].to_list() == ["SEQ_000001", "SEQ_000001"]


def test_a_sequence_without_its_gesture_is_found():
    """As SEQ_011975 of the competition, which has no such phase."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=8)
    assert contents.check_phases(read(table)).state == "fine"
    is_third = pl.col("sequence_id") == "SEQ_000002"
    phase = pl.when(is_third).then(pl.lit("Transition")).otherwise(pl.col("phase"))
    check = contents.check_phases(read(table.with_columns(phase=phase)))
    assert look(check) == ["no time step of the gesture in 1 of 4 sequences: SEQ_000002"]
    assert contents.check_phases(read(table.drop("phase"))).state == "unknown"


def test_unlabelled_recordings_without_subjects_can_be_checked():
    """Only their values are known."""
    table = make_table(num_subjects=2, sequences_per_subject=2, length=12, labelled=False)
    found = check_recordings(read(table.drop("subject")))
    assert [check.state for check in found][:2] == ["unknown", "unknown"]
