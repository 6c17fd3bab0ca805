"""The network as a model of a run: PyTorch on frames, one row per time step.

In and out: see ``trainer.models.base``.

Shapes: N sequences, T time steps, P pooled time steps, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.config import Config, NetworkConfig
from trainer.models import own_networks
from trainer.models.base import (
    Checkpoint,
    DataSize,
    FittedFold,
    FoldResult,
    FoldTask,
    Model,
    Proba,
)
from trainer.models.fold_task import CANARY_SEED, generated_task
from trainer.models.monitor import Monitor, SilentMonitor

if TYPE_CHECKING:
    from trainer.data.preprocess import Signals
    from trainer.features.frames import Frames
    from trainer.models.network.inference import NetworkModel

S_PER_TIME_STEP = 2.5e-5  # an epoch, per time step, at the widths of FULL_WIDTH
STATISTICS_SHARE = 0.15  # of the time of a network on steps
FULL_WIDTH = 64 * 128 + 4 * 64 * (128 + 64)
# in errors of torch on a CPU, of cuDNN and cuBLAS, of CUDA: torch has no class for those
OUT_OF_MEMORY = ("DefaultCPUAllocator", "ALLOC_FAILED", "CUDA error: out of memory")
NUM_THREADS = 1  # of prediction; more would change the last bits


class Network(Model):
    """The PyTorch network on frames, which resumes exactly at any step."""

    name = "torch"
    title = "Network"
    phrase = "the network"
    step_title = "epoch"
    step_name = "step"
    inputs = "frames"
    libraries = ("torch",)
    code_name = "network"
    code_version = 8
    fold_file = "torch_models/fold{fold:02d}.pt"
    checkpoint_file = "torch_models/fold{fold:02d}_last.pth"
    file_format = "tensors"
    has_attention = True
    uses_gpu = True
    saves_on_pause = True
    memory_settings = ("network.batch_size", "network.conv_channels", "network.recurrent_units")

    def settings(self, config: Config) -> NetworkConfig:
        """Return the model's part of the configuration, a network of own code with its file."""
        architecture = own_networks.qualified(config.network.kind, config.use)
        if architecture == config.network.kind:
            return config.network
        return config.network.model_copy(update={"architecture": architecture})

    def max_steps(self, config: Config) -> int:
        """Return the number of epochs."""
        return config.network.num_epochs

    def choose_settings(self, config: Config, size: DataSize) -> Config:
        """Choose architecture, epochs and members by the number of sequences, where not set."""
        chosen = config.network.chosen_for(size.num_sequences)
        return config.model_copy(update={"network": chosen})

    def selects_best(self, config: Config) -> bool:
        """Return whether the best epoch on the validation part is selected."""
        return config.network.select == "best"

    def num_threads(self, config: Config) -> int:
        """Return torch's threads."""
        return config.network.num_threads

    def estimate_s(self, config: Config, size: DataSize) -> float:
        """Return about how many seconds a fold takes, by its time steps and widths."""
        network = config.network
        first, second = network.conv_channels
        has_imu_network = network.imu_network and size.has_optional_sensors
        num_networks = network.num_members + STATISTICS_SHARE * network.num_statistics_members
        num_networks *= 2 if has_imu_network else 1
        width = first * second + 4 * network.recurrent_units * (second + network.recurrent_units)
        return (
            network.num_epochs
            * num_networks
            * size.num_rows
            * (1.0 - 1.0 / config.folds.count)
            * S_PER_TIME_STEP
            * (0.3 + 0.7 * width / FULL_WIDTH)  # a third is per step and independent of the width
        )

    def fit(
        self,
        task: FoldTask,
        config: Config,
        seed: int,
        fold: int,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
    ) -> FoldResult:
        """Fit one fold; see ``trainer.models.network.fold``."""
        from trainer.models.network.fold import fit_fold
        from trainer.models.network.packed_network import pack

        fitted = fit_fold(
            *(task, self.settings(config), seed, fold, monitor, checkpoint),
            config.frames.length,
        )
        return FoldResult(
            proba_NK=fitted.valid_proba_NK,
            proba_imu_NK=fitted.valid_proba_imu_NK,
            known_K=task.known_K,
            best_step=fitted.best_epoch,
            packed=pack(fitted.model),
            best_proba_NK=fitted.best_proba_NK,
            best_proba_imu_NK=fitted.best_proba_imu_NK,
        )

    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Return the model of a packed fold."""
        from trainer.models.network.packed_network import unpack

        return FittedNetwork(unpack(packed))

    def canary(self, config: Config) -> str:
        """Return the hash of the weights after an epoch of two steps."""
        from trainer.models.network.fold import fit_fold

        task = generated_task(self.inputs)
        settings = self.settings(config).model_copy(update={"epochs": 1, "batch_size": 8})
        fitted = fit_fold(task, settings, CANARY_SEED, 0, SilentMonitor(), length=16)
        digest = sha256()
        for name, tensor in sorted(fitted.model.weights.items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    def prepare(self, signals: Signals) -> Frames:
        """Return frames with all channels, and set torch to one thread for prediction."""
        import torch

        from trainer.features.frames import build_frames

        torch.set_num_threads(NUM_THREADS)
        return build_frames(signals, "all")

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the memory of the GPU or of the machine was too small."""
        import torch

        is_known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        return is_known or any(text in str(error) for text in OUT_OF_MEMORY)

    def import_libraries(self) -> None:
        """Import torch and the network."""
        super().import_libraries()
        import trainer.models.network.fold  # noqa: F401 - only to have it imported


@dataclasses.dataclass(frozen=True)
class FittedNetwork(FittedFold):
    """One fold's network.

    Attributes:
        model: Its network is built at the first prediction.
    """

    model: NetworkModel

    @property
    def has_attention(self) -> bool:
        """Return whether the network has attention weights; one of own code need not."""
        architecture = self.model.sizes.architecture
        if not own_networks.is_own(architecture):
            return True
        from trainer.models.network.own_network import has_attention

        return has_attention(architecture)

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups of the channels."""
        return tuple(dict.fromkeys(self.model.groups))

    def predict(self, inputs: Frames, is_batch: bool = False) -> Proba:
        """Return the probabilities of all sequences of frames, (N, K)."""
        from trainer.models.network.inference import predict_fold

        return predict_fold(self.model, inputs, np.arange(len(inputs.offsets) - 1))

    def attention(self, frames: Frames) -> NDArray[np.float64]:
        """Return the weight of each time step of the only sequence, (T,).

        Steps before the last ``length``, which are not part of the frame, have weight 0. The steps
        of one pooled step share its weight equally.
        """
        from trainer.models.network.inference import attend_fold
        from trainer.models.network.layers import TIME_MULTIPLE

        num_steps = len(frames.values_TC)
        weights_P = attend_fold(self.model, frames, np.array([0]))[0]
        num_used = min(num_steps, self.model.length)
        pooled_idx = np.arange(num_used) // TIME_MULTIPLE
        weights_T = np.zeros(num_steps)
        weights_T[num_steps - num_used :] = (weights_P / np.bincount(pooled_idx))[pooled_idx]
        return weights_T
