"""kill -9, at named places and at random instants, several times in one run: the bits stay.

After a kill nothing is found damaged either: what half-done things it leaves behind was foreseen.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.faults import summary
from tests.faults.lab import last_line, problems
from trainer.store.durable import FAILPOINTS

AT_FAILPOINT = "kill -9 at a failpoint, then resume"
IN_RECOVERY = "kill -9 again during the recovery"
AT_RANDOM = "kill -9 at random instants"
NUM_HITS = {  # at least so often is each place reached on the main thread of a lab run
    "write.opened": 96,
    "write.half": 96,
    "write.flushed": 96,
    "write.synced": 94,
    "replace.done": 106,
    "folder.synced": 94,
    "unit.rotated": 10,
    "unit.placed": 14,
    "unit.recorded": 18,
    "checksum.file_written": 17,
    "metrics.appended": 15,
}
FEW_HITS = 7  # per failpoint, from the first to the last


def hits(name, number):
    """Return so many hits of a failpoint, from the first to the last."""
    last = NUM_HITS[name]
    return sorted({1 + round(k * (last - 1) / max(1, number - 1)) for k in range(number)})


def kill_at(lab, root, name, hit):
    """Kill a trainer at a failpoint and make sure that the kill landed."""
    ended = lab.run(root, ("failpoint", {"name": name, "hit": hit}))
    assert ended.was_killed, f"{name}:{hit} did not fire; {last_line(ended)}"


def demand_equal_and_undamaged(lab, root):
    lab.demand_equal(root)
    assert problems(root) == []
    lab.discard(root)


def test_the_failpoints_are_all_in_the_list():
    assert set(NUM_HITS) == set(FAILPOINTS)


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_kill_halfway_at_each_failpoint_changes_no_bit(lab, name):
    """The short version of the next."""
    root = lab.new_root()
    with summary.case(AT_FAILPOINT):
        kill_at(lab, root, name, NUM_HITS[name] // 2)
        demand_equal_and_undamaged(lab, root)


@pytest.mark.faults
@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_kill_at_any_hit_of_any_failpoint_changes_no_bit(lab, name):
    """Small sets of hits in full, of the frequent ones every few."""
    for hit in hits(name, 18):
        root = lab.new_root()
        with summary.case(AT_FAILPOINT):
            kill_at(lab, root, name, hit)
            demand_equal_and_undamaged(lab, root)


@pytest.mark.faults
@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_second_kill_while_the_first_is_recovered_from_changes_no_bit(lab, name):
    """The resume is killed at the same place, early, then late; the third start finishes."""
    for first in hits(name, 3)[:-1]:
        for second in (1, 3):
            root = lab.new_root()
            with summary.case(IN_RECOVERY, landed=2):
                kill_at(lab, root, name, first)
                kill_at(lab, root, name, second)
                demand_equal_and_undamaged(lab, root)


@pytest.mark.faults
@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_process_that_was_started_alone_is_killed_at_each_failpoint(lab, name):
    """The environment name, exit by SIGKILL, and a resume by a process of its own too."""
    root = lab.new_root()
    hit = NUM_HITS[name] // 3
    armed = {"TRAINER_FAILPOINT": f"{name}:{hit}"}
    with summary.case("kill -9 at a failpoint, processes started alone"):
        assert lab.run_alone(*lab.words(root), environment=armed).returncode == -9
        ended = lab.run_alone(*lab.words(root))
        assert ended.returncode == 0, ended.stdout
        assert lab.differences(root) == []
        assert problems(root) == []


def kill_at_random(lab, root, rng, whole_s):
    """Kill a trainer at some instant; return whether the kill came before its end."""
    child = lab.start(root)
    time.sleep(rng.uniform(0.0, whole_s))
    child.send(9)
    return child.wait().was_killed


def killed_run(lab, seed, num_kills, whole_s):
    """Kill a run until so many kills have landed or it is finished; then compare."""
    rng = random.Random(seed)
    root = lab.new_root()
    landed = 0
    while landed < num_kills and kill_at_random(lab, root, rng, whole_s):
        landed += 1
    with summary.case(AT_RANDOM, landed=landed):
        demand_equal_and_undamaged(lab, root)
    return landed


def seconds_of_a_run(lab):
    """Return how long a lab run takes here and now, at best."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        assert lab.run(lab.new_root()).code == 0
        seconds.append(time.monotonic() - began)
    return min(seconds)


def test_kills_at_random_instants_change_no_bit(lab):
    """The short version of the next."""
    demand_kills(lab, 6, seed=0)


@pytest.mark.faults
def test_two_hundred_kills_at_random_instants_change_no_bit(lab):
    """Several in one run, over all its stages."""
    demand_kills(lab, 220, seed=int(os.environ.get("FAULTS_SEED", "1000")))


def demand_kills(lab, wanted, seed):
    """Kill and finish runs until so many kills have landed; at least one in three does."""
    whole_s = seconds_of_a_run(lab)
    landed = tries = 0
    while landed < wanted:
        landed += killed_run(lab, seed + tries, 5, whole_s)
        tries += 1
        assert tries <= wanted
