"""The two notebooks, cell by cell, with replacements for the mounted folders."""

from __future__ import annotations

import json
import shutil
import socket

import polars as pl
import pytest

from tests.support.mounts import PROJECT, content, mount_competition, mount_output, unlock
from tests.support.notebook_runner import run_notebook
from tests.support.tiny_runs import TINY
from trainer.store.reader import RunReader

NOTEBOOKS = PROJECT / "notebooks"
SETTINGS = " ".join(f"--set {setting}" for setting in TINY)
COLAB = {
    "google/colab/__init__.py": "",
    "google/colab/drive.py": "def mount(path): print('MOUNTED', path)\n",
    "google/colab/output.py": (
        "def eval_js(code): return 'https://8501-abc.prod.colab.dev/'\n"
        "def serve_kernel_port_as_iframe(port, height): print('FRAME', port)\n"
    ),
}
CALL_DASHBOARD = """
import http.client
import time

def call(host):
    connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout=10)
    headers = {"Host": host, "Origin": f"https://{host}", "Connection": "Upgrade"}
    headers |= {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    try:
        connection.request("GET", "/_stcore/stream", headers=headers)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()

try:
    deadline = time.monotonic() + 60
    while (status := call("8501-abc.prod.colab.dev")) is None and time.monotonic() < deadline:
        assert dashboard.poll() is None, "the dashboard ended"
        time.sleep(0.2)
    print("BY ITS OWN NAME", status, "BY ANOTHER NAME", call("evil.example"))
finally:
    dashboard.terminate()
    dashboard.wait()
"""


@pytest.mark.parametrize("name", ["kaggle", "colab"])
def test_a_notebook_is_short_explained_and_has_no_output(name):
    """Every code cell has text above it; no output of a run is kept."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    kinds = [cell["cell_type"] for cell in cells]
    assert kinds == ["markdown", "code"] * (len(cells) // 2)
    assert len(cells) <= 12
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")


@pytest.fixture
def project(tmp_path):
    """This project's trainer, as a dataset holds it."""

    def place(folder):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "trainer", folder / "trainer", ignore=ignore)

    yield place
    unlock(tmp_path)


def test_two_versions_on_kaggle_give_one_run_and_its_predictions(project, tmp_path):
    """The second finds the first one's output under its inputs, continues it and predicts."""
    versions = []
    for number in (1, 2):
        kaggle = tmp_path / f"session-{number}" / "kaggle"
        (kaggle / "working").mkdir(parents=True)
        mount_competition(kaggle / "input", between="competitions")
        project(kaggle / "input" / "datasets" / "me" / "gesture-dashboard")
        options = f"--data kaggle --preset quick {SETTINGS}"
        if number == 1:
            options += " --stop-after-folds 1"
        else:
            kept = mount_output(versions[0], kaggle / "input", "notebooks/me/gestures")
            before = content(kept)
        code, output = run_notebook(
            NOTEBOOKS / "kaggle.ipynb",
            {"/kaggle/": f"{kaggle}/", "--data kaggle --preset full": options},
            tmp_path,
            KAGGLE_INPUT_DIR=str(kaggle / "input"),
        )
        assert code == 0, output
        versions.append(kaggle / "working")
    assert f"adopted     copied from {kept / 'state' / 'r1'}" in output
    assert "r1                       finished" in output
    assert content(kept) == before
    assert not (versions[0] / "submission.parquet").exists()
    assert len(pl.read_parquet(versions[1] / "submission.parquet")) == 8
    state = RunReader(versions[1] / "state" / "r1")
    assert [unit.done for unit in state.fold_records()] == [True] * 4


def test_colab_keeps_its_run_on_the_drive_and_serves_only_its_own_host_name(project, tmp_path):
    """Run twice, as after a disconnection: the second continues; other host names are refused."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    drive = tmp_path / "content" / "drive" / "MyDrive"
    ignore = shutil.ignore_patterns("__pycache__", ".git", "tests", ".venv", "docs", "state")
    shutil.copytree(PROJECT, drive / "gesture-dashboard", ignore=ignore)
    modules = tmp_path / "modules"
    for name, text in COLAB.items():
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        (modules / name).write_text(text)
    outputs = []
    for words in ("--stop-after-folds 1", ""):
        code, output = run_notebook(
            NOTEBOOKS / "colab.ipynb",
            {
                "/content/": f"{tmp_path / 'content'}/",
                "--data watch --preset quick": f"--models lgbm --preset quick {SETTINGS} {words}",
                '"--server.port", "8501"': f'"--server.port", "{port}"',
            },
            tmp_path,
            after=CALL_DASHBOARD.replace("{port}", str(port)),
            PYTHONPATH=str(modules),
        )
        assert code == 0, output
        outputs.append(output)
    assert "BY ITS OWN NAME 101 BY ANOTHER NAME 403" in outputs[0]
    assert "Run r1 in " in outputs[1] and "goes on" in outputs[1] and "reuses fold 0" in outputs[1]
    assert RunReader(drive / "gesture-state" / "r1").status().state == "finished"
