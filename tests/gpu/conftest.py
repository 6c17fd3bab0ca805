"""Skip where there is no GPU; one whole run on the GPU for all tests."""

from __future__ import annotations

import pytest
import torch

from tests.support.gpu_runs import train_on_gpus
from tests.support.tiny_runs import write_source


def pytest_collection_modifyitems(items):
    """Skip every test of this folder without CUDA."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def gpu_source(tmp_path_factory):
    """Recordings with all sensors."""
    return write_source(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def whole(gpu_source, tmp_path_factory):
    """A run on the first GPU that was never interrupted."""
    root = tmp_path_factory.mktemp("state") / "whole"
    code, output = train_on_gpus(root, gpu_source)
    assert code == 0, output
    return root
