"""Exact resume: a tiny run, interrupted in every way, ends with the bits of one that never was."""

from __future__ import annotations

import threading

import pytest

from tests.support.tiny_runs import (
    assert_same_result,
    events_of,
    kill_at_step,
    problems_of,
    tiny_config,
    train,
    train_elsewhere,
)
from trainer.models.tensor_file import load_tensors
from trainer.run.pipeline import Limits
from trainer.run.stop_signal import StopSignal
from trainer.run.transfer.verification import verify_run
from trainer.store.codec import loads
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state


@pytest.fixture
def config(tiny_source):
    return tiny_config(tiny_source)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state" / "tiny"


class PauseAt:
    """Pauses at every n-th safe point that the trainer itself comes to."""

    def __init__(self, monkeypatch, every):
        self.num_asked = 0

        def is_set(stop):
            if threading.current_thread() is threading.main_thread():
                self.num_asked += 1
                if self.num_asked % every == 0:
                    stop.reason = "the test"
            return stop.reason is not None

        monkeypatch.setattr(StopSignal, "is_set", is_set)


def test_a_run_that_is_paused_all_the_time_ends_with_the_same_bits(
    root, config, tiny_run, monkeypatch
):
    """At whatever safe point: between columns, rounds, batches, folds; models, scores, table."""
    train(root, config, Limits(stop_after_folds=1))
    PauseAt(monkeypatch, every=17)
    outcomes = []
    while not outcomes or outcomes[-1] == "paused":
        outcomes.append(train(root, config))
        assert len(outcomes) < 30
    assert len(outcomes) >= 3
    assert_same_result(root, tiny_run)
    assert {unit.model for unit in RunReader(root).fold_records() if unit.resumed_at} == {"torch"}


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(root, tiny_source, tiny_run):
    """Kill -9 in the middle of a segment of fold 1, then of an epoch of the network."""
    for kill in (kill_at_step("lgbm", 1, 3), kill_at_step("torch", 0, 5)):
        assert train_elsewhere(root, tiny_source, prepare=kill) == -9
        assert derive_state(RunReader(root)).state == "interrupted"
    assert train(root, tiny_config(tiny_source)) == "finished"
    assert_same_result(root, tiny_run)
    resumed = {(unit.model, unit.fold): unit.resumed_at for unit in RunReader(root).fold_records()}
    assert resumed == {("lgbm", 0): (), ("lgbm", 1): (2,), ("torch", 0): (3,), ("torch", 1): ()}
    assert len(events_of(root, "interrupted")) == 2
    assert problems_of(root) == []
    assert all(check.is_good for check in verify_run(root))


def test_the_checkpoints_themselves_are_plain(root, tiny_source):
    """What resumes a fold is read by the plain loader and by weights_only."""
    assert train_elsewhere(root, tiny_source, prepare=kill_at_step("lgbm", 0, 5)) == -9
    checkpoint = loads((root / "lgbm_fold00_last.pkl").read_bytes())
    assert len(checkpoint["state"]["texts"]) == 2
    assert train_elsewhere(root, tiny_source, prepare=kill_at_step("torch", 0, 5)) == -9
    tensors = load_tensors((root / "torch_models/fold00_last.pth").read_bytes())
    assert len(tensors["state"]["history"]) == 1
