"""Runs on a GPU: exact resume, mixed precision, another device, too little memory."""

import signal

import pytest
import torch

from tests.support.fold_tasks import NETWORK_CONFIG, fit_frame_fold
from tests.support.gpu_runs import CPU, FIRST, TWO, networks_of, train_on_gpus
from tests.support.network_folds import StopAt, bits, interrupt
from tests.support.tiny_runs import kill_at_step, problems_of
from trainer.models.network import optimizer
from trainer.models.network.optimizer import TrainingDivergedError
from trainer.store.reader import RunReader
from trainer.store.records import read_record
from trainer.store.resume_record import ResumeRecord

pytestmark = pytest.mark.gpu
KILLED = -signal.SIGKILL
INEXACT = "continued, not bit-exact: the canary of torch differs"


def killed_at(root, source, step, gpus=FIRST):
    """Kill a run without warning at a step of its second fold, in the middle of an epoch."""
    code, output = train_on_gpus(root, source, gpus=gpus, prepare=kill_at_step("torch", 1, step))
    assert code == KILLED, output


def finish(root, source, gpus=FIRST):
    code, output = train_on_gpus(root, source, gpus=gpus)
    assert code == 0, output
    return read_record(root / "resume_record.json", ResumeRecord)


def test_the_network_is_trained_on_the_gpu(whole):
    """Its name is part of the run's versions."""
    versions = RunReader(whole).run_file().versions
    assert versions["gpu"] == torch.cuda.get_device_name(0)


def test_two_runs_have_the_same_bits(whole, tiny_source, tmp_path):
    code, output = train_on_gpus(tmp_path / "again", tiny_source)
    assert code == 0, output
    assert networks_of(tmp_path / "again") == networks_of(whole)


@pytest.mark.parametrize("step", [2, 4, 8])
def test_a_run_killed_inside_an_epoch_resumes_to_the_same_bits(whole, tiny_source, tmp_path, step):
    """SIGKILL between two steps of an epoch; deterministic algorithms are on."""
    root = tmp_path / "killed"
    killed_at(root, tiny_source, step)
    assert finish(root, tiny_source).is_exact
    assert networks_of(root) == networks_of(whole)


@pytest.mark.parametrize(("first", "second"), [(CPU, FIRST), (FIRST, CPU)])
def test_a_run_continues_on_another_device_and_is_not_called_exact(
    tiny_source, tmp_path, first, second
):
    """A checkpoint of a CPU on a GPU and back; the problem names the GPU."""
    root = tmp_path / "moved"
    killed_at(root, tiny_source, 4, first)
    killed_at(root, tiny_source, 8, second)
    assert not finish(root, tiny_source, first).is_exact
    found = [text for text in problems_of(root) if text.startswith(INEXACT)]
    assert len(found) == 1
    assert f"gpu {'none -> ' if first == CPU else ''}{torch.cuda.get_device_name(0)}" in found[0]


def test_too_little_memory_of_the_gpu_ends_the_run_in_words(tiny_source, tmp_path):
    """The state is failed and the message has the ways on; with memory the run is made."""
    root = tmp_path / "full"
    little = "import torch; torch.cuda.set_per_process_memory_fraction(1e-6)\n"
    code, output = train_on_gpus(root, tiny_source, prepare=little)
    assert code != 0
    status = RunReader(root).status()
    assert status.state == "failed"
    assert "not enough memory (CUDA out of memory" in status.error, output
    assert "start another run with smaller network.batch_size" in status.error
    code, output = train_on_gpus(root, tiny_source)
    assert code == 0, output


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_two_gpus_train_one_network_and_resume_to_the_same_bits(tiny_source, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, output = train_on_gpus(whole, tiny_source, gpus=TWO)
    assert code == 0, output
    killed_at(killed, tiny_source, 4, TWO)
    assert finish(killed, tiny_source, TWO).is_exact
    assert networks_of(killed) == networks_of(whole)
    assert RunReader(whole).run_file().versions["gpu"].count(", ") == 1


# Mixed precision, in this process


@pytest.fixture
def overflowing(monkeypatch):
    """Make the scaled gradients of the first steps overflow half precision."""
    monkeypatch.setattr(
        optimizer,
        "_make_amp_scaler",
        lambda device: torch.amp.GradScaler("cuda", init_scale=2.0**24, growth_interval=3),
    )


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("step", [1, 2, 5])
def test_steps_that_overflow_half_precision_are_skipped_and_resumed(overflowing, step):
    """The scale is halved, weights stay finite, and a pause changes no bit."""
    monitor = StopAt()
    whole = fit_frame_fold(monitor)
    assert monitor.last["amp_scaler"]["scale"] < 2.0**24
    assert all(torch.isfinite(tensor).all() for tensor in monitor.last["model"].values())
    assert bits(fit_frame_fold(checkpoint=interrupt(step))) == bits(whole)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_loss_that_stays_infinite_ends_the_fold():
    config = NETWORK_CONFIG.model_copy(update={"learning_rate": 1e30, "epochs": 30})
    with pytest.raises(TrainingDivergedError, match=r"lower network\.learning_rate"):
        fit_frame_fold(config=config)
