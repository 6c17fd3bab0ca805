"""Paths of two signals: areas with a sign, lively moments of a pose, steep rises."""

import numpy as np
import pytest

from trainer.data.preprocess import MOTION_SIGNALS, Signals
from trainer.features.feature_table import build_table
from trainer.features.paths import activity_columns, area_columns
from trainer.features.series import Series, asymmetry_columns, correlation
from trainer.features.time_axis import cut_time_axis

RATE = 0.3  # rad per step
TURNS = RATE * np.arange(631)  # 30 times round


def values_of(columns, **signals):
    """Return the columns of signals that are one sequence each, by name."""
    length = len(next(iter(signals.values())))
    axis = cut_time_axis(np.array([0, length]), 5)
    series = {name: Series(np.asarray(x_T, float), axis) for name, x_T in signals.items()}
    return {name: float(values_N[0]) for name, values_N in columns(series)}


@pytest.mark.parametrize(("size", "offset"), [(1.0, 0.0), (5.0, -9.0), (0.01, 100.0)])
def test_a_signal_that_is_a_quarter_ahead_sweeps_twice_the_sine_of_a_step(size, offset):
    """Round a circle or an ellipse, anywhere in the plane: the scaled area is the same."""
    ahead = {"forward": np.cos(TURNS), "sideways": offset + size * np.sin(TURNS)}
    area = values_of(area_columns, **ahead)
    assert area["forward_sideways.scaled_area"] == pytest.approx(2 * np.sin(RATE), rel=1e-3)
    assert area["forward_sideways.area"] == pytest.approx(size * np.sin(RATE), rel=1e-3)


def test_the_way_back_sweeps_the_same_area_with_the_other_sign():
    """The same points in the other order: every correlation at once is equal, the area is not."""
    there = {"acc_x": np.cos(TURNS) + 0.3 * np.cos(2 * TURNS), "acc_y": np.sin(TURNS)}
    back = {name: x_T[::-1] for name, x_T in there.items()}
    axis = cut_time_axis(np.array([0, len(TURNS)]), 5)
    one, other = (
        correlation(*(Series(x_T, axis) for x_T in path.values())) for path in (there, back)
    )
    np.testing.assert_allclose(one, other, atol=1e-12)
    for name, area in values_of(area_columns, **there).items():
        assert abs(area) > 0.1
        assert values_of(area_columns, **back)[name] == pytest.approx(-area)


def test_a_straight_path_sweeps_nothing():
    """One signal twice as large as the other, and a signal that never moves."""
    area = values_of(area_columns, linear_x=np.sin(TURNS), linear_y=2 * np.sin(TURNS))
    assert area["linear_x_linear_y.scaled_area"] == pytest.approx(0, abs=1e-9)
    still = values_of(area_columns, linear_x=np.sin(TURNS), linear_y=np.ones(len(TURNS)))
    assert still["linear_x_linear_y.area"] == 0
    assert np.isnan(still["linear_x_linear_y.scaled_area"])


def test_a_missing_step_is_left_out_of_the_area():
    """Without every tenth value the mean of the others is about the same; without any it is NaN."""
    x_T, y_T = np.cos(TURNS), np.sin(TURNS)
    holes_T = np.where(np.arange(len(TURNS)) % 10 == 5, np.nan, x_T)
    area = values_of(area_columns, gravity_x=holes_T, gravity_y=y_T)
    assert area["gravity_x_gravity_y.scaled_area"] == pytest.approx(2 * np.sin(RATE), rel=0.01)
    none = values_of(area_columns, gravity_x=np.full(len(TURNS), np.nan), gravity_y=y_T)
    assert np.isnan(list(none.values())).all()


def test_activity_that_rises_with_the_pose_has_a_positive_correlation():
    """Still while low and shaken while high: near 1; a turn that is larger while low: -1."""
    high_T = np.repeat([0.0, 1.0], 20)
    shake_T = high_T * np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    activity = values_of(activity_columns, gravity_z=high_T, acc_x=shake_T, omega_y=high_T - 1)
    assert activity["gravity_z_acc_x.step_correlation"] > 0.9
    assert activity["gravity_z_omega_y.size_correlation"] == pytest.approx(-1)


def test_steep_rises_and_slow_falls_have_a_positive_skewness():
    """Ten times up by 3 and down by 1, 1, 1: (27 - 3) / 4 over ((9 + 3) / 4) ** 1.5."""
    steps = np.tile([3.0, -1.0, -1.0, -1.0], 10)
    saw_T = np.concatenate([[0.0], np.cumsum(steps)])
    axis = cut_time_axis(np.array([0, len(saw_T)]), 5)
    ((name, rising_N),) = asymmetry_columns(Series(saw_T, axis))
    ((_, falling_N),) = asymmetry_columns(Series(-saw_T, axis))
    ((_, still_N),) = asymmetry_columns(Series(np.ones(len(saw_T)), axis))
    assert name == "step_skewness"
    assert rising_N[0] == pytest.approx(6 / 3**1.5)
    assert falling_N[0] == -rising_N[0]
    assert np.isnan(still_N[0])


def test_areas_and_lively_poses_are_in_the_table_and_count_for_their_sensor():
    """16 signals make 120 pairs, twice each; 7 poses with 12 signals; the first one's sensor."""
    rng = np.random.default_rng(0)
    motion_TS = rng.normal(size=(30, len(MOTION_SIGNALS))).astype(np.float32)
    names = build_table(Signals(np.array([0, 30]), motion_TS, None, None)).names
    assert len([name for name in names if name.endswith("area")]) == 240
    assert (
        len([name for name in names if name.endswith(("step_correlation", "size_correlation"))])
        == 84
    )
    assert "acc.acc_x_heading.area" in names
    assert "rot.heading_tilt_rate.size_correlation" in names


def test_without_orientation_the_acceleration_alone_is_told():
    """Three pairs of axes, three axes with the steps of three."""
    motion_TS = np.full((30, len(MOTION_SIGNALS)), np.nan, dtype=np.float32)
    motion_TS[:, :3] = np.random.default_rng(0).normal(size=(30, 3))
    names = build_table(Signals(np.array([0, 30]), motion_TS, None, None)).names
    assert len([name for name in names if name.endswith("area")]) == 6
    assert (
        len([name for name in names if name.endswith(("step_correlation", "size_correlation"))])
        == 9
    )
