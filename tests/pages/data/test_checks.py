"""The checks of recordings behind the Data page: who looks reversed, units, ranges, copies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pages.ui.data import chart_titles, checks, checks_values, orientation_table
from pages.ui.shared import recordings
from tests.support.builders import make_demographics, make_table
from trainer.data import measures, sources

ASL = Path(__file__).parents[4] / "shared" / "data" / "asl.parquet"  # no licence: not shipped


@pytest.fixture(scope="module")
def watch():
    """The real recordings that ship with the project: 10 subjects, 7 gestures."""
    return sources.load("watch")


def turned(sequences, subject, factors):
    """Turn one subject's device: its acceleration's axes times the factors."""
    is_theirs_T = np.repeat(sequences.subjects == subject, sequences.lengths_N)
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[is_theirs_T] *= np.float32(factors)
    return dataclasses.replace(sequences, acc_T3=acc_T3)


def looks_reversed(sequences):
    table = orientation_table.worn_directions(sequences)
    return table.filter(derived=orientation_table.REVERSED).select("subject", "best_turn").rows()


def read(table, people=None):
    return sources.sequences_from_table(table, people)


@pytest.mark.parametrize("axis", measures.TURNS)
def test_each_turned_subject_of_the_real_recordings_is_found_and_nobody_else(watch, axis):
    """All ten subjects, one after the other, with a half turn about each axis."""
    assert looks_reversed(watch) == []
    for subject in np.unique(watch.subjects):
        found = looks_reversed(turned(watch, subject, measures.TURNS[axis]))
        assert found == [(subject, f"180° about {axis}")]


@pytest.mark.skipif(not ASL.exists(), reason="these recordings have no licence to ship")
def test_the_two_who_wear_an_arm_band_the_other_way_round_are_found():
    """Real recordings of 27 people that nobody has turned."""
    assert looks_reversed(sources.load(str(ASL))) == [
        ("DM25", "180° about z"),
        ("DM02", "180° about z"),
    ]


def test_the_check_names_who_looks_reversed(watch):
    """With the distance before and after the turn."""
    check = checks.reversed_devices(turned(watch, "SUBJ_W05", measures.TURNS["z"]))
    assert check.derived == "look"
    assert check.finding.startswith(
        "1 of 10 subjects look reversed. SUBJ_W05: 180° about z fits better, 0."
    )
    assert checks.reversed_devices(watch).derived == "fine"


def test_three_subjects_are_too_few_to_tell_who_is_reversed():
    """Nobody knows who of them is the odd one out."""
    check = checks.reversed_devices(read(make_table(num_subjects=3, length=8)))
    assert check.derived == "unknown"
    assert check.finding == "Needs at least 4 subjects to tell who is different."


def test_a_left_hander_is_mirrored_before_being_compared(watch):
    """A mirrored wrist of a known left-hander is like the others, not reversed."""
    lefty = turned(watch, "SUBJ_W03", [-1, 1, 1])
    hands_N = np.where(watch.subjects == "SUBJ_W03", 0, 1).astype(np.float32)
    before = orientation_table.worn_directions(watch).filter(subject="SUBJ_W03")
    after = orientation_table.worn_directions(dataclasses.replace(lefty, right_handed_N=hands_N))
    after = after.filter(subject="SUBJ_W03")
    assert after["distance_as_recorded"][0] == pytest.approx(before["distance_as_recorded"][0])


def test_left_handers_are_named():
    """From the demographics; without them nothing is guessed."""
    table = make_table(num_subjects=4, length=8)
    check = checks.hands(read(table, make_demographics(table, ("SUBJ_000002",))))
    assert (check.derived, check.finding) == (
        "fine",
        "1 of 4 subjects are left-handed: SUBJ_000002.",
    )
    assert checks.hands(read(table)).derived == "unknown"


def test_the_unit_of_the_acceleration_is_told(watch):
    """As the schema has it, in g, and with gravity removed."""
    assert checks.gravity(watch).finding.endswith("metres per second squared, gravity included.")
    in_g = dataclasses.replace(watch, acc_T3=watch.acc_T3 / 9.81)
    assert "it looks like g, not m/s²" in checks.gravity(in_g).finding
    starts = watch.offsets[:-1]
    means_N3 = np.add.reduceat(watch.acc_T3, starts) / watch.lengths_N[:, None]
    without = watch.acc_T3 - np.repeat(means_N3, watch.lengths_N, axis=0)
    removed = checks.gravity(dataclasses.replace(watch, acc_T3=without.astype(np.float32)))
    assert (removed.derived, "gravity looks removed" in removed.finding) == ("look", True)


def test_quaternions_that_are_no_rotations_are_counted(watch):
    """Of length 2, of length 0, and none at all."""
    assert checks.orientation_length(watch).finding == "All 44,640 orientations have length 1."
    rot_T4 = watch.rot_T4.copy()
    rot_T4[:10] *= 2
    rot_T4[10:13] = 0
    check = checks.orientation_length(dataclasses.replace(watch, rot_T4=rot_T4))
    assert check.derived == "look"
    assert check.finding == "13 of 44,640 orientations are off 1, 3 of them too short."
    assert check.table["time_steps"].sum() == 44_640
    assert checks.orientation_length(watch.without(["rot"])).derived == "unknown"


def test_an_absurd_quaternion_does_not_make_a_million_bars(watch):
    """The last bar takes all beyond."""
    rot_T4 = watch.rot_T4.copy()
    rot_T4[0] = 1e6
    counts = recordings.norm_counts(dataclasses.replace(watch, rot_T4=rot_T4))
    assert (len(counts), counts["time_steps"][-1]) == (100, 1)


def test_a_quaternion_with_w_last_disagrees_with_the_acceleration(watch):
    """scipy's order of the parts is the usual mistake."""
    assert checks.orientation_agrees(watch).derived == "fine"
    swapped = dataclasses.replace(watch, rot_T4=np.roll(watch.rot_T4, -1, axis=1))
    assert checks.orientation_agrees(swapped).derived == "look"
    assert checks.orientation_agrees(watch.without(["rot"])).derived == "unknown"


