"""One network fold: epochs of batches, validation after each, early stopping by the score.

In: a ``FoldTask``, the configuration, a seed. Out: a ``NetworkFold``. A fold that is interrupted
between any two steps and goes on from its checkpoint ends with the same bits as one that never was
(DESIGN.md section 5): order, augmentation and dropout are derived from (seed, fold, epoch or step),
and everything else is in the checkpoint.

The best epoch is the one with the highest competition score on the validation part; of equal
scores the one with the lower validation loss, then the earlier one. It is chosen on the sequences
it is scored on, so the fold's score is a little optimistic. A network for the IMU beside it has a
best epoch of its own, by the score with the other sensors hidden.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.config import NetworkConfig
from trainer.data.sequences import IntArray
from trainer.features.frames import Frames, fit_scaler, frame_length
from trainer.metric import Score
from trainer.models.base import FoldTask
from trainer.models.monitor import Monitor, Paused
from trainer.models.network.augmentation import HIDEABLE_GROUPS, BatchMaker
from trainer.models.network.batches import count_batches, epoch_batches
from trainer.models.network.epochs import EpochRecord, rank, record_epoch
from trainer.models.network.fold_task import NetworkFold, auxiliary_targets, network_sizes
from trainer.models.network.inference import (
    NetworkModel,
    build_network,
    predict_scaled,
)
from trainer.models.network.modules import IMU_PREFIX, GestureNet, NetworkSizes
from trainer.models.network.optimizer import Optimisation, reproducible
from trainer.models.seeds import derive_seed
from trainer.models.temperature import fit_temperature

Checkpoint = dict[
    str, Any
]  # tensors, numbers, strings, lists, dicts: torch.load(weights_only=True)


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

    While it runs, torch uses ``config.num_threads`` threads and deterministic algorithms.

    Args:
        task: What to learn from.
        config: How.
        seed: The run's seed.
        fold: Its number; part of every derived seed.
        monitor: Told of steps and epochs, asked whether to stop, given checkpoints.
        checkpoint: What ``monitor.save`` was last given for this fold.
        length: Time steps of a frame, a multiple of 4; None derives it from the training part.

    Raises:
        Paused: The monitor asked to stop; the checkpoint was saved.
        TrainingDivergedError: The training loss is not finite.
        ValueError: The checkpoint is of another configuration.
    """
    with reproducible(config.num_threads):
        fitting = _Fitting(task, config, seed, fold, length)
        if checkpoint is not None:
            fitting.load(checkpoint)
        fitting.run(monitor)
        return fitting.result()


