"""Sides: both wrists are told as one, and turning is held against what it leads and follows."""

import numpy as np
import pytest

from tests.builders import make_table
from trainer.data.preprocess import MOTION_SIGNALS, Signals, mirror, preprocess
from trainer.data.sources import sequences_from_table
from trainer.features.motion import motion_signals
from trainer.features.series import Series, correlation
from trainer.features.side import lean, told_of_one_side
from trainer.features.table import build_table
from trainer.features.time_axis import cut_time_axis

AXIS = cut_time_axis(np.array([0, 2, 5]), 5)


def test_a_sensor_that_leans_the_other_way_is_told_mirrored():
    """The second sequence leans to -x: acc_x and the turns about y and z change sign."""
    told = told_of_one_side(
        {
            "acc_x": np.array([1.0, 3.0, -4.0, np.nan, -2.0]),
            "acc_y": np.array([5.0, 5.0, 5.0, 5.0, 5.0]),
            "omega_x": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
            "omega_z": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        },
        AXIS,
    )
    assert {name: x_T.tolist() for name, x_T in told.items() if name != "acc_x"} == {
        "acc_y": [5, 5, 5, 5, 5],
        "omega_x": [1, 2, 3, 4, 5],
        "omega_z": [1, 2, -3, -4, -5],
    }
    np.testing.assert_array_equal(told["acc_x"], [1, 3, 4, np.nan, 2])


def test_the_lean_is_the_mean_of_what_is_there():
    """Missing steps are left out, a sequence without any has none."""
    known = {"acc_x": np.array([1.0, 3.0, -4.0, np.nan, -2.0])}
    np.testing.assert_array_equal(lean(known, AXIS), [2, -3])
    nothing = {"acc_x": np.array([1.0, 3.0, np.nan, np.nan, np.nan])}
    np.testing.assert_array_equal(lean(nothing, AXIS), [2, np.nan])


def test_the_other_wrist_has_the_same_features_but_for_its_lean():
    """A recording and its mirror image; every motion feature, the quaternion's too."""
    sequences = sequences_from_table(make_table(groups=("acc", "rot")))
    one, other = (build_table(preprocess(each)) for each in (sequences, mirror(sequences)))
    assert one.names == other.names
    place = one.names.index("acc.acc_x.lean")
    np.testing.assert_array_equal(one.values_NF[:, place], -other.values_NF[:, place])
    rest_F = np.arange(len(one.names)) != place
    np.testing.assert_allclose(
        one.values_NF[:, rest_F], other.values_NF[:, rest_F], rtol=1e-4, atol=1e-4
    )


def test_without_acceleration_nothing_is_mirrored():
    """There is no lean to go by."""
    motion_TS = np.full((5, len(MOTION_SIGNALS)), np.nan, dtype=np.float32)
    motion_TS[:, MOTION_SIGNALS.index("omega_z")] = 1
    assert motion_signals(motion_TS, AXIS)["omega_z"].tolist() == [1, 1, 1, 1, 1]


def test_a_series_that_comes_a_step_later_follows():
    """A copy of a wave that comes a step later: at a lag of 1 they agree, at none they do not."""
    x_T = np.array([0.0, 1.0, 0.0, -1.0] * 8)
    axis = cut_time_axis(np.array([0, len(x_T)]), 5)
    ahead, behind = Series(x_T, axis), Series(np.roll(x_T, 1), axis)
    assert correlation(ahead, behind)[0] == pytest.approx(0.0, abs=1e-12)
    assert correlation(ahead, behind, 1)[0] == pytest.approx(15 / 31 / 0.5)  # 31 of 32 steps
    assert correlation(behind, ahead, 1)[0] == pytest.approx(-16 / 31 / 0.5)


def test_turning_is_related_to_pushes_and_pose():
    """Of ten signals and two along the ground: at once twice, once ahead, once behind."""
    rng = np.random.default_rng(0)
    motion_TS = rng.normal(size=(30, len(MOTION_SIGNALS))).astype(np.float32)
    names = build_table(Signals(np.array([0, 30]), motion_TS, None, None)).names
    of_heading = [name for name in names if name.startswith("rot.heading_")]
    assert len([name for name in of_heading if name.endswith(".correlation")]) == 12
    assert [name for name in names if name.startswith("rot.turn_rate_forward.")] == [
        "rot.turn_rate_forward.correlation",
        "rot.turn_rate_forward.leading",
        "rot.turn_rate_forward.following",
    ]
