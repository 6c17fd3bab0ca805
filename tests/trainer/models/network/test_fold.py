"""One network fold: exact resume from every step, its checkpoint, its predictions."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.fold_tasks import (
    NETWORK_CONFIG,
    NETWORK_SEED,
    fit_frame_fold,
    fit_network,
    make_frame_task,
)
from tests.support.network_folds import StopAt, bits, interrupt, predict_exactly
from trainer.features.frames import Frames
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.network import fold, optimizer
from trainer.models.network.inference import attend_fold
from trainer.models.network.optimizer import TrainingDivergedError, reproducible

STEPS = 9  # 3 epochs of 12 // 4 batches


@pytest.fixture(scope="module")
def whole():
    """A fold that was never interrupted."""
    return fit_frame_fold()


# safe points: before each of 9 steps, and before each of 3 validations
@pytest.mark.parametrize("stop_at", range(STEPS + 3))
def test_a_fold_paused_at_any_safe_point_ends_with_the_same_bits(whole, stop_at):
    """Weights, probabilities, history and score are those of a fold that was never paused."""
    assert bits(fit_frame_fold(checkpoint=interrupt(stop_at))) == bits(whole)


@pytest.mark.parametrize("stop_at", [2, STEPS + 2])
def test_a_fold_of_branches_resumes_with_the_same_bits(stop_at):
    """The other architecture as well, and without averaged weights."""
    config = NETWORK_CONFIG.model_copy(
        update={"architecture": "branches", "conv_channels": (16, 16), "ema_decay": 0.0}
    )
    monitor = StopAt(stop_at)
    with pytest.raises(Paused):
        fit_frame_fold(monitor, config=config)
    assert bits(fit_frame_fold(checkpoint=monitor.last, config=config)) == bits(
        fit_frame_fold(config=config)
    )


@pytest.mark.parametrize("stop_at", [0, 2, 7, STEPS + 2])
def test_a_fold_of_several_members_resumes_with_the_same_bits(stop_at):
    """Two members and one on statistics in one fold: one checkpoint, one optimiser."""
    config = NETWORK_CONFIG.model_copy(update={"members": 2, "statistics_members": 1})
    monitor = StopAt(stop_at)
    with pytest.raises(Paused):
        fit_frame_fold(monitor, config=config)
    assert bits(fit_frame_fold(checkpoint=monitor.last, config=config)) == bits(
        fit_frame_fold(config=config)
    )


@pytest.mark.parametrize("stop_at", [0, 2, 7, STEPS + 2])
def test_a_fold_whose_best_epoch_is_selected_resumes_with_the_same_bits(whole, stop_at):
    """The weights of the best epoch are in the checkpoint; they are not the last ones."""
    config = NETWORK_CONFIG.model_copy(update={"select": "best"})
    monitor = StopAt(stop_at)
    with pytest.raises(Paused):
        fit_frame_fold(monitor, config=config)
    fold = fit_frame_fold(config=config)
    assert bits(fit_frame_fold(checkpoint=monitor.last, config=config)) == bits(fold)
    np.testing.assert_array_equal(fold.valid_proba_NK, whole.best_proba_NK)
    np.testing.assert_array_equal(fold.valid_proba_imu_NK, whole.best_proba_imu_NK)
    assert np.abs(fold.valid_proba_NK - whole.valid_proba_NK).max() > 1e-3


def test_the_model_of_a_fold_is_that_of_its_last_epoch(whole):
    """Its score and accuracy are those of the last record; no epoch is left out."""
    assert whole.num_epochs == len(whole.history) == NETWORK_CONFIG.epochs
    hits_N = whole.valid_proba_NK.argmax(axis=1) == make_frame_task().label_idx[12:]
    assert whole.history[-1]["accuracy"] == hits_N.mean()
    assert whole.score.score == whole.history[-1]["score"]


def test_the_averaged_weights_are_a_running_mean_and_they_are_what_is_kept():
    """With a decay of 0 they are the network's; else they lag behind it, statistics too."""
    for decay, is_same in ((0.0, True), (0.9, False)):
        monitor = StopAt()
        fold = fit_frame_fold(
            monitor,
            config=NETWORK_CONFIG.model_copy(update={"ema_decay": decay, "select": "best"}),
        )
        current, averaged = monitor.last["model"], monitor.last["averaged"]
        for name in ("whole.head.0.weight", "imu.first_block.norm.running_var"):
            assert current[name].equal(averaged[name]) is is_same
        assert monitor.last["best"]["weights"].keys() == averaged.keys() == current.keys()
        last = fit_frame_fold(config=NETWORK_CONFIG.model_copy(update={"ema_decay": decay}))
        last_NK = predict_exactly(
            replace(fold.model, weights=averaged), make_frame_task().inputs, np.arange(12, 18)
        )
        np.testing.assert_array_equal(last_NK, last.valid_proba_NK)


