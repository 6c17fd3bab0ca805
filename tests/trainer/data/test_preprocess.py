"""trainer.data.preprocess: what the models see of the sensors."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import make_demographics, make_table
from trainer.data.preprocess import MOTION_SIGNALS, preprocess
from trainer.data.sources import load, sequences_from_table

COMPETITION_SAMPLE = Path(__file__).parents[4] / "shared/data/test.csv"


def rotation(axis, angle):
    quaternion = [math.cos(angle / 2), 0.0, 0.0, 0.0]
    quaternion["xyz".index(axis) + 1] = math.sin(angle / 2)
    return quaternion


def one_sequence(acc, rot=None, sequence_id="SEQ_1"):
    columns = {"sequence_id": [sequence_id] * len(acc), "sequence_counter": range(len(acc))}
    columns |= {f"acc_{axis}": [float(row[i]) for row in acc] for i, axis in enumerate("xyz")}
    if rot is not None:
        columns |= {f"rot_{axis}": [row[i] for row in rot] for i, axis in enumerate("wxyz")}
    return pl.DataFrame(columns)


def motion_of(table, *names):
    motion_TS = preprocess(sequences_from_table(table)).motion_TS
    values = motion_TS[:, [MOTION_SIGNALS.index(name) for name in names]]
    return values[:, 0] if len(names) == 1 else values


AXES = ("x", "y", "z")
LINEAR = tuple(f"linear_{axis}" for axis in AXES)
OMEGA = tuple(f"omega_{axis}" for axis in AXES)
ROT = ("rot_w", "rot_x", "rot_y", "rot_z")


def test_gravity_is_removed_through_the_orientation():
    """A watch at rest, turned 90 degrees about x, reads gravity on y; what remains is zero."""
    table = one_sequence([[0, 9.81, 0], [0, 9.81, 2]], [rotation("x", math.pi / 2)] * 2)
    gravity_T3 = motion_of(table, "gravity_x", "gravity_y", "gravity_z")
    np.testing.assert_allclose(gravity_T3, [[0, 1, 0]] * 2, atol=1e-6)
    np.testing.assert_allclose(motion_of(table, *LINEAR), [[0, 0, 0], [0, 0, 2]], atol=1e-5)
    np.testing.assert_allclose(motion_of(table, "linear_norm"), [0, 2], atol=1e-5)


def test_linear_acceleration_is_split_along_and_across_gravity():
    """3 upward and 4 sideways are 3 vertical and 4 horizontal."""
    table = one_sequence([[4, 0, 9.81 + 3]], [rotation("z", 1.0)])
    np.testing.assert_allclose(motion_of(table, "vertical", "horizontal_norm"), [[3, 4]], rtol=1e-5)
    np.testing.assert_allclose(motion_of(table, "acc_norm"), [math.hypot(4, 12.81)], rtol=1e-6)


@pytest.mark.parametrize("axis", AXES)
def test_angular_velocity_is_the_turn_per_step(axis):
    """A turn of 0.1 rad per step gives 0.1 on its axis; the last step repeats the one before."""
    rot = [rotation(axis, 0.1 * step) for step in range(4)]
    omega_T3 = motion_of(one_sequence([[0, 0, 9.81]] * 4, rot), *OMEGA)
    expected = [0.1 * (axis == other) for other in AXES]
    np.testing.assert_allclose(omega_T3, [expected] * 4, atol=1e-6)


def test_angular_velocity_never_spans_two_sequences():
    """Two still sequences of different pose have no turn anywhere; a single step has none."""
    still = [[0, 0, 9.81]] * 2
    table = pl.concat(
        [
            one_sequence(still, [rotation("x", 0.0)] * 2, "A"),
            one_sequence(still, [rotation("x", 1.0)] * 2, "B"),
            one_sequence(still[:1], [rotation("y", 1.0)], "C"),
        ]
    )
    np.testing.assert_allclose(motion_of(table, "omega_norm"), 0, atol=1e-6)


def test_the_sign_of_quaternions_does_not_matter():
    """q and -q are one rotation: whatever the signs, the signals are the same and never jump."""
    table = make_table(num_subjects=2, sequences_per_subject=4, groups=("acc", "rot"))
    signs = pl.Series(np.random.default_rng(0).choice([-1.0, 1.0], len(table)))
    flipped = table.with_columns(pl.col(name) * signs for name in ROT)
    signals = preprocess(sequences_from_table(table))
    np.testing.assert_array_equal(
        preprocess(sequences_from_table(flipped)).motion_TS, signals.motion_TS
    )
    rot_T4 = signals.motion_TS[:, -4:]
    dots = np.einsum("tc,tc->t", rot_T4[1:], rot_T4[:-1])
    assert (np.delete(dots, signals.offsets[1:-1] - 1) > 0).all()
    assert (rot_T4[signals.offsets[:-1], 0] >= 0).all()


def test_a_gap_does_not_break_the_sign():
    """The sign continues from the last known orientation, over missing ones in between."""
    turned = rotation("x", 3.0)
    minus = [-part for part in rotation("x", 3.2)]  # from a device with w >= 0
    table = one_sequence([[0, 0, 9.81]] * 4, [turned, [None] * 4, [None] * 4, minus])
    rot_T4 = motion_of(table, *ROT)
    np.testing.assert_allclose(rot_T4[[0, 3]], [turned, rotation("x", 3.2)], atol=1e-6)
    assert np.isnan(rot_T4[1:3]).all()


@pytest.mark.parametrize("missing", [[0.0] * 4, [0.3, 0.3, 0.2, 0.1], [1.0, None, 0.0, 0.0]])
def test_a_missing_orientation_is_flagged_not_invented(missing):
    """A quaternion of norm below 0.5 or with a part missing gives NaN, in its row only."""
    rot = [rotation("x", 0.2), missing, rotation("x", 0.2), rotation("x", 0.2)]
    table = one_sequence([[0, 0, 9.81]] * 4, rot)
    assert np.isnan(motion_of(table, *ROT, *LINEAR, "vertical")[1]).all()
    assert not np.isnan(motion_of(table, *ROT, *LINEAR, "vertical")[[0, 2, 3]]).any()
    assert np.isnan(motion_of(table, "omega_x")).tolist() == [True, True, False, False]
    np.testing.assert_allclose(motion_of(table, "acc_norm"), [9.81] * 4, rtol=1e-6)


def test_quaternions_are_normalised():
    """A quaternion of length 2 gives the same signals as its unit."""
    table = one_sequence([[1, 2, 3]], [[2.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(motion_of(table, *ROT), [[1, 0, 0, 0]])


def test_without_orientation_only_the_acceleration_is_known():
    """No rot columns: every derived signal is NaN, acc_* are not."""
    table = one_sequence([[3, 0, 4]])
    motion_TS = preprocess(sequences_from_table(table)).motion_TS
    np.testing.assert_array_equal(motion_TS[0, :4], [3, 0, 4, 5])
    assert np.isnan(motion_TS[0, 4:]).all()
    assert motion_TS.dtype == np.float32


def images_of(signals):
    """Return the images of all five sensors as the models see them, (T, 5, 8, 8)."""
    pixels = [signals.sensor_pixels(sensor_idx) for sensor_idx in range(5)]
    return np.stack(pixels).transpose(2, 0, 1).reshape(-1, 5, 8, 8)


def test_a_left_hander_is_mirrored_and_others_are_not():
    """acc_x, rot_y, rot_z change sign, sensors 3 and 5 change places, images flip left-right."""
    table = make_table(num_subjects=2, sequences_per_subject=1)
    demographics = make_demographics(table, left_handers=("SUBJ_000001",))
    plain = sequences_from_table(table)
    sequences = sequences_from_table(table, demographics)
    signals, raw = preprocess(sequences), preprocess(plain)
    first = int(sequences.offsets[1])
    for mirrored, original in (
        (signals.motion_TS, raw.motion_TS),
        (signals.thm_T5, raw.thm_T5),
        (images_of(signals), images_of(raw)),
    ):
        np.testing.assert_array_equal(mirrored[:first], original[:first])
    signs = {"acc_x": -1, "linear_x": -1, "gravity_x": -1, "rot_y": -1, "rot_z": -1}
    signs |= {"omega_y": -1, "omega_z": -1}  # a turn's axis is mirrored the other way round
    expected_S = np.array([signs.get(name, 1) for name in MOTION_SIGNALS])
    np.testing.assert_allclose(
        signals.motion_TS[first:], raw.motion_TS[first:] * expected_S, atol=1e-5
    )
    thm_T5 = plain.thm_T5[first:]
    np.testing.assert_array_equal(signals.thm_T5[first:], thm_T5[:, [0, 1, 4, 3, 2]])
    images, mirrored = plain.tof_T320[first:].reshape(-1, 5, 8, 8), images_of(signals)[first:]
    np.testing.assert_array_equal(mirrored[:, 0], images[:, 0, :, ::-1])
    np.testing.assert_array_equal(mirrored[:, 2], images[:, 4, :, ::-1])
    np.testing.assert_array_equal(mirrored[:, 4], images[:, 2, :, ::-1])


def test_preprocessing_leaves_the_recordings_alone_and_mirrors_on_request_only():
    """The arrays that came in are unchanged; without the setting no hand is mirrored."""
    table = make_table(num_subjects=1, sequences_per_subject=1)
    demographics = make_demographics(table, left_handers=("SUBJ_000000",))
    sequences = sequences_from_table(table, demographics)
    before = sequences.acc_T3.copy(), sequences.rot_T4.copy(), sequences.tof_T320.copy()
    preprocess(sequences)
    np.testing.assert_array_equal(sequences.acc_T3, before[0])
    np.testing.assert_array_equal(sequences.rot_T4, before[1])
    np.testing.assert_array_equal(sequences.tof_T320, before[2])
    off = preprocess(sequences, mirror_left_handers=False)
    np.testing.assert_array_equal(off.motion_TS[:, :3], sequences.acc_T3)
    np.testing.assert_array_equal(images_of(off).reshape(-1, 320), before[2])


def test_the_images_are_not_copied_before_they_are_asked_for_and_a_stretch_shares_them():
    """Signals hold the recordings' own images; a stretch of them mirrors the same people."""
    table = make_table(num_subjects=2, sequences_per_subject=2)
    demographics = make_demographics(table, left_handers=("SUBJ_000001",))
    sequences = sequences_from_table(table, demographics)
    signals = preprocess(sequences)
    assert signals.tof_T320 is sequences.tof_T320
    stretch = signals.stretch(1, 4)
    steps = slice(signals.offsets[1], signals.offsets[4])
    assert stretch.offsets.tolist() == (signals.offsets[1:5] - signals.offsets[1]).tolist()
    assert np.shares_memory(stretch.tof_T320, sequences.tof_T320)
    np.testing.assert_array_equal(images_of(stretch), images_of(signals)[steps])
    assert (images_of(stretch) != stretch.tof_T320.reshape(-1, 5, 8, 8)).any()


