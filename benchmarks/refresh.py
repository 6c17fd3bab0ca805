"""Server time of a refresh: every page runs again after a new line of history came.

In: run folders of 5 folds x 2 models x 2,000 points, written through the store. Out: median
milliseconds of a page's whole script, with one such run and with fifty.

The pages run in Streamlit's own test runner, in this process; the time holds its parsing of what
the page sent, so a server needs a little less.

    python -m benchmarks refresh
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, at_most
from tests.support import run_folders
from trainer.store.durable import append_line
from trainer.store.names import RunPaths

PURPOSE = "Server time of a refresh after a new point, 5 folds x 2 models x 2,000 points a run."
NUM_FOLDS = 5
NUM_POINTS = 2000  # of each fold of each model
STEPS = {"lgbm": NUM_POINTS * 25, "torch": NUM_POINTS}
PAGES = ("train", "scores", "features", "data", "predict", "runs")
REPEATS = 9
PROJECT = Path(__file__).parent.parent


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        state = Path(name)
        lock = make_run(state)
        try:
            rows = [_page(state, page, 1, 100) for page in PAGES]
            for number in range(2, 51):
                shutil.copytree(state / "first", state / f"copy-{number:02d}")
            return rows + [_page(state, page, 50, 300) for page in PAGES]
        finally:
            lock.release()


def make_run(state: Path):
    """Write one run at work, nearly done; return its lock."""
    run_folders.NUM_FOLDS, run_folders.STEPS = NUM_FOLDS, STEPS
    run_folders.TOTAL_STEPS = {"lgbm": STEPS["lgbm"], "torch": 3 * STEPS["torch"]}
    _, lock = run_folders.make_run(state, "first", "running", done=2 * NUM_FOLDS - 1)
    return lock


def add_point(state: Path, step: int) -> None:
    """Append one point to the run, as its trainer does."""
    values = {"step": NUM_POINTS + step, "valid_loss": 0.4, "score": 0.8, "learning_rate": 1e-3}
    event = run_folders._event("epoch", time.time(), "torch", NUM_FOLDS - 1, values)
    append_line(RunPaths(state / "first").metrics, event)


def _page(state: Path, page: str, num_runs: int, limit_ms: float) -> Row:
    """Return the median time of a page's refresh."""
    from streamlit.testing.v1 import AppTest

    os.environ["CKPT_DIR"] = str(state)
    app = AppTest.from_file(str(PROJECT / "dashboard.py"), default_timeout=120)
    app.query_params["run"] = "first"
    app.run()
    if page != "train":
        app.switch_page(f"pages/{page}.py").run()
    times = []
    for step in range(REPEATS):
        add_point(state, step)
        began = time.perf_counter()
        app.run()
        times.append(1e3 * (time.perf_counter() - began))
        assert not app.exception, app.exception[0].value
    what = f"{page.capitalize()}, {num_runs} run{'s' * (num_runs > 1)}"
    return at_most(what, statistics.median(times), limit_ms, " ms", digits=0)
