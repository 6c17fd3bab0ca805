"""Python environments that lack a library, or in which importing one fails, as a user's may.

In: names of distributions. Out: a virtual environment of links to all other installed ones, so that
imports fail as they do there, in subprocesses too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import textwrap
import venv
from importlib.metadata import distributions
from pathlib import Path

from tests.support.tiny_runs import PROJECT

NO_LIBGOMP = "libgomp.so.1: cannot open shared object file: No such file or directory"
COMMANDS = """
import contextlib, io, json, os, sys, traceback
from trainer.__main__ import main

ended = []
for words, environment in json.load(sys.stdin):
    before, output = dict(os.environ), io.StringIO()
    os.environ.update(environment)
    sys.argv = ["trainer", *words]
    code = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = -1
    os.environ.clear()
    os.environ.update(before)
    ended.append((code, output.getvalue()))
print(json.dumps(ended))
"""


def make_environment(folder, without=(), broken=()):
    """Make an environment and return its Python.

    Args:
        folder: Where; a new folder.
        without: Distributions that are not installed there.
        broken: Packages whose import raises an OSError, as where a shared library is missing.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for name in broken:
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"raise OSError({NO_LIBGOMP!r})\n")
    for distribution in distributions():
        if distribution.name in without or distribution.files is None:
            continue
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            target = Path(distribution.locate_file(name))
            if target.exists() and not (site / name).exists():
                (site / name).symlink_to(target)
    return folder / "bin" / "python"


def run_commands(python, *commands):
    """Run commands of the command line one after the other, in one process of an environment.

    Args:
        python: Of the environment.
        commands: Each the words, or the words and environment variables.

    Returns:
        Exit code and output of each; -1 where it ended with a traceback.
    """
    pairs = [command if isinstance(command, tuple) else (command, {}) for command in commands]
    return json.loads(run_code(python, COMMANDS, json.dumps(pairs)).splitlines()[-1])


def run_code(python, code, given="", **environment):
    """Run Python code in an environment, from the project's folder; return its output."""
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", textwrap.dedent(code)],
        cwd=PROJECT,
        env=_clean(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _clean(environment):
    names = ("PYTHONPATH", "FAIL_IF_TORCH_MISSING", "USE_TORCH", "MODEL_PATH")
    return {name: value for name, value in environment.items() if name not in names}
