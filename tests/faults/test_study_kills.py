"""kill -9 at random instants of a search with pruning: the same trials, scores and bits."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.faults import summary
from tests.support.forked_trainers import fork_server, kill_after
from tests.support.tiny_studies import outcomes, search_words, study_digests, study_source

NUM_KILLS = 20


@pytest.mark.faults
def test_twenty_kills_of_a_search_with_pruning_change_no_trial_and_no_bit(tmp_path):
    """The instants are spread over the study; one that ends before the last kill is compared, and
    the other kills hit the next.
    """
    source, whole = study_source(tmp_path), tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    ended = fork_server().run(*search_words(whole, source))
    assert ended.code == 0, ended.words
    start_s = (time.monotonic() - began) / 10  # the longest life of a start
    assert [state for _, _, state, _, _ in outcomes(whole / "state")].count("pruned") >= 1
    rng, landed, num_studies = random.Random(int(os.environ.get("FAULTS_SEED", "18"))), 0, 0
    while landed < NUM_KILLS:
        num_studies += 1
        assert num_studies <= 3
        killed = tmp_path / f"killed-{num_studies}"
        killed.mkdir()
        words = search_words(killed, source)
        before = landed
        while landed < NUM_KILLS and kill_after(words, rng.uniform(0.0, start_s)):
            landed += 1
        with summary.case("kill -9 of a study at random instants", landed=landed - before):
            ended = fork_server().run(*words)
            assert ended.code == 0, ended.words
            found, expected = study_digests(killed / "state"), study_digests(whole / "state")
            names = [name for name in expected | found if found.get(name) != expected.get(name)]
            assert names == []


@pytest.mark.faults
def test_folds_side_by_side_give_the_same_trials(tmp_path):
    """They end in any order, but a trial is compared with the best in the order of its folds."""
    source, found = study_source(tmp_path), []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        words = search_words(folder, source, "night", 4, "models=lgbm")
        ended = fork_server().run(*words, "--workers", workers)
        assert ended.code == 0, ended.words
        found.append(outcomes(folder / "state"))
    assert found[0] == found[1]
    assert [state for _, _, state, _, _ in found[0]].count("pruned") == 1
