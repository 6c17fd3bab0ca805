"""Optimizing a network: the schedule, and the settings of torch."""

import pytest
import torch

from tests.support.fold_tasks import NETWORK_CONFIG, fit_frame_fold
from trainer.config import NetworkConfig
from trainer.models.network.gesture_net import NetworkSizes
from trainer.models.network.optimizer import Optimization


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
