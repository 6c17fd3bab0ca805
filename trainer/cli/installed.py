"""The commands of an installed wheel: ``gesture-dashboard`` and ``gesture-trainer``.

In: arguments, as of ``streamlit run dashboard.py --`` and ``python -m trainer``. Out: the same. The
wheel has the project's folders inside one package; both commands put them on the path.
"""

import contextlib
import os
import runpy
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def dashboard() -> None:
    """Start the dashboard; Streamlit reads the project's ``.streamlit/config.toml`` beside it."""
    _use_project()
    words = ["-m", "streamlit", "run", str(PROJECT / "dashboard.py"), "--", *sys.argv[1:]]
    process = subprocess.Popen([sys.executable, *words])
    while process.poll() is None:
        with contextlib.suppress(KeyboardInterrupt):  # Streamlit hears Ctrl-C too, and ends
            process.wait()
    sys.exit(process.returncode)


def trainer() -> None:
    """Run the command line."""
    _use_project()
    sys.argv[0] = "trainer"
    runpy.run_module("trainer", run_name="__main__", alter_sys=True)


def _use_project() -> None:
    """Find ``trainer`` and ``pages`` here and in every process that is started."""
    sys.path.insert(0, str(PROJECT))
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *([known] if known else [])])
