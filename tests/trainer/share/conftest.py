"""Fixtures of hand-overs: a run at two moments of its training, with the same name."""

from __future__ import annotations

import shutil

import pytest

from tests.support.tiny_runs import tiny_config, train
from trainer.run.pipeline import Limits


@pytest.fixture(scope="session")
def two_moments(tiny_source, tmp_path_factory):
    """The folders of a run that is paused after its first fold, and of the same run finished."""
    folder = tmp_path_factory.mktemp("moments")
    root, config = folder / "now" / "first", tiny_config(tiny_source)
    assert train(root, config, Limits(stop_after_folds=1)) == "paused"
    shutil.copytree(root, folder / "paused" / "first")
    assert train(root, config) == "finished"
    return folder / "paused" / "first", root
