"""A real dashboard for a browser: a Streamlit server of its own, and the trainers it starts.

In: a state folder. Out: an address; everything that was started here is ended here, by its pid.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from trainer.store.durable import StoreError
from trainer.store.reader import list_runs
from trainer.store.run_state import derive_state

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
START_S = 60.0  # a busy machine may need so long until the server answers


class Dashboard:
    """One Streamlit server on a free port; it can be stopped and started again on the same."""

    def __init__(self, state: Path, *words: str) -> None:
        self.state = state
        self.words = words
        self.port = _free_port()
        self.log = state.with_name(f"{state.name}-server-{self.port}.log")
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, path: str = "") -> str:
        """Return the address of a page, such as ``scores?run=first``."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def start(self) -> Dashboard:
        """Start the server and wait until it answers."""
        command = [sys.executable, "-m", "streamlit", "run", "dashboard.py"]
        command += ["--server.headless", "true", "--server.port", str(self.port)]
        command += ["--", "--state", str(self.state), *self.words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        wait_until(self.answers, START_S, "the server answers")
        return self

    def stop(self) -> None:
        """End the server as Ctrl-C in its terminal does; trainers go on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def close(self) -> None:
        """End the server and every trainer that still works in its state folder."""
        self.stop()
        self.kill_trainers()

    def kill_trainers(self) -> None:
        """End every trainer that still works in the state folder, and wait until it is gone."""
        for pid in self.trainer_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        wait_until(lambda: not self.trainer_pids(), 10, "the trainers are gone")

    def answers(self) -> bool:
        """Return whether the server is there."""
        try:
            with urllib.request.urlopen(self.url("_stcore/health"), timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def trainer_pids(self) -> list[int]:
        """Return the processes that hold a run of the state folder."""
        derived_states = [derive_state(run) for run in list_runs(self.state)]
        return [v.status.pid for v in derived_states if v.is_active and v.status is not None]


def wait_until(is_true, seconds, what):
    """Look every 20 ms until it is true; what is not true in time is an error that names it."""
    ends_at = time.monotonic() + allowed(seconds)
    while time.monotonic() < ends_at:
        with contextlib.suppress(StoreError):
            if value := is_true():
                return value
        time.sleep(0.02)
    raise TimeoutError(f"not within {seconds:g} s: {what}")


def event_names(reader):
    """Return which kinds of events the history of a run has."""
    return {event.event for event in reader.events()}


def allowed(seconds):
    """Return how long something may take here: longer where more work runs than there are cores."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
