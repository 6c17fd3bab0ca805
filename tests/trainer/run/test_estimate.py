"""The time that is left: of measured steps, for one worker or several."""

from __future__ import annotations

from trainer.run.estimate import StepTimer


def test_the_time_left_is_that_until_the_last_worker_is_done():
    """Each takes the next fold as soon as it is free."""
    timer = StepTimer({"lgbm": [0.5], "torch": [2.0]})
    work = [("lgbm", 10), ("lgbm", 20), ("torch", 5)]
    assert timer.seconds_left(work) == 25.0
    assert timer.seconds_left(work, num_workers=2) == 15.0
    assert timer.seconds_left([*work, ("torch", 0)], num_workers=9) == 10.0
    assert StepTimer({"lgbm": [0.5]}).seconds_left(work, num_workers=2) is None
