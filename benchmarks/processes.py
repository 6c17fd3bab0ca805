"""Fresh processes: code that measures itself, and the trainer.

In: Python code that prints one line of JSON, or options of the command line. Out: what it printed,
or the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PEAK = r"""
import re
from pathlib import Path
def peak_gb():  # ru_maxrss would include the parent's peak
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e9
"""


def run_code(code: str, *arguments: str) -> dict[str, Any]:
    """Run Python code in a fresh process; return the JSON of the last line that it prints."""
    command = (sys.executable, "-c", PEAK + code, *arguments)
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def start_trainer(state: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start ``python -m trainer`` on a state folder, its output discarded."""
    command = [sys.executable, "-m", "trainer", *words, "--state", str(state)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
