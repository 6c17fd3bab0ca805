"""Skip where there is no GPU; one whole run on the GPU for all tests."""

from __future__ import annotations

import pytest
import torch

from tests.support.gpu_runs import train_on_gpus


def pytest_collection_modifyitems(items):
    """Skip every test of this folder without CUDA."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def whole(tiny_source, tmp_path_factory):
    """A run on the first GPU that was never interrupted."""
    root = tmp_path_factory.mktemp("state") / "whole"
    code, output = train_on_gpus(root, tiny_source)
    assert code == 0, output
    return root
