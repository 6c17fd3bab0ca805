"""A run that is paused at any safe point, once or over and over, ends with the same bits."""

from __future__ import annotations

import itertools

import pytest

from tests.faults import summary

ROW = "pause at every safe point"


def points(step):
    """Return every step-th safe point; the run itself says where the last one is."""
    return itertools.count(1, step)


def pause_and_finish(lab, call):
    """Pause a new run at a safe point, then finish it; False where it ended before that."""
    root = lab.new_root()
    ended = lab.run(root, ("pause_at", {"call": call}))
    if ended.code == 0:
        return False
    assert ended.code == 3, ended.words
    with summary.case(ROW):
        lab.demand_equal(root)
    lab.discard(root)
    return True


def test_a_forged_trainer_gives_the_bits_of_one_that_was_started_alone(lab):
    """What is compared below is compared with a real, uninterrupted process."""
    root = lab.new_root()
    assert lab.run(root).code == 0
    assert lab.differences(root) == []


def test_a_pause_at_some_safe_points_changes_no_bit(lab):
    """The short version of the next."""
    assert sum(itertools.takewhile(bool, (pause_and_finish(lab, call) for call in points(11)))) > 2


@pytest.mark.faults
def test_a_pause_at_every_safe_point_changes_no_bit(lab):
    """Data, each feature column, folds, every round, every step, validation, blend."""
    assert sum(itertools.takewhile(bool, (pause_and_finish(lab, call) for call in points(1)))) > 50


@pytest.mark.parametrize("call", [37, pytest.param(41, marks=pytest.mark.faults)])
def test_a_run_that_is_paused_over_and_over_ends_with_the_same_bits(lab, call):
    """Many resumes in one run, several in one epoch."""
    root = lab.new_root()
    for pauses in itertools.count():
        ended = lab.run(root, ("pause_at", {"call": call}))
        if ended.code == 0:
            break
        assert ended.code == 3, ended.words
    with summary.case("paused over and over", landed=pauses):
        assert pauses > 3
        assert lab.differences(root) == []
