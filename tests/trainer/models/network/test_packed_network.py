"""A packed network and a checkpoint from a file: sizes, shapes and numbers are checked first."""

from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest
import torch

from tests.support.fold_tasks import NETWORK_CONFIG, fit_frame_fold
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.models.network.packed_network import pack, unpack
from trainer.plain_data import DamagedDataError

HUGE = 10**9


@pytest.fixture(scope="module")
def packed():
    return pack(fit_frame_fold(config=NETWORK_CONFIG.model_copy(update={"epochs": 1})).model)


class Pausing:
    """Pauses after some steps and keeps the checkpoint."""

    def __init__(self, steps):
        self.steps, self.saved = steps, None

    def should_stop(self):
        return self.steps <= 0

    def advance(self, step, total):
        self.steps -= 1

    def record(self, event, values):
        pass

    def save(self, checkpoint):
        self.saved = checkpoint

    def is_save_due(self):
        return False


@pytest.fixture(scope="module")
def checkpoint():
    """Of the third epoch, after the best one and the fixed one."""
    monitor = Pausing(7)
    with pytest.raises(Paused):
        fit_frame_fold(monitor)
    return monitor.saved


def test_a_trained_network_is_opened(packed):
    assert unpack(packed).sizes.num_classes == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_channels", HUGE), ("num_channels", 8), ("num_channels", -1), ("num_classes", HUGE),
        ("num_classes", 4), ("num_classes", 0), ("num_classes", True), ("conv_channels", [HUGE, 6]),
        ("conv_channels", [4]), ("conv_channels", [2**16, 2**16]), ("conv_channels", None),
        ("recurrent_units", HUGE), ("recurrent_units", 2**16), ("recurrent_units", 3.0),
        ("members", HUGE), ("members", 2), ("members", 0), ("dropout", 2.0), ("dropout", "0"),
        ("dropout", float("nan")), ("temperature", 0.0), ("temperature", float("inf")),
        ("temperature", 1e-300), ("architecture", "resnet"), ("architecture", "branches"),
        ("branches", [["a", [0]]]), ("branches", [["a", [99]]] * HUGE.bit_length()),
        ("light_columns", [HUGE]), ("light_columns", list(range(200))), ("light_columns", [1, 1]),
        ("light_columns", []), ("light_columns", "12"), ("num_postures", HUGE), ("num_postures", 5),
        ("tells_phase", 1), ("unknown", 1),
    ],
)  # fmt: skip
def test_sizes_out_of_bounds_are_refused_before_anything_is_built(packed, name, value):
    """The weights of the file do not have them; no memory is allocated for them."""
    hostile = packed | {"sizes": packed["sizes"] | {name: value}}
    tracemalloc.start()
    with pytest.raises(DamagedDataError):
        registry.open_packed(registry.get("torch"), hostile)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weights", lambda one: {}),
        ("weights", lambda one: dict(list(one.items())[1:])),
        ("weights", lambda one: one | {"more": np.zeros(3, dtype=np.float32)}),
        ("weights", lambda one: {key: array.astype(np.float64) for key, array in one.items()}),
        ("weights", lambda one: {key: array * np.nan for key, array in one.items()}),
        ("weights", lambda one: {key: array.ravel()[:1] for key, array in one.items()}),
        ("weights", lambda one: dict.fromkeys(one, "x")),
        ("weights", lambda one: {key: torch.zeros(()).expand(a.shape) for key, a in one.items()}),
        ("weights", lambda one: {key: torch.eye(2).to_sparse() for key in one}),
        ("weights", lambda one: list(one)),
        ("scaler_mean", lambda one: one[:-1]),
        ("scaler_mean", lambda one: one * np.inf),
        ("scaler_std", lambda one: one * 0),
        ("scaler_std", lambda one: one.astype("U9")),
        ("channels", lambda one: one[:-1]),
        ("channels", lambda one: [one[0], *one[:-1]]),
        ("channels", lambda one: [0] * len(one)),
        ("groups", lambda one: one[:-1]),
        ("groups", lambda one: None),
        ("length", lambda one: HUGE),
        ("length", lambda one: 0),
        ("length", lambda one: "20"),
        ("sizes", lambda one: []),
    ],
)  # fmt: skip
def test_other_parts_of_a_packed_network_are_checked(packed, name, change):
    """Names, shapes, types and finite numbers, of weights and of the scaler."""
    with np.errstate(invalid="ignore"):
        hostile = packed | {name: change(packed[name])}
    with pytest.raises(DamagedDataError):
        registry.open_packed(registry.get("torch"), hostile)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("step",), HUGE), (("step",), 0), (("step",), "7"), (("total_steps",), 10**400),
        (("model",), {}), (("averaged",), None), (("model", "whole.head.0.weight"), torch.zeros(2)),
        (("optimizer",), {}), (("optimizer", "state"), {0: {}}), (("optimizer", "state", 0), {}),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(2)),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(1).expand(4, 9, 7)),
        (("optimizer", "state", 0, "step"), torch.tensor(float("nan"))),
        (("optimizer", "param_groups"), []), (("optimizer", "param_groups", 0, "params"), [0]),
        (("optimizer", "param_groups", 0, "capturable"), True),
        (("optimizer", "param_groups", 0, "lr"), float("nan")),
        (("optimizer", "param_groups", 0, "betas"), [0.9]),
        (("scheduler",), None), (("scheduler", "last_epoch"), HUGE),
        (("scheduler", "total_steps"), HUGE), (("scheduler", "_last_lr"), ["x"]),
        (("scheduler", "_schedule_phases"), []), (("epoch_loss",), "x"), (("history",), []),
        (("history", 0), {}), (("history", 0, "score"), "x"), (("history", 1, "epoch"), 7),
        (("best",), {}), (("best", "record", "epoch"), 99),
        (("best", "weights"), {"x": torch.zeros(1)}),
        (("best", "valid_proba_NK"), torch.zeros(1)), (("best_imu",), {}),
        (("best_imu", "weights"), {"x": torch.zeros(1)}),
        (("best_imu", "record"), {}), (("best_imu", "valid_proba_NK"), None),
    ],
)  # fmt: skip
def test_a_changed_checkpoint_is_refused_as_a_whole(checkpoint, path, value):
    """Nothing of it is used, and the error is the declared one."""
    hostile = copy.deepcopy(checkpoint)
    place = hostile
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(DamagedDataError, match="checkpoint"):
        fit_frame_fold(checkpoint=hostile)


def test_names_that_the_schedule_does_not_have_are_left_out(checkpoint):
    """They would replace attributes and methods of torch's object."""
    hostile = copy.deepcopy(checkpoint)
    hostile["scheduler"] |= {"step": 1, "optimizer": None, "get_lr": "x"}
    assert fit_frame_fold(checkpoint=hostile).num_epochs == 3
