"""A page left open on a finished run: the server's processor time and memory.

In: a run folder. Out: processor share and growth of memory. The page checks for changes ten times
as often as usual, so that six minutes have as many checks as an hour.

    python -m benchmarks soak
    python -m benchmarks.soak --minutes 2
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.processes import open_browser
from benchmarks.report import Row, at_most, print_rows
from tests.browser.dashboard import START_S, Dashboard, wait_until
from tests.support import run_folders

PURPOSE = "One page open on a finished run, checking for changes ten times as often as usual."
SPEED = 10
MINUTES = 6.0
WARM_S = 30.0  # until the page is drawn
MAX_GROWTH_MB = 5.0  # an hour; allocators vary by less
SERVER = f"""
import sys
from pages.ui.shared import live
live.IDLE_TICK_S /= {SPEED}
live.COMPARE_S /= {SPEED}
from streamlit.web import cli
sys.exit(cli.main(sys.argv[1:]))
"""


class FastDashboard(Dashboard):
    """The dashboard with ten checks in the time of one."""

    def start(self) -> Dashboard:
        """Start the server and wait until it responds."""
        words = ["run", "dashboard.py", "--server.headless", "true"]
        words += ["--server.port", str(self.port), "--", "--state", str(self.state)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, *words], stdout=log, stderr=log
            )
        wait_until(self.answers, START_S, "the server responds")
        return self


def measure(minutes: float = MINUTES) -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        state = Path(name) / "state"
        run_folders.make_run(state)
        dashboard = FastDashboard(state)
        try:
            with open_browser() as browser:
                page = browser.new_page()
                dashboard.start()
                page.goto(dashboard.url("?run=first"))
                page.get_by_text("Curves").first.wait_for()
                return _watch(psutil.Process(dashboard.process.pid), minutes)
        finally:
            dashboard.close()


def _watch(server: psutil.Process, minutes: float) -> list[Row]:
    """Return the server's use of processor and memory over some minutes."""
    time.sleep(WARM_S)
    began, busy, memory = time.monotonic(), _busy_s(server), _megabytes(server)
    time.sleep(60 * minutes)
    passed = time.monotonic() - began
    share = 100 * (_busy_s(server) - busy) / passed
    growth = _megabytes(server) - memory
    hours = SPEED * passed / 3600
    return [
        Row(
            f"checks of {hours:.2f} hours, processor",
            f"{share:.2f} % of a core at {SPEED} times the rate",
        ),
        at_most("at the usual rate", share / SPEED, 1.0, " % of a core"),
        at_most(
            f"memory, growth an hour (now {_megabytes(server):.0f} MB)",
            growth / hours,
            MAX_GROWTH_MB,
            " MB",
        ),
    ]


def _busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


def main() -> None:
    """Measure for another time, without writing the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    print_rows(measure(parser.parse_args().minutes))


if __name__ == "__main__":
    main()
