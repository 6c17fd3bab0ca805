"""benchmarks.simulated_scores: what is kept, and what the table of the claim is made of."""

import re

import numpy as np
import pytest

from benchmarks.simulated_scores import NEVER, Bench, Job, tell_claim
from trainer.config import make_config

FEW = ("folds.count=2", "boosting.rounds=2", "boosting.fixed_rounds=1", "boosting.segment_rounds=1")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Two subjects, two folds, two rounds."""
    return Bench(2, make_config(None, {}, FEW, {}), tmp_path_factory.mktemp("scores"))


def test_a_fold_is_fitted_once_and_read_ever_after(bench, monkeypatch):
    """The same command goes on where it was stopped; other settings are another fold."""
    job = Job("lgbm", "0.3", 42, 0)
    first = bench.probabilities(job)
    monkeypatch.setattr(bench, "_boost", lambda _: pytest.fail("fitted again"))
    again = bench.probabilities(job)
    assert set(again) == {"best", "best_imu", "fixed", "fixed_imu"}
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["best"], first["best_imu"])
    assert len(list(bench.out.iterdir())) == 1


def test_the_claim_holds_each_training_against_the_one_without_light(bench, capsys):
    """Which has no light to hide: its two scores are one, its difference is nothing."""
    never = bench.probabilities(Job("lgbm", NEVER, 42, 0))
    assert np.array_equal(never["best"], never["best_imu"])
    tell_claim(bench, "lgbm", ["0.3", NEVER], [(42, 0)])
    rows = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\| (0|n)", line)]
    assert len(rows) == 4  # two trainings, best and fixed
    assert "+0.0000 +- 0.0000 | 1 of 1 |" in rows[2]
    assert rows[2].split(" | ")[2] == rows[2].split(" | ")[3]