def test_the_imu_network_does_not_change_the_one_for_all_sensors():
    """With or without it, gradients clipped: the same weights, to the last bit."""
    config = NETWORK_CONFIG.model_copy(update={"gradient_clip": 0.05})
    pair, alone = (
        fit_frame_fold(config=config.model_copy(update={"imu_network": is_pair}))
        for is_pair in (True, False)
    )
    weights, expected = pair.model.weights, alone.model.weights
    assert all(weights[f"whole.{name}"].equal(tensor) for name, tensor in expected.items())
    assert len(weights) > len(expected)
    np.testing.assert_array_equal(pair.valid_proba_NK, alone.valid_proba_NK)
    assert np.abs(pair.valid_proba_imu_NK - alone.valid_proba_imu_NK).max() > 1e-3


def test_an_average_over_two_steps_is_worked_out_by_hand():
    """Decay min(0.9, 1 / 11) after the first step, min(0.9, 2 / 12) after the second."""
    monitors = [StopAt(stop_at) for stop_at in (0, 1, 2)]
    for monitor in monitors:
        with pytest.raises(Paused):
            fit_frame_fold(monitor)
    first, one, two = (monitor.last["model"]["imu.head.0.weight"].double() for monitor in monitors)
    expected = (first * 1 / 11 + one * 10 / 11) * 1 / 6 + two * 5 / 6
    averaged = monitors[2].last["averaged"]["imu.head.0.weight"].double()
    torch.testing.assert_close(averaged, expected, atol=1e-6, rtol=0)


def test_a_fold_paused_before_every_step_ends_with_the_same_bits(whole):
    """Each session takes one step, or one validation, and is paused again."""
    checkpoint = interrupt(0)
    for _ in range(STEPS + 2):
        checkpoint = interrupt(1, checkpoint)
    assert bits(fit_frame_fold(checkpoint=checkpoint)) == bits(whole)


def test_a_killed_fold_resumes_from_any_save_with_the_same_bits(whole):
    """Saving after every step changes no number, and every save can be resumed from."""
    monitor = StopAt(saves_always=True)
    assert bits(fit_frame_fold(monitor)) == bits(whole)
    assert len(monitor.saved) == STEPS + 3
    for saved in monitor.saved:
        checkpoint = torch.load(io.BytesIO(saved), weights_only=True)
        assert bits(fit_frame_fold(checkpoint=checkpoint)) == bits(whole)


@pytest.mark.parametrize(
    "key",
    [
        *("model", "averaged", "optimizer", "scheduler", "step", "epoch_loss", "history", "best"),
        "best_imu",
    ],
)
def test_a_checkpoint_without_any_one_part_would_not_be_exact(whole, key):
    """Negative control: with one part as at the start, resuming fails or gives other bits."""
    checkpoint = interrupt(10)  # in epoch 3, after its second batch and after the best epoch
    checkpoint[key] = interrupt(0)[key]
    try:
        resumed = bits(fit_frame_fold(checkpoint=checkpoint))
    except (ValueError, IndexError, KeyError):
        return
    assert resumed != bits(whole)


