"""kill -9 at random instants of a run of three models with own features, network and model."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.faults import summary
from tests.support.forked_trainers import fork_server, kill_after
from tests.support.own_code import ALL_THREE, JERK, TRANSFORMER, TREES
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import TINY
from trainer.store.reader import RunReader

NUM_KILLS = 20
MODELS = ("lgbm", "torch", "extra_trees")


@pytest.mark.faults
def test_twenty_kills_of_a_run_with_own_code_change_no_bit(tiny_source, tmp_path):
    """The instants are spread over a run whose code was checked before; one that ends before the
    last kill is compared, and the other kills hit the next.
    """
    words = ["train", "--run", "own", "--preset", "quick", "--data", tiny_source]
    words += [word for path in (JERK, TRANSFORMER, TREES) for word in ("--use", path)]
    words += [word for setting in (*TINY, *ALL_THREE) for word in ("--set", setting)]
    for state in ("checked", "whole"):
        began = time.monotonic()
        ended = fork_server().run(*words, "--state", tmp_path / state)
        assert ended.code == 0, ended.words
    start_s = (time.monotonic() - began) / 2  # the longest life of a start
    RunReader(tmp_path / "whole" / "own").run_file()  # names its own model in this process
    whole = digests_of(tmp_path / "whole" / "own", models=MODELS)
    rng, landed, num_runs = random.Random(int(os.environ.get("FAULTS_SEED", "18"))), 0, 0
    while landed < NUM_KILLS:
        num_runs += 1
        assert num_runs <= NUM_KILLS
        state, before = tmp_path / f"killed-{num_runs}", landed
        while landed < NUM_KILLS and kill_after(
            [*words, "--state", state], rng.uniform(0.0, start_s)
        ):
            landed += 1
        with summary.case("kill -9 of a run with own code", landed=landed - before):
            ended = fork_server().run(*words, "--state", state)
            assert ended.code == 0, ended.words
            assert differences(digests_of(state / "own", models=MODELS), whole) == []
