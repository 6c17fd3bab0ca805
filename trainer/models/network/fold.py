"""One network fold: epochs of batches, validation after each.

In: a ``FoldTask``, the configuration, a seed. Out: a ``NetworkFold``. A fold that is interrupted
between any two steps and resumed from its checkpoint ends with the same bits as one that never was
(DESIGN.md section 5): order, augmentation and dropout are derived from (seed, fold, epoch or step),
and everything else is in the checkpoint.

The fold's network is that of the last epoch. With ``select`` "best" it is that of the best one, and
training stops early: the epoch with the highest competition score on the validation part; of equal
scores the one with the lower validation loss, then the earlier one. It is chosen on the sequences
that it is scored on, so its score is optimistic. The IMU network has a best epoch of its own, by
the score with thermopiles and time of flight hidden.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.config import NetworkConfig
from trainer.data.sequences import IntArray
from trainer.features.batches import fit_scaler
from trainer.features.frames import Frames, frame_length
from trainer.metric import Score
from trainer.models import own_networks
from trainer.models.base import FoldTask
from trainer.models.monitor import Monitor, Paused
from trainer.models.network.augmentation import HIDEABLE_GROUPS, BatchMaker
from trainer.models.network.auxiliary_targets import NO_TARGETS, make_auxiliary_targets
from trainer.models.network.checkpoint_check import check_progress
from trainer.models.network.composition import IMU_PREFIX
from trainer.models.network.epochs import (
    EpochRecord,
    count_batches,
    epoch_batches,
    rank,
    record_epoch,
)
from trainer.models.network.factory import network_sizes
from trainer.models.network.gesture_net import GestureNet
from trainer.models.network.inference import NetworkModel, build_network, predict_scaled
from trainer.models.network.optimizer import Optimization, reproducible
from trainer.models.seeds import derive_seed
from trainer.plain_data import reading

Checkpoint = dict[str, Any]  # tensors, numbers, strings, lists and dicts of them


@dataclass(frozen=True)
class NetworkFold:
    """A fitted fold.

    Attributes:
        model: The network of the last epoch, or of the best one if that is selected.
        best_epoch: Counted from 1.
        num_epochs: Number of epochs that were trained.
        history: One record per epoch, as the monitor received them.
        score: Of the model on the validation part.
        valid_proba_NK: The model's float64 probabilities of the validation part, in its order.
        valid_proba_imu_NK: The same with thermopiles and time of flight hidden, or None.
        best_proba_NK: As ``valid_proba_NK``, after the best epoch, which is chosen on these rows.
        best_proba_imu_NK: The same with thermopiles and time of flight hidden, or None.
    """

    model: NetworkModel
    best_epoch: int
    num_epochs: int
    history: tuple[EpochRecord, ...]
    score: Score
    valid_proba_NK: NDArray[np.float64]
    valid_proba_imu_NK: NDArray[np.float64] | None
    best_proba_NK: NDArray[np.float64]
    best_proba_imu_NK: NDArray[np.float64] | None


def fit_fold(
    task: FoldTask,
    config: NetworkConfig,
    seed: int,
    fold: int,
    monitor: Monitor,
    checkpoint: Checkpoint | None = None,
    length: int | None = None,
) -> NetworkFold:
    """Fit one fold, from the start or from a checkpoint.

    Meanwhile torch uses ``config.num_threads`` threads and deterministic algorithms.

    Args:
        task: Inputs, labels and split.
        config: The network's settings.
        seed: The run's seed.
        fold: Its number; part of every derived seed.
        monitor: Receives steps, epochs and checkpoints, and requests a stop.
        checkpoint: The last one that ``monitor.save`` received for this fold, or None.
        length: Time steps of a frame, a multiple of 4; None derives it from the training part.

    Raises:
        Paused: The monitor requested a stop; the checkpoint was saved.
        TrainingDivergedError: The training loss is not finite.
        DamagedDataError: The checkpoint is not one of this fold, or of another configuration.
    """
    with reproducible(config.num_threads):
        fitting = _Fitting(task, config, seed, fold, length)
        if checkpoint is not None:
            with reading("checkpoint"):
                fitting.load(checkpoint)
        fitting.run(monitor)
        return fitting.result()


class _Fitting:
    """A fold between two steps; all that changes in training is in its checkpoint."""

    def __init__(
        self, task: FoldTask, config: NetworkConfig, seed: int, fold: int, length: int | None
    ) -> None:
        self.task, self.config, self.seed, self.fold = task, config, seed, fold
        self.frames: Frames = task.inputs
        lengths_N = np.diff(self.frames.offsets)
        self.length = frame_length(lengths_N, task.train_idx, length)
        self.scaler = fit_scaler(self.frames, task.train_idx)
        has_auxiliary = config.auxiliary_weight > 0 and not own_networks.is_own(config.kind)
        auxiliary = make_auxiliary_targets(task.annotations) if has_auxiliary else NO_TARGETS
        self.batch_maker = BatchMaker(self.frames, self.scaler, self.length, config, auxiliary)
        self.train_lengths_N = lengths_N[task.train_idx]
        self.batches_per_epoch = count_batches(len(task.train_idx), config.batch_size)
        self.sizes = network_sizes(self.frames, task.num_classes, config, auxiliary)
        self.optimization = Optimization(
            self.sizes,
            config,
            total_steps=config.num_epochs * self.batches_per_epoch,
            seed=self._derive("init"),
        )
        self.has_optional_sensors = not set(HIDEABLE_GROUPS).isdisjoint(self.frames.groups)
        self.selects_best = config.select == "best"
        self.epoch_loss = 0.0  # sum over the batches of the running epoch
        self.history: list[EpochRecord] = []
        # record, probabilities and, if it is selected, weights of the best epoch; empty before the
        # first; then those of the best epoch with thermopiles and time of flight hidden
        self.best: Checkpoint = {}
        self.best_imu: Checkpoint = {}
        self._order: tuple[int, list[IntArray]] = (-1, [])  # an epoch and its batches, drawn once

    def run(self, monitor: Monitor) -> None:
        """Train and validate until the last epoch or early stopping."""
        while not self._is_finished():
            if monitor.should_stop():
                monitor.save(self.checkpoint())
                raise Paused
            if self._is_validation_due():
                monitor.record("epoch", self._validate())
                monitor.save(self.checkpoint())
            else:
                self._train_batch()
                monitor.advance(self.optimization.step, self.optimization.total_steps)
                if monitor.is_save_due():
                    monitor.save(self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """Return a copy of all that later steps and the result depend on."""
        return copy.deepcopy(
            {
                **self.optimization.state(),
                "epoch_loss": self.epoch_loss,
                "history": self.history,
                "best": self.best,
                "best_imu": self.best_imu,
            }
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint."""
        (optimization := self.optimization).load(checkpoint)
        check_progress(
            checkpoint,
            optimization.averaged.state_dict(),
            (len(self.task.valid_idx), self.task.num_classes),
            (optimization.step, self.batches_per_epoch, optimization.total_steps),
            self.selects_best,
            IMU_PREFIX if self.has_optional_sensors else None,
        )
        self.epoch_loss = checkpoint["epoch_loss"]
        self.history = list(checkpoint["history"])
        self.best = dict(checkpoint["best"])
        self.best_imu = dict(checkpoint["best_imu"])

    def result(self) -> NetworkFold:
        """Return the last epoch, or the best one if that is selected, as a fitted fold."""
        if self.selects_best:
            weights = {**self.best["weights"], **self.best_imu.get("weights", {})}
            record = self.best["record"]
        else:
            weights, record = self.optimization.weights(), self.history[-1]
        model = NetworkModel(
            weights=weights,
            scaler=self.scaler,
            channels=self.frames.channels,
            groups=self.frames.groups,
            length=self.length,
            sizes=self.sizes,
        )
        net = build_network(model)
        best_imu_NK = self.best_imu.get("valid_proba_NK")
        return NetworkFold(
            model=model,
            best_epoch=self.best["record"]["epoch"],
            num_epochs=len(self.history),
            history=tuple(self.history),
            score=Score(binary_f1=record["binary_f1"], macro_f1=record["macro_f1"]),
            valid_proba_NK=self._predict_valid(net),
            valid_proba_imu_NK=self._predict_imu(net),
            best_proba_NK=self.best["valid_proba_NK"].numpy(),
            best_proba_imu_NK=None if best_imu_NK is None else best_imu_NK.numpy(),
        )

    def _train_batch(self) -> None:
        step = self.optimization.step
        epoch, position = divmod(step, self.batches_per_epoch)
        batch_idx = self.task.train_idx[self._batches(epoch)[position]]
        one_hot_KK = np.eye(self.task.num_classes, dtype=np.float32)
        batch = self.batch_maker.draw(
            batch_idx, one_hot_KK[self.task.label_idx[batch_idx]], self._derive("augment", step)
        )
        loss = self.optimization.train_on(batch, self._derive("step", step))
        # a step that a GPU skipped, for an overflow, counts as the mean of those before it
        self.epoch_loss += loss if math.isfinite(loss) else self.epoch_loss / max(1, position)

    def _batches(self, epoch: int) -> list[IntArray]:
        if self._order[0] != epoch:  # drawing all of an epoch at each step would be quadratic
            seed = self._derive("order", epoch)
            batches = epoch_batches(self.train_lengths_N, self.config.batch_size, seed)
            self._order = epoch, batches
        return self._order[1]

    def _validate(self) -> EpochRecord:
        """End the epoch: score the validation part, keep the epoch if it is the best so far."""
        net = copy.deepcopy(self.optimization.averaged).double().eval()
        proba_NK = self._predict_valid(net)
        record = self._record(proba_NK)
        is_best = not self.best or rank(record) > rank(self.best["record"])
        if is_best:
            self.best = self._kept(record, proba_NK, "")
        if is_best or self.sizes.optional_columns:
            self._keep_imu(self._predict_imu(net), is_best)
        self.history.append(record)
        self.epoch_loss = 0.0
        return record

    def _keep_imu(self, proba_NK: NDArray[np.float64] | None, is_best: bool) -> None:
        """Keep the best epoch of the IMU network, or, where there is none, that of the network."""
        if proba_NK is None:
            return
        record = self._record(proba_NK)
        if self.best_imu and self.sizes.optional_columns:
            is_best = rank(record) > rank(self.best_imu["record"])
        if is_best:
            self.best_imu = self._kept(record, proba_NK, IMU_PREFIX)

    def _kept(self, record: EpochRecord, proba_NK: NDArray[np.float64], prefix: str) -> Checkpoint:
        """Return what is kept of the best epoch: its weights only where they are selected."""
        weights = self.optimization.weights() if self.selects_best else {}
        return {
            "record": record,
            "valid_proba_NK": torch.from_numpy(proba_NK),
            "weights": {name: one for name, one in weights.items() if name.startswith(prefix)},
        }

    def _record(self, proba_NK: NDArray[np.float64]) -> EpochRecord:
        return record_epoch(
            len(self.history) + 1,
            train_loss=self.epoch_loss / self.batches_per_epoch,
            learning_rate=self.optimization.learning_rate,
            true_idx=self.task.label_idx[self.task.valid_idx],
            proba_NK=proba_NK,
            num_targets=self.task.num_targets,
        )

    def _is_validation_due(self) -> bool:
        return self.optimization.step == (len(self.history) + 1) * self.batches_per_epoch

    def _is_finished(self) -> bool:
        num_epochs = len(self.history)
        is_patience_exhausted = (
            self.selects_best
            and num_epochs > 0
            and num_epochs - self.best["record"]["epoch"] >= self.config.patience_epochs
        )
        return is_patience_exhausted or num_epochs == self.config.num_epochs

    def _predict_valid(self, net: GestureNet) -> NDArray[np.float64]:
        return predict_scaled(net, self.batch_maker.scaled, self.task.valid_idx, self.length)

    def _predict_imu(self, net: GestureNet) -> NDArray[np.float64] | None:
        """Predict the validation part without the sensors that can be hidden, if it has any."""
        if not self.has_optional_sensors:
            return None
        return predict_scaled(
            *(net, self.batch_maker.scaled, self.task.valid_idx, self.length),
            hidden_groups=HIDEABLE_GROUPS,
        )

    def _derive(self, *use: str | int) -> int:
        return derive_seed(self.seed, "torch", self.fold, *use)