class _Fitting:
    """A fold between two steps; all that changes while it runs is in its checkpoint."""

    def __init__(
        self, task: FoldTask, config: NetworkConfig, seed: int, fold: int, length: int | None
    ) -> None:
        self.task, self.config, self.seed, self.fold = task, config, seed, fold
        self.frames: Frames = task.inputs
        lengths_N = np.diff(self.frames.offsets)
        self.length = frame_length(lengths_N, task.train_idx, length)
        self.scaler = fit_scaler(self.frames, task.train_idx)
        hints = auxiliary_targets(task, config)
        self.batch_maker = BatchMaker(self.frames, self.scaler, self.length, config, hints)
        self.train_lengths_N = lengths_N[task.train_idx]
        self.batches_per_epoch = count_batches(len(task.train_idx), config.batch_size)
        self.sizes = network_sizes(task, config, hints)
        self.optimisation = Optimisation(
            self.sizes,
            config,
            total_steps=config.epochs * self.batches_per_epoch,
            seed=self._derive("init"),
        )
        self.epoch_loss = 0.0  # sum over the batches of the running epoch
        self.history: list[EpochRecord] = []
        self.best: Checkpoint = {}  # epoch, weights, valid_proba_NK; empty before the first epoch
        self.best_imu: Checkpoint = {}  # the same of the IMU's network: its record, its weights
        self._order: tuple[int, list[IntArray]] = (-1, [])  # an epoch and its batches, drawn once
        self.fixed: Checkpoint = {}  # probabilities of the epoch that was fixed in advance

    def run(self, monitor: Monitor) -> None:
        """Train and validate until the last epoch or early stopping; between steps, ask."""
        while not self._is_finished():
            if monitor.should_stop():
                monitor.save(self.checkpoint())
                raise Paused
            if self._is_validation_due():
                monitor.record("epoch", self._validate())
                monitor.save(self.checkpoint())
            else:
                self._train_batch()
                monitor.advance(self.optimisation.step, self.optimisation.total_steps)
                if monitor.is_save_due():
                    monitor.save(self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """Return a copy of all that later steps and the result depend on."""
        return copy.deepcopy(
            {
                **self.optimisation.state(),
                "epoch_loss": self.epoch_loss,
                "history": self.history,
                "best": self.best,
                "best_imu": self.best_imu,
                "fixed": self.fixed,
            }
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.optimisation.load(checkpoint)
        self.epoch_loss = checkpoint["epoch_loss"]
        self.history = list(checkpoint["history"])
        self.best = dict(checkpoint["best"])
        self.best_imu = dict(checkpoint["best_imu"])
        self.fixed = dict(checkpoint["fixed"])

    def result(self) -> NetworkFold:
        """Return the best epoch as a fitted fold."""
        sizes = self._tempered_sizes()
        model = NetworkModel(
            weights={**self.best["weights"], **self.best_imu.get("weights", {})},
            scaler=self.scaler,
            channels=self.frames.channels,
            groups=self.frames.groups,
            length=self.length,
            sizes=sizes,
        )
        net = build_network(model)
        record = self.history[self.best["epoch"] - 1]
        imu_NK = self.fixed["valid_proba_imu_NK"]
        return NetworkFold(
            model=model,
            best_epoch=self.best["epoch"],
            num_epochs=len(self.history),
            history=tuple(self.history),
            score=Score(binary_f1=record["binary_f1"], macro_f1=record["macro_f1"]),
            valid_proba_NK=self._predict_valid(net),
            valid_proba_imu_NK=self._predict_imu(net),
            last_proba_NK=self.fixed["valid_proba_NK"].numpy(),
            last_proba_imu_NK=imu_NK if imu_NK is None else imu_NK.numpy(),
        )

    def _train_batch(self) -> None:
        """Take the next step of the running epoch."""
        step = self.optimisation.step
        epoch, position = divmod(step, self.batches_per_epoch)
        batch_idx = self.task.train_idx[self._batches(epoch)[position]]
        one_hot_KK = np.eye(self.task.num_classes, dtype=np.float32)
        batch = self.batch_maker.draw(
            batch_idx, one_hot_KK[self.task.label_idx[batch_idx]], self._derive("augment", step)
        )
        self.epoch_loss += self.optimisation.train_on(batch, self._derive("step", step))

    def _batches(self, epoch: int) -> list[IntArray]:
        """Return an epoch's batches; drawing all of them at each step would cost steps squared."""
        if self._order[0] != epoch:
            seed = self._derive("order", epoch)
            batches = epoch_batches(self.train_lengths_N, self.config.batch_size, seed)
            self._order = epoch, batches
        return self._order[1]

    def _validate(self) -> EpochRecord:
        """End the epoch: score the validation part, keep the epoch if it is the best so far."""
        net = self._net()
        proba_NK = self._predict_valid(net)
        record = self._record(proba_NK)
        if not self.best or rank(record) > rank(self.history[self.best["epoch"] - 1]):
            self.best = {
                "epoch": record["epoch"],
                "weights": self.optimisation.weights(),
                "valid_proba_NK": torch.from_numpy(proba_NK),
            }
        is_fixed = record["epoch"] == self._fixed_epoch
        imu_NK = None
        if is_fixed or self.sizes.light_columns:
            imu_NK = self._predict_imu(net)
        if imu_NK is not None and self.sizes.light_columns:
            self._keep_if_best_imu(self._record(imu_NK))
        if is_fixed:
            self.fixed = {
                "valid_proba_NK": torch.from_numpy(proba_NK),
                "valid_proba_imu_NK": None if imu_NK is None else torch.from_numpy(imu_NK),
            }
        self.history.append(record)
        self.epoch_loss = 0.0
        return record

    def _record(self, proba_NK: NDArray[np.float64]) -> EpochRecord:
        """Return the epoch's numbers by what it says of the validation part."""
        return record_epoch(
            len(self.history) + 1,
            train_loss=self.epoch_loss / self.batches_per_epoch,
            learning_rate=self.optimisation.learning_rate,
            true_idx=self.task.label_idx[self.task.valid_idx],
            proba_NK=proba_NK,
            num_targets=self.task.num_targets,
        )

    def _keep_if_best_imu(self, record: EpochRecord) -> None:
        """Keep the weights of the IMU's network if it is better than it ever was."""
        if not self.best_imu or rank(record) > rank(self.best_imu["record"]):
            weights = self.optimisation.weights().items()
            self.best_imu = {
                "record": record,
                "weights": {
                    name: tensor for name, tensor in weights if name.startswith(IMU_PREFIX)
                },
            }

    def _is_validation_due(self) -> bool:
        """Return whether an epoch's batches are done and its validation is not."""
        return self.optimisation.step == (len(self.history) + 1) * self.batches_per_epoch

    @property
    def _fixed_epoch(self) -> int:
        """Return the epoch that is scored beside the best one."""
        return min(self.config.fixed_epochs, self.config.epochs)

    def _is_finished(self) -> bool:
        """Return whether all epochs ran, or the patience is spent and the fixed epoch reached."""
        num_epochs = len(self.history)
        is_patience_spent = (
            num_epochs >= self._fixed_epoch
            and num_epochs - self.best["epoch"] >= self.config.patience_epochs
        )
        return is_patience_spent or num_epochs == self.config.epochs

    def _predict_valid(self, net: GestureNet) -> NDArray[np.float64]:
        """Predict the validation part, as ``predict_fold`` will with the network's weights."""
        return predict_scaled(net, self.batch_maker.scaled, self.task.valid_idx, self.length)

    def _tempered_sizes(self) -> NetworkSizes:
        """Return the sizes, with the temperature that the best epoch's validation asks for."""
        if not self.config.fit_temperature:
            return self.sizes
        tiny = np.finfo(np.float64).tiny
        logits_NK = np.log(np.maximum(self.best["valid_proba_NK"].numpy(), tiny))
        logits_NK *= self.sizes.temperature
        fitted = fit_temperature(logits_NK, self.task.label_idx[self.task.valid_idx])
        return replace(self.sizes, temperature=fitted)

    def _net(self) -> GestureNet:
        """Return the averaged network as it is now, in float64 and ready to predict."""
        return copy.deepcopy(self.optimisation.averaged).double().eval()

    def _predict_imu(self, net: GestureNet) -> NDArray[np.float64] | None:
        """Predict the validation part by the IMU alone, where there are other sensors."""
        if not set(HIDEABLE_GROUPS) & set(self.frames.groups):
            return None
        return predict_scaled(
            net,
            self.batch_maker.scaled,
            self.task.valid_idx,
            self.length,
            hidden_groups=HIDEABLE_GROUPS,
        )

    def _derive(self, *use: str | int) -> int:
        """Return this fold's seed for one use."""
        return derive_seed(self.seed, "torch", self.fold, *use)
