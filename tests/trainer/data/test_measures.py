"""trainer.data.measures: the lines that the Data page and the doctor share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pages.ui.data import checks, checks_values
from trainer.data import measures, sources
from trainer.explain.checks_values import examine_values


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
def test_the_unit_of_real_recordings_is_told_and_no_other(watch, factor, kind):
    """Most sequences say it, and none says another unit."""
    found = measures.measure_acceleration(scaled(watch, factor))
    assert getattr(found, kind).mean() > 0.5
    others = {"usual_N", "in_g_N", "in_mg_N", "without_N", "strong_N"} - {kind}
    assert {name: int(getattr(found, name).sum()) for name in others} == dict.fromkeys(others, 0)


def test_percentiles_by_sequence_are_numpys(watch):
    """The 10th percentile and the median of each sequence, missing rows left out."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[watch.offsets[1] : watch.offsets[2]] = np.nan
    acc_T3[5] = np.nan
    low_N, median_N = measures._length_percentiles(dataclasses.replace(watch, acc_T3=acc_T3))
    first_T = np.linalg.norm(acc_T3[: watch.offsets[1]].astype(np.float64), axis=1)
    expected = np.nanpercentile(first_T, [10, 50])
    assert (low_N[0], median_N[0]) == pytest.approx(tuple(expected), rel=1e-12)
    assert np.isnan(low_N[1]) and np.isnan(median_N[1])
    assert not np.isnan(low_N[2:]).any()


def test_a_sequence_without_a_complete_row_is_no_unit_of_its_own(watch):
    """Nothing is known of it, so nothing is said."""
    acc_T3 = watch.acc_T3.copy()
    acc_T3[: watch.offsets[1], 2] = np.nan
    found = measures.measure_acceleration(dataclasses.replace(watch, acc_T3=acc_T3))
    assert found.median_N[0] == pytest.approx(9.81, abs=0.01)
    assert found.usual_N.all() and not found.in_g_N.any()
    assert np.isnan(measures.mean_acceleration(dataclasses.replace(watch, acc_T3=acc_T3))[0]).all()


@pytest.mark.parametrize(("num_known", "is_stuck"), [(7, False), (8, True)])
def test_a_channel_is_stuck_from_eight_equal_known_values_on(num_known, is_stuck):
    """Missing values neither count nor hide it; another value frees it."""
    values_T = np.full(20, np.nan, dtype=np.float32)
    values_T[:num_known] = 30.0
    offsets = np.array([0, 20])
    assert measures.stuck(values_T, offsets)[0].tolist() == [is_stuck]
    values_T[19] = 30.5
    assert measures.stuck(values_T, offsets)[0].tolist() == [False]


@pytest.mark.parametrize(("length", "is_off"), [(1.009, False), (1.011, True), (0.989, True)])
def test_the_page_and_the_doctor_draw_the_line_of_a_quaternion_alike(watch, length, is_off):
    """Both speak of it, or neither does."""
    rot_T4 = watch.rot_T4.copy()
    rot_T4[3] *= np.float32(length)
    changed = dataclasses.replace(watch, rot_T4=rot_T4)
    assert (checks.orientation_length(changed).derived == "look") is is_off
    warned = [one.channel for one in examine_values(changed) if one.severity == "warning"]
    assert warned == (["rot"] if is_off else [])


@pytest.mark.parametrize("change", ["none", "g", "stuck"])
def test_the_page_and_the_doctor_agree_on_what_is_odd(watch, change):
    """The same recordings get a second look on the Data page where the doctor warns."""
    acc_T3 = watch.acc_T3 / np.float32(9.81 if change == "g" else 1.0)
    if change == "stuck":
        acc_T3[: watch.offsets[1], 0] = 9.81
    changed = dataclasses.replace(watch, acc_T3=acc_T3)
    page = (checks.gravity(changed).derived, checks_values.stuck_channels(changed).derived)
    assert (
        page == {"none": ("fine", "fine"), "g": ("look", "fine"), "stuck": ("fine", "look")}[change]
    )
    warned = {one.channel for one in examine_values(changed) if one.severity == "warning"}
    assert warned == {"none": set(), "g": {"acc"}, "stuck": {"acc_x"}}[change]


def test_a_digest_is_of_the_values_and_not_of_the_name(watch):
    """The same values under another name agree; one changed value does not."""
    renamed = dataclasses.replace(watch, sequence_ids=watch.sequence_ids[::-1])
    assert measures.digests(renamed) == measures.digests(watch)
    acc_T3 = watch.acc_T3.copy()
    acc_T3[0, 0] += 1
    changed = measures.digests(dataclasses.replace(watch, acc_T3=acc_T3))
    assert changed[0] != measures.digests(watch)[0] and changed[1:] == measures.digests(watch)[1:]
