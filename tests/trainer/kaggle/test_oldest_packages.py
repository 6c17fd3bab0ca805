"""The trainer at the versions of a Kaggle image of 2025: installed, trained, predicted."""

from __future__ import annotations

import shutil
import subprocess

import polars as pl
import pytest

from tests.support.builders import GESTURES
from tests.support.mounts import PROJECT, environment, mount_competition
from tests.support.tiny_runs import TINY, write_source

REQUIREMENTS = PROJECT / "requirements-oldest.txt"
SETTINGS = [word for setting in TINY for word in ("--set", setting)]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python 3.11 with nothing but requirements-oldest.txt."""
    system_python = shutil.which("python3.11")
    if system_python is None:
        pytest.skip("needs Python 3.11")
    folder = tmp_path_factory.mktemp("oldest")
    subprocess.run([system_python, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
    return python


@pytest.fixture
def run(python, tmp_path):
    """Run the trainer in that environment; its own code must not use deprecated functions."""

    def call(*words):
        command = [python, "-W", "error::DeprecationWarning:trainer", "-m", "trainer"]
        done = subprocess.run(
            [*command, *map(str, words), "--state", tmp_path / "state"],
            cwd=tmp_path,
            env=environment(tmp_path / "input"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_a_run_is_trained_resumed_and_served_at_the_oldest_versions(run, tmp_path):
    """Both models, a pause in between, every file whole, predictions of the run's gestures."""
    source = write_source(tmp_path)
    words = ("train", "--data", source, "--run", "old", "--preset", "quick", *SETTINGS)
    run(*words, "--stop-after-folds", 1, "--paused-is-success")
    output = run("resume", "old")
    assert "reuses fold 0" in output and "Finished" in output
    assert ", 0 bad" in run("verify", "old")
    run("predict", "old", source, "--out", tmp_path / "predictions.csv")
    names = {name for name, _ in GESTURES}
    predictions = pl.read_csv(tmp_path / "predictions.csv")
    assert len(predictions) == 48 and set(predictions["gesture"]) <= names
    folder = mount_competition(tmp_path / "input")
    assert "submission.parquet: 8 sequences" in run("serve", "old", "--data", folder)
    assert set(pl.read_parquet(tmp_path / "submission.parquet")["gesture"]) <= names


@pytest.mark.slow
@pytest.mark.parametrize("source", ["watch", "simulated:4"])
def test_every_built_in_source_is_trained_on_at_the_oldest_versions(run, source):
    """The embedded recordings and the simulation."""
    words = ("--preset", "quick", "--folds", 2, "--rounds", 3, "--epochs", 2)
    assert "Finished" in run("train", "--data", source, "--run", "old", *words)


def test_the_oldest_versions_are_pinned_each_and_known_to_the_requirements():
    """Exactly the packages of the trainer, none of the dashboard."""

    def names(path):
        lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
        return {line.partition("==")[0].partition(">")[0] for line in lines if line}

    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert all("==" in line for line in lines)
    dashboard = {"streamlit", "plotly", "watchdog", "jinja2"}
    assert names(REQUIREMENTS) - {"scipy"} == names(PROJECT / "requirements.txt") - dashboard