def test_the_negative_controls_are_complete(whole):
    """Every key of a checkpoint has its control; losing the best epoch would show."""
    assert set(interrupt(10)) == {
        *("model", "averaged", "optimizer", "scheduler", "amp_scaler", "step", "total_steps"),
        *("epoch_loss", "history", "best", "best_imu"),
    }
    assert whole.best_epoch < 3


@pytest.fixture
def overflowing(monkeypatch):
    """An AMP scaler on the CPU whose scale doubles every step, until gradients are infinite."""
    plain_losses = optimizer.Optimization._losses
    monkeypatch.setattr(
        optimizer,
        "_make_amp_scaler",
        lambda _device: torch.amp.GradScaler("cpu", init_scale=2.0**103, growth_interval=1),
    )
    monkeypatch.setattr(  # float32 has larger numbers than the largest scale
        optimizer.Optimization,
        "_losses",
        lambda self, batch: tuple(2.0**20 * loss for loss in plain_losses(self, batch)),
    )


def test_the_amp_scaler_resumes_where_it_was(overflowing):
    """With gradients that overflow, so that steps are skipped: the same bits from every save."""
    monitor = StopAt(saves_always=True)
    expected = bits(fit_frame_fold(monitor))
    scales = [
        torch.load(io.BytesIO(saved), weights_only=True)["amp_scaler"]["scale"]
        for saved in monitor.saved
    ]
    assert min(np.diff(np.log2(scales))) == -1  # a step was skipped, and the scale halved
    for saved in monitor.saved:
        assert (
            bits(fit_frame_fold(checkpoint=torch.load(io.BytesIO(saved), weights_only=True)))
            == expected
        )


def test_a_checkpoint_without_the_amp_scaler_would_not_be_exact(overflowing):
    """Negative control: the first scale again gives other bits."""
    expected = bits(fit_frame_fold())
    checkpoint = interrupt(3)
    checkpoint["amp_scaler"] = interrupt(0)["amp_scaler"]
    assert bits(fit_frame_fold(checkpoint=checkpoint)) != expected


def test_a_pause_happens_at_the_step_of_its_request():
    """Nothing is trained after the request, and what was trained is in the checkpoint."""
    monitor = StopAt(2)
    with pytest.raises(Paused):
        fit_frame_fold(monitor)
    assert monitor.steps == [(1, STEPS), (2, STEPS)]
    assert monitor.last["step"] == 2
    assert monitor.last["history"] == []


def test_every_epoch_is_recorded_once_and_without_times(whole):
    """The monitor receives the records of the fold's history, counted from 1."""
    monitor = StopAt()
    fold = fit_frame_fold(monitor)
    assert fold.history == tuple(monitor.records) == whole.history
    assert [record["epoch"] for record in monitor.records] == [1, 2, 3]
    assert set(monitor.records[0]) == {
        *("epoch", "train_loss", "valid_loss", "score", "binary_f1", "macro_f1"),
        *("accuracy", "learning_rate"),
    }


def test_the_best_epoch_has_the_highest_score_then_the_lowest_loss(whole):
    """And where it is selected, the fold's score is that epoch's."""
    ranks = [(record["score"], -record["valid_loss"]) for record in whole.history]
    assert whole.best_epoch == 1 + ranks.index(max(ranks))
    selected = fit_frame_fold(config=NETWORK_CONFIG.model_copy(update={"select": "best"}))
    assert selected.score.score == max(ranks)[0]


def test_patience_ends_a_fold_early_also_when_resumed():
    """With a patience of 1, the first epoch that is not the best is the last."""
    config = NETWORK_CONFIG.model_copy(
        update={"epochs": 30, "patience_epochs": 1, "select": "best"}
    )
    monitor = StopAt(saves_always=True)
    fold = fit_frame_fold(monitor, config=config)
    assert fold.num_epochs == fold.best_epoch + 1 < 30
    for saved in monitor.saved[-3:]:
        checkpoint = torch.load(io.BytesIO(saved), weights_only=True)
        assert bits(fit_frame_fold(checkpoint=checkpoint, config=config)) == bits(fold)


