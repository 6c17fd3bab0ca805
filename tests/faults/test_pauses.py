"""A run that is paused at any safe point, once or over and over, ends with the same bits."""

from __future__ import annotations

import itertools

import pytest

from tests.faults import summary

ROW = "pause at every safe point"


def pause_and_finish(lab, call, in_features=False):
    """Pause a new run at a safe point, then finish it; False where it ended before that."""
    root = lab.new_root()
    ended = lab.run(root, ("pause_at", {"call": call, "in_features": in_features}))
    if ended.code == 0:
        return False
    assert ended.code == 3, ended.words
    with summary.case(ROW):
        lab.demand_equal(root)
    lab.discard(root)
    return True


def pause_at_every(lab, step, in_features=False):
    """Pause a run at every step-th safe point; return how many there were."""
    calls = itertools.count(1, step)
    return sum(itertools.takewhile(bool, (pause_and_finish(lab, n, in_features) for n in calls)))


def test_a_forked_trainer_gives_the_bits_of_one_that_was_started_alone(lab):
    """What is compared below is compared with a real, uninterrupted process."""
    root = lab.new_root()
    assert lab.run(root).code == 0
    assert lab.differences(root) == []


def test_a_pause_at_some_safe_points_changes_no_bit(lab):
    """The short version of the next."""
    assert pause_at_every(lab, step=7) > 3


@pytest.mark.faults
def test_a_pause_at_every_safe_point_changes_no_bit(lab):
    """Data, folds, every round, every step, every validation, between all of them."""
    assert pause_at_every(lab, step=1) >= 30


@pytest.mark.faults
def test_a_pause_while_features_are_built_changes_no_bit(lab):
    """At every 13th column; what was built of the table is kept."""
    assert pause_at_every(lab, step=13, in_features=True) > 20


@pytest.mark.parametrize("call", [7, pytest.param(9, marks=pytest.mark.faults)])
def test_a_run_that_is_paused_over_and_over_ends_with_the_same_bits(lab, call):
    """Many resumes in one run, several in one epoch."""
    root = lab.new_root()
    attempts = itertools.count()
    while next(attempts) < 100:
        ended = lab.run(root, ("pause_at", {"call": call}))
        if ended.code == 0:
            break
        assert ended.code == 3, ended.words
    num_pauses = next(attempts) - 1
    with summary.case("paused over and over", landed=num_pauses):
        assert 3 < num_pauses < 99
        assert lab.differences(root) == []
