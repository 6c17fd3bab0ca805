"""The lab, shared by the whole suite, and the table at the end of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.lab")

from tests.faults import summary  # noqa: E402 - asserts of the lab are rewritten first
from tests.faults.lab import Lab  # noqa: E402
from tests.support.forked_trainers import fork_server  # noqa: E402

MEMORY = Path("/dev/shm")  # a file system in memory: fsync costs nothing there


@pytest.fixture(scope="session")
def lab():
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=MEMORY if MEMORY.is_dir() else None))
    yield Lab(folder, fork_server())
    shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter):
    lines = summary.lines()
    if lines:
        terminalreporter.section("fault summary")
        for line in lines:
            terminalreporter.write_line(line)