def test_a_checkpoint_of_another_schedule_is_refused():
    """OneCycleLR would silently continue with the old number of steps."""
    config = NETWORK_CONFIG.model_copy(update={"epochs": 4})
    with pytest.raises(ValueError, match="expected a schedule of 12 steps, got one of 9"):
        fit_frame_fold(checkpoint=interrupt(2), config=config)


def test_a_loss_that_is_not_finite_ends_the_fold():
    """The error names the step and what to do."""
    config = NETWORK_CONFIG.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingDivergedError, match=r"lower network\.learning_rate"):
        fit_frame_fold(config=config)


def test_a_wrapper_for_several_gpus_changes_no_name_and_no_bit(whole, monkeypatch):
    """With DataParallel around the network, no saved name begins with "module."."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monitor = StopAt()
    fold = fit_frame_fold(monitor)
    names = [*fold.model.weights, *monitor.last["model"], *monitor.last["best"]["weights"]]
    assert not [name for name in names if "module" in name]
    assert bits(fold) == bits(whole)


def test_new_memory_is_not_filled_and_no_bit_depends_on_it(whole, monkeypatch):
    """Filling it costs a fifth of an epoch; with it, a fold ends with the same bits."""
    with reproducible(1):
        assert not torch.utils.deterministic.fill_uninitialized_memory

    @contextmanager
    def filling(num_threads):
        with reproducible(num_threads):
            torch.utils.deterministic.fill_uninitialized_memory = True
            yield

    monkeypatch.setattr(fold, "reproducible", filling)
    assert bits(fit_frame_fold()) == bits(whole)


def test_a_sequence_is_predicted_alone_as_in_a_batch(whole):
    """Probabilities agree to 1e-6, sum to 1, and are those of the fold's validation."""
    task = make_frame_task()
    together_NK = predict_exactly(whole.model, task.inputs, task.valid_idx)
    alone_NK = predict_exactly(whole.model, task.inputs, task.valid_idx, batch_size=1)
    np.testing.assert_allclose(alone_NK, together_NK, rtol=0, atol=1e-6)
    np.testing.assert_allclose(together_NK.sum(axis=1), 1.0)
    np.testing.assert_array_equal(together_NK, whole.valid_proba_NK)
    assert together_NK.dtype == np.float64


def test_imu_probabilities_are_those_without_thermopiles_and_time_of_flight(whole):
    """Hidden, missing and absent columns are the same to a model."""
    task = make_frame_task()
    imu_frames = Frames(
        offsets=task.inputs.offsets,
        values_TC=task.inputs.values_TC[:, :4],
        channels=task.inputs.channels[:4],
        groups=task.inputs.groups[:4],
    )
    imu_NK = predict_exactly(whole.model, imu_frames, task.valid_idx)
    np.testing.assert_array_equal(imu_NK, whole.valid_proba_imu_NK)
    assert np.abs(imu_NK - whole.valid_proba_NK).max() > 1e-3
    fold = fit_network(
        replace(task, inputs=imu_frames), NETWORK_CONFIG, NETWORK_SEED, 1, SilentMonitor()
    )
    assert fold.valid_proba_imu_NK is None


def test_attention_covers_the_steps_that_a_sequence_has(whole):
    """One weight for 4 steps, at most ``length`` steps, summing to 1."""
    weights = attend_fold(whole.model, make_frame_task().inputs, np.array([0, 3, 4, 17]))
    assert [len(weights_P) for weights_P in weights] == [2, 2, 3, 5]  # 5, 8, 9, 22 steps
    assert [weights_P.sum() for weights_P in weights] == pytest.approx([1.0] * 4)
