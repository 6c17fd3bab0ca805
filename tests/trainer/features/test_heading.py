"""Turning and pushing without the compass: how an arm turns, and forward from sideways."""

import numpy as np
import pytest

from trainer.data.preprocess import MOTION_SIGNALS, Signals
from trainer.features.feature_table import build_table
from trainer.features.heading import heading_signals
from trainer.features.series import Series, correlation
from trainer.features.time_axis import cut_time_axis

RATE = 0.1  # rad per step


def turning_arm(start_rad, num_steps=5, push=(3.0, 1.0, 0.0)):
    """Return a level sensor that turns about the vertical, and accelerates in its own axes."""
    angle_T = start_rad + RATE * np.arange(num_steps)
    zero_T, one_T = np.zeros(num_steps), np.ones(num_steps)
    known = {
        **dict(zip(("linear_x", "linear_y", "linear_z"), np.outer(push, one_T), strict=True)),
        "gravity_x": zero_T,
        "gravity_y": zero_T,
        "gravity_z": one_T,
        "omega_x": zero_T,
        "omega_y": zero_T,
        "omega_z": RATE * one_T,
        "rot_w": np.cos(angle_T / 2),
        "rot_x": zero_T,
        "rot_y": zero_T,
        "rot_z": np.sin(angle_T / 2),
    }
    return known, cut_time_axis(np.array([0, num_steps]), 5)


@pytest.mark.parametrize("start_rad", [0.0, 2.0, -1.3])
def test_a_turn_about_the_vertical_adds_up_to_a_heading(start_rad):
    """0.1 rad a step is -0.2 to 0.2 about its mean, whichever way the arm pointed at first."""
    heading = heading_signals(*turning_arm(start_rad))
    np.testing.assert_allclose(heading["turn_rate"], [0.1] * 5, atol=1e-12)
    np.testing.assert_allclose(heading["tilt_rate"], [0.0] * 5, atol=1e-12)
    np.testing.assert_allclose(heading["heading"], [-0.2, -0.1, 0.0, 0.1, 0.2], atol=1e-12)


@pytest.mark.parametrize("start_rad", [0.0, 2.0, -1.3])
def test_forward_is_where_the_arm_points_in_the_mean(start_rad):
    """In the middle of the turn the sensor's x is forward and its y is sideways, to the left."""
    heading = heading_signals(*turning_arm(start_rad))
    assert heading["forward"][2] == pytest.approx(3.0)
    assert heading["sideways"][2] == pytest.approx(1.0)
    assert heading["forward"][4] == pytest.approx(3.0 * np.cos(0.2) - np.sin(0.2))
    assert heading["sideways"][4] == pytest.approx(3.0 * np.sin(0.2) + np.cos(0.2))


def test_a_step_without_orientation_has_no_heading_and_adds_none():
    """The heading continues after a gap as if there were no turn in it."""
    known, axis = turning_arm(0.0)
    gap = {name: np.where(np.arange(5) == 1, np.nan, x_T) for name, x_T in known.items()}
    heading = heading_signals(gap, axis)
    np.testing.assert_allclose(
        heading["heading"], np.array([0, np.nan, 0.1, 0.2, 0.3]) - 0.15, atol=1e-12
    )


def test_an_arm_that_points_straight_up_has_no_forward():
    """Where the mean direction has no part along the ground, forward is missing."""
    known, axis = turning_arm(0.0)
    root = np.sqrt(0.5) * np.ones(5)
    zero = np.zeros(5)
    upright = known | {"rot_w": root, "rot_x": zero, "rot_y": -root, "rot_z": zero}
    heading = heading_signals(upright, axis)
    assert np.isnan(heading["forward"]).all()
    assert np.isnan(heading["sideways"]).all()


def test_without_orientation_there_is_no_heading():
    """Acceleration alone gives no signal of the heading, and the table no column."""
    assert heading_signals({"acc_x": np.ones(5)}, turning_arm(0.0)[1]) == {}
    motion_TS = np.full((5, len(MOTION_SIGNALS)), np.nan, dtype=np.float32)
    motion_TS[:, 0] = 1
    names = build_table(Signals(np.array([0, 5]), motion_TS, None, None)).names
    assert not [name for name in names if "heading" in name or "forward" in name]


def test_turning_counts_as_orientation_and_pushing_as_acceleration():
    """``rot`` has turn_rate, tilt_rate and heading; ``acc`` has forward and sideways."""
    rng = np.random.default_rng(0)
    motion_TS = rng.normal(size=(9, len(MOTION_SIGNALS))).astype(np.float32)
    names = build_table(Signals(np.array([0, 9]), motion_TS, None, None)).names
    sensor = {name.split(".")[1]: name.split(".")[0] for name in names}
    assert {name: sensor[name] for name in ("turn_rate", "tilt_rate", "heading")} == {
        "turn_rate": "rot",
        "tilt_rate": "rot",
        "heading": "rot",
    }
    assert sensor["forward"] == sensor["sideways"] == "acc"


def test_acceleration_pose_and_turn_are_correlated():
    """A turn that rises with the acceleration has a correlation of 1, one that falls -1."""
    motion_TS = np.random.default_rng(0).normal(size=(9, len(MOTION_SIGNALS))).astype(np.float32)
    place = MOTION_SIGNALS.index
    motion_TS[:, place("acc_x")] = 1  # leans to the side that is not mirrored
    motion_TS[:, place("omega_y")] = 2 * motion_TS[:, place("linear_x")] + 1
    motion_TS[:, place("gravity_z")] = -motion_TS[:, place("linear_x")]
    table = build_table(Signals(np.array([0, 9]), motion_TS, None, None))
    heading = dict(zip(table.names, table.values_NF[0], strict=True))
    assert heading["acc.linear_x_omega_y.correlation"] == pytest.approx(1.0, abs=1e-6)
    assert heading["acc.linear_x_gravity_z.correlation"] == pytest.approx(-1.0, abs=1e-6)
    assert len([name for name in heading if name.endswith(".correlation")]) == 12 + 36 + 24


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
