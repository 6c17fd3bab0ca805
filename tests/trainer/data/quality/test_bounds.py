"""The measurements behind the checks, and where a value becomes a warning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trainer.data import sources
from trainer.data.device_orientation import mean_acceleration
from trainer.data.quality import acceleration, values
from trainer.data.quality.acceleration import check_acceleration, measure_acceleration
from trainer.data.quality.checks import check_input
from trainer.data.quality.contents import sequence_digests
from trainer.data.quality.findings import warnings
from trainer.data.quality.quaternions import check_quaternion_lengths


@pytest.fixture(scope="module")
def watch():
    """The real recordings that ship with the project: lively shoulder exercises."""
    return sources.load("watch")


def scaled(sequences, factor):
    return dataclasses.replace(sequences, acc_T3=sequences.acc_T3 * np.float32(factor))


@pytest.mark.parametrize(
    ("factor", "kind"),
    [(1.0, "usual_N"), (1 / 9.81, "in_g_N"), (1000 / 9.81, "in_mg_N"), (10.0, "strong_N")],
)
def test_only_the_right_unit_is_found_in_real_recordings(watch, factor, kind):
    """In most sequences, and in none another unit."""
    found = measure_acceleration(scaled(watch, factor))
    assert getattr(found, kind).mean() > 0.5
    others = {"usual_N", "in_g_N", "in_mg_N", "without_N", "strong_N"} - {kind}
    assert {name: int(getattr(found, name).sum()) for name in others} == dict.fromkeys(others, 0)


def test_percentiles_by_sequence_are_numpys(watch):
    """The 10th percentile and the median of each sequence, missing rows left out."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[watch.offsets[1] : watch.offsets[2]] = np.nan
    acc_T3[5] = np.nan
    low_N, median_N = acceleration._length_percentiles(dataclasses.replace(watch, acc_T3=acc_T3))
    first_T = np.linalg.norm(acc_T3[: watch.offsets[1]].astype(np.float64), axis=1)
    expected = np.nanpercentile(first_T, [10, 50])
    assert (low_N[0], median_N[0]) == pytest.approx(tuple(expected), rel=1e-12)
    assert np.isnan(low_N[1]) and np.isnan(median_N[1])
    assert not np.isnan(low_N[2:]).any()


def test_a_sequence_without_a_complete_row_counts_as_usual(watch):
    """Its unit is not known, so nothing is reported."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[: watch.offsets[1], 2] = np.nan
    found = measure_acceleration(dataclasses.replace(watch, acc_T3=acc_T3))
    assert found.median_N[0] == pytest.approx(9.81, abs=0.01)
    assert found.usual_N.all() and not found.in_g_N.any()
    assert np.isnan(mean_acceleration(dataclasses.replace(watch, acc_T3=acc_T3))[0]).all()


@pytest.mark.parametrize(("num_known", "is_stuck"), [(7, False), (8, True)])
def test_a_channel_is_stuck_from_eight_equal_known_values_on(num_known, is_stuck):
    """Missing values neither count nor hide it; another value frees it."""
    values_T = np.full(20, np.nan, dtype=np.float32)
    values_T[:num_known] = 30.0
    offsets = np.array([0, 20])
    assert values.find_stuck(values_T, offsets)[0].tolist() == [is_stuck]
    values_T[19] = 30.5
    assert values.find_stuck(values_T, offsets)[0].tolist() == [False]


@pytest.mark.parametrize(("length", "is_off"), [(1.009, False), (1.011, True), (0.989, True)])
def test_a_quaternion_is_a_rotation_up_to_one_percent_of_its_length(watch, length, is_off):
    """On the Data page and in the input check."""
    rot_T4 = watch.rot_T4.copy()
    rot_T4[3] *= np.float32(length)
    changed = dataclasses.replace(watch, rot_T4=rot_T4)
    assert (check_quaternion_lengths(changed).state == "look") is is_off
    assert [one.channel for one in warnings(check_input(changed))] == (["rot"] if is_off else [])


@pytest.mark.parametrize("change", ["none", "g", "stuck"])
def test_the_data_page_and_the_input_check_agree_on_what_is_unusual(watch, change):
    """Recordings with the state "look" on the Data page have a warning before prediction."""
    acc_T3 = watch.acc_T3 / np.float32(9.81 if change == "g" else 1.0)
    if change == "stuck":
        acc_T3[: watch.offsets[1], 0] = 9.81
    changed = dataclasses.replace(watch, acc_T3=acc_T3)
    page = (check_acceleration(changed).state, values.check_stuck_channels(changed).state)
    assert (
        page == {"none": ("fine", "fine"), "g": ("look", "fine"), "stuck": ("fine", "look")}[change]
    )
    warned = {one.channel for one in warnings(check_input(changed))}
    assert warned == {"none": set(), "g": {"acc"}, "stuck": {"acc_x"}}[change]


@pytest.mark.parametrize(("peak", "is_wrong"), [(150.0, False), (160.0, True)])
def test_an_acceleration_beyond_the_range_of_the_chip_is_a_warning(watch, peak, is_wrong):
    """In another unit everything is out of range; then only the unit is reported."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[7, 1] = peak
    changed = dataclasses.replace(watch, acc_T3=acc_T3)
    assert [one.channel for one in warnings(check_input(changed))] == (
        ["acc_y"] if is_wrong else []
    )
    in_mg = scaled(watch, 1000 / 9.81)
    assert [one.channel for one in warnings(check_input(in_mg))] == ["acc"]
    assert values.check_ranges(in_mg).table["outside"].max() > 0.5


def test_a_digest_depends_on_the_values_and_not_on_the_id(watch):
    """The same values under another id agree; one changed value does not."""
    renamed = dataclasses.replace(watch, sequence_ids=watch.sequence_ids[::-1])
    assert sequence_digests(renamed) == sequence_digests(watch)
    acc_T3 = watch.acc_T3.copy()
    acc_T3[0, 0] += 1
    changed = sequence_digests(dataclasses.replace(watch, acc_T3=acc_T3))
    assert changed[0] != sequence_digests(watch)[0] and changed[1:] == sequence_digests(watch)[1:]
