"""A notebook runner: the code cells as one script, in a process of its own, without Jupyter.

In: a notebook, what to put in place of its mounts and options. Out: exit code and all that was
printed. It knows what our notebooks use: ``!command {name}`` and ``%pip``, which is left out, since
a test fetches nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from tests.support.fresh_python import run_python

SHELL = re.compile(r"^(\s*)!(.*)$")
PIP = re.compile(r"^\s*%pip ")
HEAD = "import subprocess as _subprocess\n"


def script_of(notebook, replacements):
    """Return the code cells as Python; every replacement must find its place."""
    cells = json.loads(Path(notebook).read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    text = "\n\n".join(code)
    for old, new in replacements.items():
        assert old in text, f"{notebook}: {old!r} is not in it"
        text = text.replace(old, new)
    return HEAD + "\n".join(_plain(line) for line in text.splitlines()) + "\n"


def run_notebook(notebook, replacements, folder, after="", **environment):
    """Run a notebook with some code after it; return exit code and output."""
    script = folder / f"{Path(notebook).stem}.py"
    script.write_text(script_of(notebook, replacements) + after)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return run_python(("-u", script), folder, os.environ | {"PATH": path} | environment)


def _plain(line):
    if PIP.match(line):
        return "pass"
    shell = SHELL.match(line)
    if shell is None:
        return line
    indent, command = shell.groups()
    return f"{indent}_subprocess.run(f{command!r}, shell=True, check=False)"
