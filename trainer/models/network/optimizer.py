"""Optimizing a network: AdamW under OneCycleLR, clipped gradients, AMP where there is a GPU.

In: training batches, each with the seed of its dropout. Out: losses, weights, and a state from
which another process continues with the same bits. Folds, epochs and validation are outside.

Shapes: N sequences, T time steps, C channels, K classes, M submodels.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from trainer.config import NetworkConfig
from trainer.models.network.augmentation import TrainingBatch
from trainer.models.network.auxiliary_targets import auxiliary_loss
from trainer.models.network.checkpoint_check import check_optimizer, check_scaler, check_schedule
from trainer.models.network.factory import make_network
from trainer.models.network.gesture_net import GestureNet, NetworkOutput, NetworkSizes
from trainer.models.network.packed_network import check_tensors
from trainer.plain_data import DamagedDataError, integer, part

EMA_WARMUP_STEPS = 10  # at first the average covers about a tenth of the steps so far


class TrainingDivergedError(ArithmeticError):
    """The training loss is no longer a finite number."""


class Optimization:
    """A network, its optimizer, the schedule and the AMP scaler, between two steps."""

    def __init__(
        self, sizes: NetworkSizes, config: NetworkConfig, total_steps: int, seed: int
    ) -> None:
        """Start from random weights.

        Args:
            sizes: Of the network.
            config: Learning rate, weight decay, clipping.
            total_steps: Of the schedule; from the configuration, never from a run's progress.
            seed: Of the first weights.
        """
        self.total_steps = total_steps
        self.step = 0
        self._config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        self.net = make_network(sizes).to(self.device)
        self.averaged = copy.deepcopy(self.net).eval()  # these weights are validated and kept
        self._pairs = list(
            zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True)
        )
        self._parallel_net = _parallel(self.net)
        self._optimizer = _make_optimizer(self.net, config)
        self._scheduler = OneCycleLR(
            self._optimizer,
            max_lr=config.learning_rate,
            total_steps=total_steps,
            pct_start=_warmup_share(config, total_steps),
            anneal_strategy="cos",
        )
        self._amp_scaler = _make_amp_scaler(self.device)

    @property
    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        return float(self._scheduler.get_last_lr()[0])

    def train_on(self, batch: TrainingBatch, seed: int) -> float:
        """Take one step and return the batch's loss.

        A step that the AMP scaler skips, for a gradient out of range, still counts in the schedule.

        Args:
            batch: Input and targets.
            seed: Of dropout.

        Raises:
            TrainingDivergedError: The loss is not finite.
        """
        torch.manual_seed(seed)
        self.net.train()
        self._optimizer.zero_grad(set_to_none=True)
        loss, auxiliary = self._losses(batch)
        total = loss
        if batch.auxiliary.is_any:
            total = loss + self._config.auxiliary_weight * auxiliary
        submodels = self.net.submodels()
        self._amp_scaler.scale(total * len(submodels)).backward()  # type: ignore[no-untyped-call]
        self._amp_scaler.unscale_(self._optimizer)
        for submodel in submodels:  # each on its own, so that no gradient scales another's
            nn.utils.clip_grad_norm_(submodel.parameters(), self._config.gradient_clip)
        self._amp_scaler.step(self._optimizer)
        self._amp_scaler.update()
        self._scheduler.step()
        self.step += 1
        self._average()
        self._check(total.item())
        return loss.item()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the averaged weights on the CPU, without the names of wrappers."""
        return {
            name: tensor.detach().cpu().clone()
            for name, tensor in self.averaged.state_dict().items()
        }

    def state(self) -> dict[str, Any]:
        """Return references to everything that later steps depend on; copy before the next step."""
        return {
            "total_steps": self.total_steps,
            "step": self.step,
            "model": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "amp_scaler": self._amp_scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state; model, optimizer, schedule and AMP scaler in this order.

        Raises:
            DamagedDataError: It is not such a state, or of a schedule of another length.
        """
        if state["total_steps"] != self.total_steps:
            raise DamagedDataError(
                f"expected a schedule of {self.total_steps} steps, got one of "
                f"{state['total_steps']!r:.60}; epochs, batch size and data must be the same"
            )
        step = integer(state, "step", 0, self.total_steps)
        check_tensors(state["model"], self.net.state_dict(), "model")
        check_tensors(state["averaged"], self.averaged.state_dict(), "averaged")
        groups = self._optimizer.param_groups
        weights = [weight for group in groups for weight in group["params"]]
        check_optimizer(state["optimizer"], self._optimizer.state_dict(), weights)
        schedule = check_schedule(state["scheduler"], self._scheduler.state_dict(), step)
        check_scaler(part(state, "amp_scaler", dict))
        self.net.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(schedule)
        if state["amp_scaler"]:  # empty in a checkpoint of a CPU; a GPU then starts with its own
            self._amp_scaler.load_state_dict(state["amp_scaler"])
        self.step = step

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights and statistics towards those of this step.

        The decay begins low, so that the first weights are soon forgotten.
        """
        decay = min(self._config.ema_decay, self.step / (self.step + EMA_WARMUP_STEPS))
        for averaged, current in self._pairs:
            if averaged.is_floating_point():
                averaged.lerp_(current, 1 - decay)
            else:
                averaged.copy_(current)  # batch norm counts its batches

    def _losses(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Return the smoothed cross entropy of gestures, and the auxiliary loss, over all members.

        The network computes in half precision on a GPU.
        """
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            output: NetworkOutput = self._parallel_net(
                batch.x_NTC.to(self.device), batch.lengths_N.to(self.device)
            )
        num_members = output.logits_NMK.shape[1]
        loss = nn.functional.cross_entropy(
            output.logits_NMK.float().flatten(end_dim=1),
            batch.target_NK.to(self.device).repeat_interleave(num_members, dim=0),
            label_smoothing=self._config.label_smoothing,
        )
        auxiliary = auxiliary_loss(output, batch.auxiliary, batch.lengths_N)
        num_heads = next((len(t[0]) for t in output[1:] if t is not None), num_members)
        return loss, auxiliary * (num_heads / num_members)

    def _check(self, loss: float) -> None:
        """Refuse a loss that is not finite, where the AMP scaler cannot halve its scale further.

        It skips such a step and halves the scale, which helps against an overflow of half precision
        only. On a CPU its scale is always 1.
        """
        if not math.isfinite(loss) and self._amp_scaler.get_scale() <= 1.0:
            raise TrainingDivergedError(
                f"step {self.step}: expected a finite training loss, got {loss}; "
                "lower network.learning_rate or network.gradient_clip"
            )


@contextmanager
def reproducible(num_threads: int) -> Iterator[None]:
    """Make torch give the same bits every time, and put its settings back afterwards.

    Deterministic mode would also fill all new memory with NaN to reveal reads before writes. That
    takes a fifth of an epoch's time and changes no bit where there is no such read, so it is off.

    Args:
        num_threads: Of this process; another number gives other last bits.
    """
    threads = torch.get_num_threads()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # untyped, and only has this setting
    is_filling = memory.fill_uninitialized_memory
    # cuBLAS reads it when CUDA starts; without it recurrent layers refuse deterministic mode
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(is_deterministic)
        memory.fill_uninitialized_memory = is_filling


class _TrainingForward(nn.Module):
    """Calls ``forward_training``, since ``DataParallel`` calls ``forward`` only."""

    def __init__(self, net: GestureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x_NTC: Tensor, lengths_N: Tensor) -> NetworkOutput:
        """Return the outputs of each submodel."""
        return self.net.forward_training(x_NTC, lengths_N)


def _parallel(net: GestureNet) -> nn.Module:
    """Return a network that uses all GPUs; names of weights come from ``net``, without a prefix."""
    forward = _TrainingForward(net)
    return nn.DataParallel(forward) if torch.cuda.device_count() > 1 else forward


def _make_optimizer(net: GestureNet, config: NetworkConfig) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only, not on scales of norms and biases."""
    matrices = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in net.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _warmup_share(config: NetworkConfig, total_steps: int) -> float:
    """Return the share of the steps in which the rate rises; OneCycleLR divides by one less."""
    is_one_step = config.warmup_share * total_steps == 1.0
    return config.warmup_share * (1 + 1e-9) if is_one_step else config.warmup_share


def _make_amp_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Return the gradient scaler of mixed precision; on a CPU it passes everything through."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
