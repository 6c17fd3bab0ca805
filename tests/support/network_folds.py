"""A fold of the network that is interrupted, and the bits of its result."""

from __future__ import annotations

import io

import pytest
import torch

from tests.support.fold_tasks import fit_frame_fold
from trainer.features.batches import scale
from trainer.features.frames import align_channels
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.network.inference import predict_scaled


class StopAt(SilentMonitor):
    """Requests a stop at the n-th safe point; keeps checkpoints as a file's bytes."""

    def __init__(self, stop_at: int = -1, saves_always: bool = False):
        self.num_checks, self.stop_at, self.saves_always = -1, stop_at, saves_always
        self.saved: list[bytes] = []
        self.steps: list[tuple[int, int]] = []
        self.records: list[dict[str, float]] = []

    def should_stop(self):
        self.num_checks += 1
        return self.num_checks == self.stop_at

    def is_save_due(self):
        return self.saves_always

    def advance(self, step, total):
        self.steps.append((step, total))

    def record(self, event, values):
        assert event == "epoch"
        self.records.append(values)

    def save(self, checkpoint):
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self.saved.append(buffer.getvalue())

    @property
    def last(self):
        return torch.load(io.BytesIO(self.saved[-1]), weights_only=True, map_location="cpu")


def interrupt(stop_at, checkpoint=None):
    """Return the checkpoint of a fold that is paused at its n-th safe point."""
    monitor = StopAt(stop_at)
    with pytest.raises(Paused):
        fit_frame_fold(monitor, checkpoint)
    return monitor.last


def predict_exactly(model, frames, sequence_idx, **options):
    """Predict in float64 throughout, as a fold predicts its validation rows."""
    scaled = scale(align_channels(frames, model.channels, model.groups), model.scaler)
    return predict_scaled(model.network, scaled, sequence_idx, model.length, **options)


def bits(fold):
    """The whole result of a fold, comparable with ==."""
    return (
        {name: tensor.numpy().tobytes() for name, tensor in fold.model.weights.items()},
        fold.valid_proba_NK.tobytes(),
        fold.valid_proba_imu_NK.tobytes(),
        fold.best_proba_NK.tobytes(),
        fold.best_proba_imu_NK.tobytes(),
        fold.history,
        fold.best_epoch,
        fold.score,
    )
