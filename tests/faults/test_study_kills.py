"""kill -9 at random instants of a search with pruning: the same trials, scores and bits."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.faults import summary
from tests.support.forked_trainers import fork_server
from tests.support.tiny_studies import outcomes, search_words, study_digests, study_source

NUM_KILLS = 20


@pytest.mark.faults
def test_twenty_kills_of_a_search_with_pruning_change_no_trial_and_no_bit(tmp_path):
    """The instants are spread over the whole study: each start lives an eighth of it on average."""
    source = study_source(tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    began = time.monotonic()
    ended = fork_server().run(*search_words(whole, source))
    assert ended.code == 0, ended.words
    whole_s = time.monotonic() - began
    assert [state for _, _, state, _, _ in outcomes(whole / "state")].count("pruned") >= 1
    rng, landed = random.Random(int(os.environ.get("FAULTS_SEED", "18"))), 0
    words = search_words(killed, source)
    while landed < NUM_KILLS:
        child = fork_server().start(*words)
        time.sleep(rng.uniform(0.0, whole_s / 8))
        child.send(9)
        ended = child.wait()
        if ended.code == 0:
            break
        assert ended.was_killed, ended.words
        landed += 1
    assert landed == NUM_KILLS, "finished before the last kill: lower the share of whole_s"
    with summary.case("kill -9 of a study at random instants", landed=landed):
        ended = fork_server().run(*words)
        assert ended.code == 0, ended.words
        found, expected = study_digests(killed / "state"), study_digests(whole / "state")
        assert [name for name in expected | found if found.get(name) != expected.get(name)] == []


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