def test_values_out_of_range_name_the_worst_channel():
    """A thermopile at 80 degrees; -1 of a time-of-flight pixel is in range."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=10)
    assert checks_values.ranges(read(table)).derived == "fine"
    hot = table.with_columns(thm_4=pl.lit(80.0))
    check = checks_values.ranges(read(hot))
    assert check.finding == (
        "1 of 17 channels have values out of range, most of all thm_4: 100 % of its values, "
        "80 to 80."
    )


def test_a_channel_that_never_moves_is_found_in_its_sequence():
    """Missing all along is not standing still, and short sequences do not count."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=12, groups=("acc", "thm"))
    is_second = pl.col("sequence_id") == "SEQ_000001"
    table = table.with_columns(
        thm_2=pl.when(is_second).then(30.0).otherwise(pl.col("thm_2")),
        thm_3=pl.when(is_second).then(None).otherwise(pl.col("thm_3")),
    )
    check = checks_values.stuck_channels(read(table))
    assert check.table.rows() == [("SEQ_000001", "SUBJ_000000", "thm_2", 30.0)]
    short = make_table(num_subjects=1, sequences_per_subject=4, length=4).with_columns(thm_2=30.0)
    assert "thm_2" not in checks_values.stuck_channels(read(short)).finding


def test_a_copy_under_another_subject_is_found():
    """It can be in training and validation at once."""
    table = make_table(num_subjects=2, sequences_per_subject=4, length=8)
    assert checks_values.duplicates(read(table)).finding == "All 8 sequences differ."
    copy = table.filter(sequence_id="SEQ_000001").with_columns(
        sequence_id=pl.lit("SEQ_000099"), subject=pl.lit("SUBJ_000001")
    )
    check = checks_values.duplicates(read(pl.concat([table, copy])))
    assert check.finding == (
        "1 of 9 sequences are copies of another one; 2 under several subjects or gestures."
    )
    assert check.table["copy_of"].to_list() == ["SEQ_000001", "SEQ_000001"]


def test_a_sequence_without_its_gesture_is_found():
    """As SEQ_011975 of the competition, which has no such phase."""
    table = make_table(num_subjects=1, sequences_per_subject=4, length=8)
    assert checks_values.phases(read(table)).derived == "fine"
    is_third = pl.col("sequence_id") == "SEQ_000002"
    phase = pl.when(is_third).then(pl.lit("Transition")).otherwise(pl.col("phase"))
    check = checks_values.phases(read(table.with_columns(phase=phase)))
    assert check.finding == "1 of 4 sequences have no step of the gesture: SEQ_000002."
    assert checks_values.phases(read(table.drop("phase"))).derived == "unknown"


def test_missing_values_are_told_of_every_single_sensor():
    """One subject lacks one thermopile; a group that nobody wore has no column."""
    table = make_table(num_subjects=2, sequences_per_subject=4, groups=("acc", "thm"))
    is_first = pl.col("subject") == "SUBJ_000000"
    table = table.with_columns(thm_5=pl.when(is_first).then(None).otherwise(pl.col("thm_5")))
    missing = recordings.missing_by_subject(read(table))
    assert missing.columns == ["subject", "acc", *(f"thm_{i}" for i in range(1, 6))]
    assert missing.row(0) == ("SUBJ_000000", 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert chart_titles.missing(missing) == "Missing most: thm_5 of SUBJ_000000, 100 %"


def test_unlabelled_recordings_without_subjects_can_be_checked():
    """Nothing is known of them but their values."""
    table = make_table(num_subjects=2, sequences_per_subject=2, length=12, labelled=False)
    found = checks_values.all_checks(read(table.drop("subject")))
    assert [check.derived for check in found][:2] == ["unknown", "unknown"]
