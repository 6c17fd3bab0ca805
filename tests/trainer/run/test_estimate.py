"""The time that is left: of measured steps, for one worker or several."""

from __future__ import annotations

import pytest

from trainer.run.estimate import StepTimer


def test_the_time_left_is_that_until_the_last_worker_is_done():
    """Each takes the next fold as soon as it is free."""
    timer = StepTimer({"lgbm": [0.5], "torch": [2.0]})
    work = [("lgbm", 10), ("lgbm", 20), ("torch", 5)]
    assert timer.seconds_left(work) == 25.0
    assert timer.seconds_left(work, num_workers=2) == 15.0
    assert timer.seconds_left([*work, ("torch", 0)], num_workers=9) == 10.0
    assert StepTimer({"lgbm": [0.5]}).seconds_left(work, num_workers=2) is None


def test_the_first_steps_of_a_model_correct_the_estimate_of_the_next(monkeypatch):
    """LightGBM takes half of its estimate here, so the network probably will, too."""
    clock = iter([0.0, 9.0, 9.5])
    monkeypatch.setattr("trainer.run.estimate.time.monotonic", lambda: next(clock))
    timer = StepTimer(estimated_s={"lgbm": 100.0, "torch": 400.0})
    timer.later = [("lgbm", None), ("torch", None)]
    assert timer.seconds_left(timer.later) is None  # nothing is measured yet
    timer.begin("lgbm", 0)
    timer.note(1, 100)  # 9 s with its set-up
    timer.note(2, 100)
    left_s = timer.seconds_left([("lgbm", 98), *timer.later])
    assert left_s == pytest.approx(98 * 0.5 + 50.0 + 200.0)
    timer.num_steps["torch"] = 40  # of an earlier attempt: a quarter is left
    assert timer.seconds_left([("torch", 10)]) == pytest.approx(50.0)
