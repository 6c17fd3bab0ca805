"""Fresh processes: code that measures itself, and a browser.

In: Python code that prints one line of JSON. Out: what it printed; an open browser.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PEAK = r"""
import re
from pathlib import Path
def peak_gb():  # ru_maxrss would include the parent's peak
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e9
"""


def run_code(code: str, *arguments: str, checkout: Path | None = None) -> dict[str, Any]:
    """Run Python code in a fresh process; return the JSON of the last line that it prints.

    Args:
        code: Imports the packages of the checkout, and calls ``peak_gb`` if it likes.
        arguments: Of the command line.
        checkout: Folder of the packages; None is the current one.
    """
    command = (sys.executable, "-c", PEAK + code, *arguments)
    printed = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=checkout
    ).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Open Chromium and close it at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        try:
            yield browser
        finally:
            browser.close()
