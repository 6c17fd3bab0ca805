"""A finished run, its export, and the place of a state folder to import into."""

from __future__ import annotations

import shutil

import pytest

from trainer.run.transfer.archive import export_run


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "here" / "tiny")


@pytest.fixture
def state(tmp_path):
    return tmp_path / "there"


@pytest.fixture
def exported(run, tmp_path):
    export_run(run, tmp_path / "tiny.zip")
    return tmp_path / "tiny.zip"