def test_nothing_in_range_stays_minus_one_and_missing_stays_missing():
    """-1 of a pixel is a value; a null is NaN; a sensor without any value is None."""
    table = make_table(num_subjects=1, sequences_per_subject=1, groups=("acc", "tof"))
    table = table.with_columns(tof_2_v0=pl.lit(None, pl.Float64), tof_1_v0=pl.lit(-1.0))
    signals = preprocess(sequences_from_table(table))
    assert (signals.tof_T320[:, 0] == -1).all()
    assert np.isnan(signals.tof_T320[:, 64]).all()
    assert signals.thm_T5 is None


def test_a_sequence_is_preprocessed_the_same_alone_and_among_others():
    """What is computed for one upload is what training saw, bit for bit."""
    sequences = sequences_from_table(make_table(num_subjects=2, sequences_per_subject=3))
    together = preprocess(sequences)
    for n in range(sequences.num_sequences):
        alone = preprocess(sequences.select(np.array([n])))
        rows = slice(together.offsets[n], together.offsets[n + 1])
        np.testing.assert_array_equal(alone.motion_TS, together.motion_TS[rows])


def test_on_real_recordings_gravity_is_mostly_what_is_removed():
    """On the embedded recordings (wide swings of the arm) the norm falls to less than half, and
    no value is infinite or missing."""
    motion_TS = preprocess(load("watch")).motion_TS
    assert np.isfinite(motion_TS).all()
    medians = np.median(motion_TS, axis=0)
    linear, acc = (medians[MOTION_SIGNALS.index(name)] for name in ("linear_norm", "acc_norm"))
    assert linear < acc / 2  # 4.16 and 10.41 m/s2


@pytest.mark.skipif(not COMPETITION_SAMPLE.exists(), reason="the competition's sample is not here")
def test_the_competitions_own_orientation_removes_gravity():
    """On the device's real rows the norm falls from 9.8 to below 2 m/s2 in the median."""
    motion_TS = preprocess(load(str(COMPETITION_SAMPLE))).motion_TS
    medians = np.median(motion_TS, axis=0)
    assert 9 < medians[MOTION_SIGNALS.index("acc_norm")] < 11
    assert medians[MOTION_SIGNALS.index("linear_norm")] < 2
