"""The suite turns red where it must: each guard taken away is seen by the check that is there for it.

A check that never fails shows nothing. Here the trainer is made worse on purpose, one step of its
protocol or one part of its state at a time, and what the other tests demand has to be broken.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults import summary
from tests.faults.lab import problems
from trainer.config import BoostingConfig
from trainer.models import boosting
from trainer.models.boosting import BoostingTask, fit_fold
from trainer.models.monitor import Paused, SilentMonitor

ROW = "negative controls: the suite turned red"


def is_red(lab, root):
    """Finish a run and tell whether what the suite demands after a kill is broken."""
    ended = lab.finish(root)
    return ended.code != 0 or lab.differences(root) != [] or problems(root) != []


def demand_red(is_broken):
    summary.count(ROW, cases=1, landed=int(is_broken))
    assert is_broken


@pytest.mark.parametrize(
    ("worse", "name", "hit"),
    [
        ("write_in_place", "write.half", 60),
        ("record_before_file", "unit.recorded", 6),
        ("keep_no_previous", "unit.placed", 6),
    ],
)
def test_a_write_protocol_that_skips_a_step_is_caught_by_a_kill(lab, worse, name, hit):
    """In place: half a file. Record first: it names what is not there. No X.prev: nothing is left."""
    root = lab.new_root()
    ended = lab.run(root, (worse, {}), ("failpoint", {"name": name, "hit": hit}))
    assert ended.was_killed
    demand_red(is_red(lab, root))


def test_a_whole_write_protocol_passes_the_same_kills(lab):
    """The control of the controls."""
    for name, hit in (("write.half", 60), ("unit.recorded", 6), ("unit.placed", 6)):
        root = lab.new_root()
        assert lab.run(root, ("failpoint", {"name": name, "hit": hit})).was_killed
        assert not is_red(lab, root)


@pytest.mark.parametrize(
    ("name", "place"),
    [("torch_models/fold00_last.pth", b"model"), ("lgbm_fold00.pkl", b"oof_proba")],
)
def test_reading_without_a_checksum_is_caught_by_a_flipped_bit(lab, name, place):
    """torch.load and the plain codec take altered numbers without a word."""
    root = lab.paused(23)
    path = root / name
    data = bytearray(path.read_bytes())
    start = largest_run_of_numbers(bytes(data), name)
    for offset in range(start, start + 64):
        data[offset] ^= 0x10
    path.write_bytes(bytes(data))
    ended = lab.run(root, ("no_checksums", {}))
    demand_red(ended.code != 0 or lab.differences(root) != [])


def largest_run_of_numbers(data, name):
    """Return an offset inside the raw numbers of a file."""
    if name.endswith(".pkl"):
        return data.index(b"oof_proba") + 300
    return data.index(b"/data/0") + 128


def test_two_trainers_without_a_lock_are_caught(lab):
    """The second begins where the suite demands a refusal."""
    root = lab.new_root()
    first = lab.start(root, ("no_lock", {}), ("slow_rounds", {"seconds": 0.02}))
    while not (root / "status.json").exists():
        pass
    words = ["train", "--run", root.name, *lab.settings, "--state", root.parent]
    second = lab.forge.run(*words, shims=[("no_lock", {})])
    first.wait()
    demand_red("held by the trainer" not in second.words)


KEYS = {  # what a fold forgets, and what it would begin with
    "train_scores": None,
    "valid_scores": None,
    "texts": (),
    "losses": (),
    "num_trees": 0,
    "best_round": 0,
    "best_num_trees": 0,
    "best_loss": float("inf"),
}


class StopsAfter(SilentMonitor):
    """Stops after so many rounds; keeps the last checkpoint and what was told last."""

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
    random = np.random.default_rng(3)
    label_idx = np.arange(80) // 2 % 4
    values_NF = random.normal(size=(80, 6)).astype(np.float32)
    values_NF[:, 0] += label_idx
    task = BoostingTask(
        values_NF=values_NF,
        names=tuple(f"acc.x.{number}" for number in range(6)),
        label_idx=label_idx,
        num_classes=4,
        num_targets=2,
        train_idx=np.arange(0, 80, 2),
        valid_idx=np.arange(1, 80, 2),
    )
    config = BoostingConfig(
        rounds=24, segment_rounds=4, patience_rounds=14, learning_rate=0.6, num_threads=1
    )
    return task, config, fit_fold(task, config, 1, 0, SilentMonitor())


def test_the_lgbm_controls_name_every_key_of_a_checkpoint(overfitting):
    task, config, _ = overfitting
    assert set(KEYS) == set(boosting._pack(boosting._start(boosting.FoldData.build(task, config, 1, 0))))


@pytest.mark.parametrize("key", KEYS)
def test_a_lgbm_checkpoint_without_any_one_part_would_not_be_exact(overfitting, key):
    """Each part is needed: forgotten, the fold ends with other bits, or does not end well."""
    task, config, whole = overfitting
    assert 2 <= whole.best_round < 12 < whole.num_rounds
    monitor = StopsAfter(12)
    with pytest.raises(Paused):
        fit_fold(task, config, 1, 0, monitor)
    resumed = fit_fold(task, config, 1, 0, SilentMonitor(), monitor.checkpoint)
    assert resumed.model.text == whole.model.text
    fresh = boosting._pack(boosting._start(boosting.FoldData.build(task, config, 1, 0)))
    assert KEYS[key] is None or tuple([KEYS[key]]) == tuple([fresh[key]]) or list(KEYS[key]) == fresh[key]
    demand_red(is_other(task, config, monitor.checkpoint | {key: fresh[key]}, whole))


def is_other(task, config, checkpoint, whole):
    """Tell whether a fold goes wrong from a checkpoint, loudly or silently."""
    try:
        fitted = fit_fold(task, config, 1, 0, SilentMonitor(), checkpoint)
    except (ValueError, IndexError, KeyError):
        return True
    return (fitted.model.text, fitted.best_round, fitted.num_rounds) != (
        whole.model.text,
        whole.best_round,
        whole.num_rounds,
    )
