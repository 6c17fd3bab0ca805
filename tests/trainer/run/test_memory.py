"""Too little memory: a fold that cannot be fitted ends the run in words."""

import pytest
import torch

from tests.support.fold_tasks import BOOSTING_CONFIG
from tests.support.tiny_runs import events_of, tiny_config, train
from trainer.config import Config
from trainer.models import registry
from trainer.models.fold_task import generated_task
from trainer.models.libraries import ModelError
from trainer.models.monitor import SilentMonitor
from trainer.models.network.optimizer import Optimization
from trainer.store.reader import RunReader

CANARY_STEPS = 2
REMEDY = "Close other programs that use it, then resume; or start another run with smaller "


def run_out_of_memory(monkeypatch, fail, in_canary=False):
    """Make the second step of the network's first fold, or of its canary, fail."""

    def train_on(self, batch, seed):
        if self.step and (in_canary or self.total_steps > CANARY_STEPS):
            fail()
        return train_step(self, batch, seed)

    train_step = Optimization.train_on
    monkeypatch.setattr(Optimization, "train_on", train_on)


def of_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_cpu():
    torch.empty(10**15)


def of_numpy():
    raise MemoryError


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (of_gpu, "CUDA out of memory. Tried to allocate 2.00 GiB."),
        (of_cpu, "DefaultCPUAllocator: can't allocate memory"),
        (of_numpy, "MemoryError"),
    ],
)
def test_a_network_without_enough_memory_ends_the_run_in_words(
    fail, reason, tiny_source, tmp_path, monkeypatch
):
    """The run has failed; its message has the reason and two ways on, the log no traceback."""
    run_out_of_memory(monkeypatch, fail)
    root = tmp_path / "small"
    with pytest.raises(ModelError):
        train(root, tiny_config(tiny_source, "models=torch"))
    status = RunReader(root).status()
    assert status.state == "failed"
    assert "Network, fold 0: not enough memory (" in status.error
    assert reason in status.error
    assert f"{REMEDY}network.batch_size" in status.error
    assert "Traceback" not in (root / "trainer.log").read_text()
    monkeypatch.undo()
    assert train(root, RunReader(root).run_file().settings()) == "finished"
    assert len(events_of(root, "fail")) == 1


def test_a_canary_without_enough_memory_ends_the_start_in_words(tiny_source, tmp_path, monkeypatch):
    """As where another program uses all memory of the GPU: nothing is frozen yet."""
    run_out_of_memory(monkeypatch, of_gpu, in_canary=True)
    root = tmp_path / "full"
    with pytest.raises(ModelError, match="Network, canary: not enough memory"):
        train(root, tiny_config(tiny_source, "models=torch"))
    assert RunReader(root).run_file() is None


def test_another_error_of_a_model_keeps_its_traceback(tiny_source, tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("a defect")

    run_out_of_memory(monkeypatch, fail)
    root = tmp_path / "defect"
    with pytest.raises(RuntimeError, match="a defect"):
        train(root, tiny_config(tiny_source, "models=torch"))
    assert "Traceback" in (root / "trainer.log").read_text()


def test_histograms_larger_than_the_free_memory_are_refused():
    """LightGBM would end the process with SIGSEGV when the system refuses the memory."""
    boosting = BOOSTING_CONFIG.model_copy(update={"num_leaves": 131_072, "max_bin": 255})
    config = Config(boosting=boosting)
    model = registry.get("lgbm")
    task = generated_task("features")
    wide = type(task.inputs)(task.inputs.values_NF, ("acc.x.mean",) * 100_000)
    task = type(task)(**{**vars(task), "inputs": wide})
    with pytest.raises(MemoryError, match=r"131,072 leaves and 100,000 features need 54788.1 GB"):
        model.fit(task, config, 1, 0, SilentMonitor())
