"""The wheel: one package that holds the project, and commands that work away from a checkout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile

import pytest

from tests.browser.dashboard import ROOT, wait_until

pytestmark = pytest.mark.slow  # builds a wheel, which needs setuptools from the index


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the unpacked wheel of what Git tracks, and another one to work in."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target, work = folder / "source", folder / "packages", folder / "work"
    work.mkdir()
    words = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source]
    subprocess.run(words, check=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return source, target, work


def words_of(command, *more):
    code = f"from gesture_dashboard.trainer.cli.installed import {command}; {command}()"
    return [sys.executable, "-c", code, *more]


def environment(target, home):
    return {**os.environ, "PYTHONPATH": str(target), "HOME": str(home)}


def test_the_wheel_claims_one_name_and_has_every_file(installed):
    source, target, _ = installed
    names = {path.name for path in target.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"gesture_dashboard"}
    for folder in ("trainer", "pages", "examples", ".streamlit"):
        tracked = {path for path in (source / folder).rglob("*") if path.is_file()}
        packed = target / "gesture_dashboard"
        missing = [path for path in tracked if not (packed / path.relative_to(source)).exists()]
        assert missing == []


def test_its_trainer_trains_in_the_folder_where_it_is_called(installed):
    _, target, work = installed
    words = ["train", "--run", "first", "--preset", "quick", "--models", "lgbm", "--folds", "2"]
    for command in (
        words,
        ["predict", "first", target / "gesture_dashboard/trainer/data/watch.parquet"],
    ):
        done = subprocess.run(
            words_of("trainer", *command),
            cwd=work,
            env=environment(target, work),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (work / "state" / "first" / "lgbm_bundle.pkl").exists()


def test_its_dashboard_asks_nothing_and_answers(installed):
    """A first start, without a terminal: no prompt, and the project's own settings."""
    _, target, work = installed
    log = work / "dashboard.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            words_of("dashboard"),
            cwd=work,
            env=environment(target, work)
            | {"STREAMLIT_SERVER_HEADLESS": "false", "BROWSER": "true"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        assert wait_until(
            lambda: "URL: http://127.0.0.1:" in log.read_text(), 60, "the dashboard answers"
        )
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Streamlit is a child
        process.wait()
