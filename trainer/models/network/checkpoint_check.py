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
    has_weights: bool,
    imu_prefix: str | None,
) -> None:
    """Check the history and what was kept of the best epoch.

    Args:
        checkpoint: From a file.
        own_weights: The network's ``state_dict``.
        shape_VK: Of the probabilities of the validation part.
        num_steps: That were taken, of an epoch, of all epochs.
        has_weights: Whether the weights of the best epoch are kept.
        imu_prefix: Of the names of the IMU network's weights; None where the recordings have no
            thermopiles and no time of flight.
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
    for name, prefix in (("best", ""), ("best_imu", imu_prefix)):
        kept = part(checkpoint, name, dict)
        if bool(kept) != bool(history and prefix is not None):
            raise DamagedDataError(f"{name}: expected one of the epochs in the history")
        if kept:
            record = part(kept, "record", dict)
            _check_record(record, integer(record, "epoch", 1, num_epochs))
            wanted = torch.zeros(shape_VK, dtype=torch.float64)
            check_tensor(kept.get("valid_proba_NK"), wanted, name)
            own = {one: own_weights[one] for one in own_weights if one.startswith(str(prefix))}
            check_tensors(part(kept, "weights", dict), own if has_weights else {}, name)


def _check_record(record: object, epoch: int) -> None:
    if not isinstance(record, dict) or set(record) != set(RECORD) or record["epoch"] != epoch:
        raise DamagedDataError(f"history: expected the record of epoch {epoch}")
    for name in RECORD:
        number(record, name, -math.inf, math.inf)
