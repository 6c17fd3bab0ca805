"""Optimizing a network: the schedule, and the settings of torch."""

import numpy as np
import pytest
import torch

from tests.support.fold_tasks import NETWORK_CONFIG, fit_frame_fold
from tests.support.network_folds import StopAt, bits, interrupt
from trainer.config import NetworkConfig
from trainer.models.network import optimizer
from trainer.models.network.gesture_net import NetworkSizes
from trainer.models.network.optimizer import Optimization, TrainingDivergedError
from trainer.models.tensor_file import dump_tensors, load_tensors
from trainer.plain_data import DamagedDataError


def test_the_settings_of_torch_are_restored():
    """Threads, deterministic algorithms and no filling are set during a fit only."""
    threads = torch.get_num_threads()
    assert torch.utils.deterministic.fill_uninitialized_memory
    fit_frame_fold(config=NETWORK_CONFIG.model_copy(update={"num_threads": threads + 1}))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize("total_steps", [1, 2, 10, 11])
def test_a_schedule_of_any_length_runs_to_its_end(total_steps):
    """With 10 steps and a share of 0.1 the rate would rise in one step, from 0 to 0."""
    sizes = NetworkSizes(3, 2, (4, 4), 4, 0.0)
    optimizer = Optimization(sizes, NetworkConfig(warmup_share=0.1), total_steps, seed=1)
    for _ in range(total_steps - 1):
        optimizer._optimizer.step()
        optimizer._scheduler.step()
    assert 0.0 <= optimizer.learning_rate < 1e-4


# Mixed precision, with the gradient scaler of a GPU on the CPU


@pytest.fixture
def scaled(monkeypatch):
    """Use an AMP scaler on the CPU; its first scale makes the first gradients overflow."""

    def use(scale):
        monkeypatch.setattr(
            optimizer,
            "_make_amp_scaler",
            lambda device: torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3),
        )

    return use


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_step_whose_gradients_overflow_is_skipped_and_the_scale_is_halved(scaled):
    scaled(2.0**127)
    monitor = StopAt()
    fit_frame_fold(monitor)
    scale = monitor.last["amp_scaler"]["scale"]
    assert 0.0 < scale < 2.0**127
    assert all(torch.isfinite(tensor).all() for tensor in monitor.last["model"].values())


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_fold_with_skipped_steps_resumes_to_the_same_bits(scaled, step):
    """The scale and its count of steps without an overflow are in the checkpoint."""
    scaled(2.0**127)
    assert bits(fit_frame_fold(checkpoint=interrupt(step))) == bits(fit_frame_fold())


def test_a_loss_that_stays_infinite_ends_the_fold_with_a_scaler_too(scaled):
    """Skipping steps for ever would train nothing until the last epoch."""
    scaled(4.0)
    config = NETWORK_CONFIG.model_copy(update={"learning_rate": 1e30, "epochs": 30})
    with pytest.raises(TrainingDivergedError, match=r"lower network\.learning_rate"):
        fit_frame_fold(config=config)


def test_a_checkpoint_of_a_cpu_is_loaded_where_there_is_a_scaler(scaled):
    """Its state of the scaler is empty, which torch refuses to load."""
    checkpoint = interrupt(2)
    assert checkpoint["amp_scaler"] == {}
    scaled(2.0)
    monitor = StopAt()
    fit_frame_fold(monitor, checkpoint=checkpoint)
    assert monitor.last["amp_scaler"]["scale"] >= 2.0


def test_a_checkpoint_with_a_scaler_is_loaded_on_a_cpu(scaled, monkeypatch):
    scaled(2.0)
    checkpoint = interrupt(2)
    monkeypatch.undo()
    fold = fit_frame_fold(checkpoint=checkpoint)
    assert fold.num_epochs == NETWORK_CONFIG.epochs


def test_weights_in_one_storage_survive_a_file():
    """As cuDNN lays out the weights of a recurrent layer."""
    flat = torch.arange(10.0)
    saved = {"first": flat[:6].view(2, 3), "second": flat[6:]}
    read = load_tensors(dump_tensors(saved))
    assert {name: tensor.tolist() for name, tensor in read.items()} == {
        "first": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "second": [6.0, 7.0, 8.0, 9.0],
    }


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_skipped_step_without_a_finite_loss_leaves_the_history_finite(scaled, monkeypatch):
    """Its loss would make the mean of the epoch NaN, which no checkpoint may contain."""
    scaled(2.0**10)
    check = Optimization._losses

    def overflow(self, batch):
        loss, auxiliary = check(self, batch)
        return (loss * torch.inf if self.step in (0, 4) else loss), auxiliary

    monkeypatch.setattr(Optimization, "_losses", overflow)
    whole = fit_frame_fold()
    assert all(np.isfinite(record["train_loss"]) for record in whole.history)
    for step in (1, 5, 6):
        assert bits(fit_frame_fold(checkpoint=interrupt(step))) == bits(whole)


@pytest.mark.parametrize(
    "change",
    [
        *({"scale": float("nan")}, {"scale": -1.0}, {"scale": "2"}, {"_growth_tracker": 1e9}),
        *({"growth_interval": 10**30}, {"backoff_factor": None}),
    ],
)
def test_a_hostile_state_of_the_scaler_is_refused(scaled, change):
    scaled(2.0)
    checkpoint = interrupt(2)
    checkpoint["amp_scaler"] |= change
    with pytest.raises(DamagedDataError, match=next(iter(change))):
        fit_frame_fold(checkpoint=checkpoint)
