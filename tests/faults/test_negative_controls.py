"""The suite turns red where it must: each guard taken away is seen by the check that is for it.

A check that never fails shows nothing. Here the trainer is made worse on purpose, one step of its
protocol or one part of its state at a time, and what the other tests demand has to be broken.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults import summary
from tests.faults.lab import problems
from trainer.config import BoostingConfig
from trainer.data.sequences import NO_ANNOTATIONS
from trainer.features.feature_table import FeatureTable
from trainer.models.base import FoldTask
from trainer.models.boosting import fold
from trainer.models.boosting.fold import fit_fold
from trainer.models.monitor import Paused, SilentMonitor

ROW = "negative controls: the suite turned red"


def is_red(lab, root):
    """Finish a run and return whether it breaks what the suite demands after a kill."""
    ended = lab.finish(root)
    return ended.code != 0 or lab.differences(root) != [] or problems(root) != []


def demand_red(is_broken):
    summary.count(ROW, cases=1, landed=int(is_broken))
    assert is_broken


KILLS = {  # where a kill lands when the step is skipped; one of the hits has to be seen
    "write_in_place": ("write.half", (48, 51, 54, 57)),
    "record_before_file": ("unit.recorded", (5, 6)),
    "keep_no_previous": ("unit.placed", (6,)),
}


@pytest.mark.parametrize("worse", KILLS)
def test_a_write_protocol_that_skips_a_step_is_caught_by_a_kill(lab, worse):
    """In place: half a file. Record first: it names what is not there. No X.prev: nothing left."""
    name, hits = KILLS[worse]
    demand_red(any(is_red_after_a_kill(lab, name, hit, (worse, {})) for hit in hits))


@pytest.mark.faults
def test_a_whole_write_protocol_passes_the_same_kills(lab):
    """The control of the controls."""
    assert not any(
        is_red_after_a_kill(lab, name, hit) for name, hits in KILLS.values() for hit in hits
    )


def is_red_after_a_kill(lab, name, hit, *worse):
    root = lab.new_root()
    ended = lab.run(root, *worse, ("failpoint", {"name": name, "hit": hit}))
    assert ended.was_killed
    return is_red(lab, root)


def test_reading_without_a_checksum_is_caught_by_flipped_bits(lab):
    """The plain codec takes altered numbers; a file of tensors has the checksums of its zip."""
    name = "lgbm_fold00.pkl"
    root = lab.paused(23)
    path = root / name
    data = bytearray(path.read_bytes())
    start = data.index(b"oof_proba") + 300  # inside its numbers
    for offset in range(start, start + 64):
        data[offset] ^= 0x10
    path.write_bytes(bytes(data))
    ended = lab.run(root, ("no_checksums", {}))
    demand_red(ended.code != 0 or lab.differences(root) != [])


def test_two_trainers_without_a_lock_are_caught(lab):
    """The second begins where the suite demands a refusal."""
    root = lab.new_root()
    first = lab.start(root, ("no_lock", {}), ("slow_rounds", {"seconds": 0.02}))
    while not (root / "status.json").exists():
        pass
    words = ["train", "--run", root.name, *lab.settings, "--state", root.parent]
    second = lab.server.run(*words, shims=[("no_lock", {})])
    first.wait()
    demand_red("held by the trainer" not in second.words)


KEYS = (
    *("train_scores", "valid_scores", "texts", "losses"),
    *("num_trees", "best_round", "best_num_trees", "best_loss"),
)
EARLY, LATE = 4, 12  # rounds at which the fold is interrupted: before its best round and after


class StopsAfter(SilentMonitor):
    """Stops after so many rounds and keeps the last checkpoint."""

    def __init__(self, rounds):
        self.left, self.checkpoint = rounds, None

    def should_stop(self):
        self.left -= 1
        return self.left < 0

    def save(self, checkpoint):
        self.checkpoint = checkpoint


@pytest.fixture(scope="module")
def overfitting():
    """A task whose validation loss is lowest at an early round, with patience left for more."""
    random = np.random.default_rng(0)
    label_idx = np.arange(80) // 2 % 4
    values_NF = random.normal(size=(80, 6)).astype(np.float32)
    values_NF[:, 0] = 0.3 * values_NF[:, 0] + label_idx
    task = FoldTask(
        inputs=FeatureTable(values_NF, tuple(f"acc.x.{number}" for number in range(6))),
        label_idx=label_idx,
        num_classes=4,
        num_targets=2,
        train_idx=np.arange(0, 80, 2),
        valid_idx=np.arange(1, 80, 2),
        annotations=NO_ANNOTATIONS,
    )
    config = BoostingConfig(
        rounds=24,
        segment_rounds=2,
        patience_rounds=12,
        select="best",
        learning_rate=0.3,
        feature_fraction=0.9,
        extra_trees=False,  # with them the best round comes too early, with 5 below too late
        lambda_l2=0.1,
        num_threads=1,
    )
    return task, config, fit_fold(task, config, 1, 0, SilentMonitor())


def fresh_checkpoint(overfitting):
    """Return what a fold begins with."""
    task, config, _ = overfitting
    return fold.pack(fold.start(fold.FoldData.build(task, config, 1, 0)))


def is_other(overfitting, rounds, key):
    """Return whether a fold that forgets one part after so many rounds goes wrong."""
    task, config, whole = overfitting
    monitor = StopsAfter(rounds)
    with pytest.raises(Paused):
        fit_fold(task, config, 1, 0, monitor)
    forgotten = {} if key is None else {key: fresh_checkpoint(overfitting)[key]}
    try:
        fitted = fit_fold(task, config, 1, 0, SilentMonitor(), monitor.checkpoint | forgotten)
    except (ValueError, IndexError, KeyError):
        return True
    return outcome(fitted) != outcome(whole)


def outcome(fitted):
    counts = (fitted.best_round, fitted.num_rounds, fitted.score)
    return fitted.model.text, *counts, fitted.best_proba_NK.tobytes()


def test_the_lgbm_controls_name_every_part_of_a_checkpoint(overfitting):
    """And the task is one in which each of them counts."""
    assert set(KEYS) == set(fresh_checkpoint(overfitting))
    assert EARLY < overfitting[2].best_round < LATE < overfitting[2].num_rounds
    assert not is_other(overfitting, EARLY, None) and not is_other(overfitting, LATE, None)


@pytest.mark.parametrize("key", KEYS)
def test_a_lgbm_checkpoint_without_any_one_part_would_not_be_exact(overfitting, key):
    """Forgotten before the best round or after it, the fold ends with another result."""
    demand_red(is_other(overfitting, EARLY, key) or is_other(overfitting, LATE, key))
