"""How long people wait at the start: for the command line, and for the dashboard's first page.

In: a state folder with one run. Out: median seconds of fresh processes.

    python -m benchmarks startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, at_most
from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS, Dashboard
from tests.support import run_folders

PURPOSE = "From the command to its answer, fresh processes, files in the system's cache."
REPEATS = 7
COMMANDS = (("status",), ("status", "first"), ("status", "first", "--json"), ("--help",))


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        state = Path(name) / "state"
        run_folders.make_run(state)
        rows = [
            at_most(f"python -m trainer {' '.join(words)}", _time_command(state, words), 0.5, " s")
            for words in COMMANDS
        ]
        return [*rows, at_most("streamlit run, to the first page", _time_page(state), 3.0, " s")]


def _time_command(state: Path, words: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "trainer", *words]
    if words[0] == "status":
        command += ["--state", str(state)]
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _time_page(state: Path) -> float:
    """Return seconds from the server's start to the run's name on the page."""
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        for _ in range(REPEATS):
            page = browser.new_page()  # without anything cached
            dashboard = Dashboard(state)
            began = time.perf_counter()
            try:
                dashboard.start()
                page.goto(dashboard.url("?run=first"))
                page.get_by_text("Curves").first.wait_for()
                times.append(time.perf_counter() - began)
            finally:
                dashboard.close()
                page.close()
        browser.close()
    return statistics.median(times)
