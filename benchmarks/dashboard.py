"""Waiting times: the command line, the dashboard's first page, and a refresh of every page.

In: run folders, written through the store. Out: median seconds of fresh processes; median
milliseconds of a page's whole script after a new point, with 1, 50 and 500 runs, each of
5 folds x 2 models x 2,000 points.

A refresh runs in Streamlit's own test runner, in this process. Its time includes parsing what the
page sent, so a server needs a little less.

    python -m benchmarks dashboard
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import open_browser
from benchmarks.report import Row, at_most
from tests.browser.dashboard import Dashboard
from tests.support import run_folders
from trainer.store.durable import append_line
from trainer.store.names import RunPaths

PURPOSE = "Command line and first page from fresh processes, and a refresh after a new point."
START_REPEATS, REFRESH_REPEATS = 7, 9
COMMANDS = (("status",), ("status", "first"), ("status", "first", "--json"), ("--help",))
NUM_FOLDS, NUM_POINTS = 5, 2000  # points of each fold of each model
STEPS = {"lgbm": NUM_POINTS * 25, "torch": NUM_POINTS}
PAGES = ("train", "scores", "features", "data", "predict", "runs")
PROJECT = Path(__file__).parent.parent


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        small, large = Path(name) / "small", Path(name) / "large"
        run_folders.make_run(small)
        rows = [
            at_most(f"python -m trainer {' '.join(words)}", _command_s(small, words), 0.5, " s")
            for words in COMMANDS
        ]
        rows.append(at_most("streamlit run, to the first page", _first_page_s(small), 3.0, " s"))
        return rows + _measure_refresh(large)


def _command_s(state: Path, words: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "trainer", *words]
    if words[0] == "status":
        command += ["--state", str(state)]
    times = []
    for _ in range(START_REPEATS):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _first_page_s(state: Path) -> float:
    """Return seconds from the server's start to the run's curves on the page."""
    times = []
    with open_browser() as browser:
        for _ in range(START_REPEATS):
            page = browser.new_page()  # with an empty cache
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
    return statistics.median(times)


def _measure_refresh(state: Path) -> list[Row]:
    run_folders.NUM_FOLDS, run_folders.STEPS = NUM_FOLDS, STEPS
    run_folders.TOTAL_STEPS = {"lgbm": STEPS["lgbm"], "torch": 3 * STEPS["torch"]}
    _, lock = run_folders.make_run(state, "first", "running", done=2 * NUM_FOLDS - 1)
    try:
        rows = [_refresh(state, page, 1, 100) for page in PAGES]
        num_present = 1
        for num_runs in (50, 500):
            for number in range(num_present, num_runs):
                shutil.copytree(state / "first", state / f"copy-{number:03d}")
            num_present = num_runs
            rows += [_refresh(state, page, num_runs, 300) for page in PAGES]
        return rows
    finally:
        lock.release()


def _refresh(state: Path, page: str, num_runs: int, limit_ms: float) -> Row:
    """Return the median time of a page's refresh."""
    from streamlit.testing.v1 import AppTest

    os.environ["CKPT_DIR"] = str(state)
    app = AppTest.from_file(str(PROJECT / "dashboard.py"), default_timeout=120)
    app.query_params["run"] = "first"
    app.run()
    if page != "train":
        app.switch_page(f"pages/{page}.py").run()
    times = []
    for number in range(REFRESH_REPEATS):
        _append_point(state, NUM_POINTS + number)
        began = time.perf_counter()
        app.run()
        times.append(1e3 * (time.perf_counter() - began))
        assert not app.exception, app.exception[0].value
    what = f"refresh of {page.capitalize()}, {num_runs} run{'s' * (num_runs > 1)}"
    return at_most(what, statistics.median(times), limit_ms, " ms", digits=0)


def _append_point(state: Path, step: int) -> None:
    """Append one point to the run, as its trainer does."""
    values = {"step": step, "valid_loss": 0.4, "score": 0.8, "learning_rate": 1e-3}
    event = run_folders._event("epoch", time.time(), "torch", NUM_FOLDS - 1, values)
    append_line(RunPaths(state / "first").metrics, event)
