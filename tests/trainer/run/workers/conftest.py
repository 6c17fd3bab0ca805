"""The files and the recorder of a coordinator."""

from __future__ import annotations

import pytest

from trainer.store.names import RunPaths
from trainer.store.recorder import Recorder


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path / "run")


@pytest.fixture
def recorder(paths):
    """The coordinator's, of the third start of the trainer."""
    recorder = Recorder(paths, 3, echo=lambda _: None)
    recorder.start()
    yield recorder
    recorder.close(state="paused")
