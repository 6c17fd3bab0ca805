"""The structure of a network fold's checkpoint, checked before anything is restored from it.

In: a checkpoint from a file, and what it must agree with. Out: nothing, or a ``DamagedDataError``.
torch checks the shapes of weights when it loads them, but neither the optimizer's moments nor the
attributes of the schedule.

Shapes: V validation sequences, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.models.network.packed_network import check_tensor, check_tensors
from trainer.plain_data import LARGEST, DamagedDataError, integer, number, part

RECORD = (
    *("epoch", "train_loss", "valid_loss", "score", "accuracy", "binary_f1", "macro_f1"),
    "learning_rate",
)
CHANGED_BY_SCHEDULE = ("lr", "betas")


def check_optimizer(
    state: Mapping[str, Any], own: Mapping[str, Any], weights: list[Tensor]
) -> None:
    """Check the state of AdamW.

    Args:
        state: From a file.
        own: Of the new optimizer, before its first step.
        weights: Its parameters, in their order.
    """
    moments = part(state, "state", dict)
    if moments and sorted(moments) != list(range(len(weights))):
        raise DamagedDataError(f"optimizer: expected the state of {len(weights)} weights")
    for place, weight in enumerate(weights if moments else ()):
        wanted = {"step": torch.zeros(()), "exp_avg": weight, "exp_avg_sq": weight}
        check_tensors(moments[place], wanted, f"optimizer {place}")
        if bool((moments[place]["exp_avg_sq"] < 0).any()) or float(moments[place]["step"]) < 0:
            raise DamagedDataError(f"optimizer {place}: expected no number below 0")
    groups = part(state, "param_groups", list)
    if len(groups) != len(own["param_groups"]):
        raise DamagedDataError("optimizer: expected as many groups as the network has")
    for group, own_group in zip(groups, own["param_groups"], strict=True):
        for name, value in own_group.items():
            if name in group and name not in CHANGED_BY_SCHEDULE and group[name] != value:
                raise DamagedDataError(f"optimizer: {name}: expected {value!r:.60}")
        number(group, "lr", 0.0, 1e6)
        betas = dict(enumerate(group["betas"]))
        if len(betas) != 2:
            raise DamagedDataError("betas: expected two")
        for place in betas:
            number({"betas": betas[place]}, "betas", 0.0, 1.0)


def check_schedule(state: Mapping[str, Any], own: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return the state of the schedule, with the names that the new schedule has.

    Args:
        state: From a file.
        own: Of the new schedule.
        step: Steps that were taken.
    """
    if state.get("last_epoch") != step:
        raise DamagedDataError(f"scheduler: expected step {step}")
    for name, value in own.items():
        if name in state and type(state[name]) is not type(value):
            raise DamagedDataError(f"scheduler: {name}: expected a {type(value).__name__}")
    for rate in state["_last_lr"]:
        number({"_last_lr": rate}, "_last_lr", 0.0, 1e6)
    fixed = ("total_steps", "_schedule_phases", "_anneal_func_type", "cycle_momentum", "base_lrs")
    if any(name in state and state[name] != own.get(name) for name in fixed):
        raise DamagedDataError("scheduler: expected the schedule of this configuration")
    return {name: value for name, value in state.items() if name in own}


def check_scaler(state: Mapping[str, Any]) -> None:
    """Check the state of the AMP scaler; it is empty in a checkpoint of a CPU."""
    if not state:
        return
    for name in ("scale", "growth_factor", "backoff_factor"):
        number(state, name, 0.0, LARGEST)
    for name in ("growth_interval", "_growth_tracker"):
        integer(state, name, 0, 2**31)


def check_progress(
    checkpoint: Mapping[str, Any],
    own_weights: Mapping[str, Tensor],
    shape_VK: tuple[int, int],
    num_steps: tuple[int, int, int],
    fixed_epoch: int,
    imu_prefix: str,
) -> None:
    """Check the history and what was kept of the best and of the fixed epoch.

    Args:
        checkpoint: From a file.
        own_weights: The network's ``state_dict``.
        shape_VK: Of the probabilities of the validation part.
        num_steps: That were taken, of an epoch, of all epochs.
        fixed_epoch: Whose probabilities are kept too.
        imu_prefix: Of the names of the IMU network's weights; "" where there is none.
    """
    number(checkpoint, "epoch_loss", -math.inf, math.inf)
    step, steps_per_epoch, total_steps = num_steps
    history = part(checkpoint, "history", list)
    num_epochs = len(history)
    if not num_epochs * steps_per_epoch <= step <= (num_epochs + 1) * steps_per_epoch:
        raise DamagedDataError(f"history: {num_epochs} epochs do not agree with step {step}")
    if step > total_steps:
        raise DamagedDataError(f"step: expected at most {total_steps}, got {step}")
    for epoch, record in enumerate(history, start=1):
        _check_record(record, epoch)
    best, imu = part(checkpoint, "best", dict), part(checkpoint, "best_imu", dict)
    fixed = part(checkpoint, "fixed", dict)
    wanted = torch.zeros(shape_VK, dtype=torch.float64)
    if bool(best) != bool(history) or bool(fixed) != (num_epochs >= fixed_epoch):
        raise DamagedDataError("best, fixed: expected those of the epochs in the history")
    if bool(imu) != bool(history and imu_prefix):
        raise DamagedDataError("best_imu: expected one where there is an IMU network")
    if best:
        integer(best, "epoch", 1, num_epochs)
        check_tensors(part(best, "weights", dict), own_weights, "best")
        check_tensor(best.get("valid_proba_NK"), wanted, "best")
    if imu:
        _check_record(part(imu, "record", dict), integer(imu["record"], "epoch", 1, num_epochs))
        own = {name: one for name, one in own_weights.items() if name.startswith(imu_prefix)}
        check_tensors(part(imu, "weights", dict), own, "best_imu")
    if fixed:
        check_tensor(fixed.get("valid_proba_NK"), wanted, "fixed")
        if fixed["valid_proba_imu_NK"] is not None:
            check_tensor(fixed["valid_proba_imu_NK"], wanted, "fixed")


def _check_record(record: object, epoch: int) -> None:
    if not isinstance(record, dict) or set(record) != set(RECORD) or record["epoch"] != epoch:
        raise DamagedDataError(f"history: expected the record of epoch {epoch}")
    for name in RECORD:
        number(record, name, -math.inf, math.inf)
