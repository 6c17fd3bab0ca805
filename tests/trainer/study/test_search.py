"""A search: its trials, pruning, the journal, and the same bits after SIGKILL."""

import random
import time

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.tiny_studies import outcomes, search_words, study_digests


def test_a_trial_that_is_clearly_worse_is_pruned_and_its_other_folds_are_not_trained(searched):
    states = {number: state for number, _, state, _, _ in outcomes(searched)}
    assert "pruned" in states.values()


@pytest.mark.parametrize("seed", [0])
def test_kills_at_random_instants_change_no_trial_and_no_bit(
    searched, study_recordings, tmp_path, seed
):
    rng, landed = random.Random(seed), 0
    words = search_words(tmp_path, study_recordings)
    while landed < 2:
        child = fork_server().start(*words)
        time.sleep(rng.uniform(0.5, 4.0))
        child.send(9)
        ended = child.wait()
        assert ended.was_killed, ended.words
        landed += 1
    ended = fork_server().run("study", "night", "--state", tmp_path / "state")
    assert ended.code == 0, ended.words
    found, expected = study_digests(tmp_path / "state"), study_digests(searched)
    assert [name for name in expected | found if found.get(name) != expected.get(name)] == []
