"""Trainer processes without the seconds that their imports take: forked from a warm parent.

In: the words of a command line, perhaps Python to run before or instead of it. Out: a process that
runs what ``python -m trainer WORDS`` runs. The parent has imported everything and warmed up on one
thread. ``tests/faults/test_pauses.py`` compares such a process with one that was started alone.

    python -m tests.support.forked_trainers     the parent; it reads and writes lines of JSON
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0  # a trainer of these sizes takes half a second
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
WARM = (
    *("lightgbm", "polars", "torch", "joblib", "psutil", "rich.console", "rich.progress"),
    *(
        "sklearn.model_selection",
        "trainer.__main__",
        "trainer.run.execution",
        "trainer.cli.display",
    ),
    *("trainer.models.network.fold", "trainer.run.control", "trainer.run.transfer.archive"),
    *("trainer.run.transfer.verification", "torch.optim.lr_scheduler", "tests.faults.shims"),
)
SETTINGS = ("RESUME", "TRAINER_", "KAGGLE_", "COLAB_RELEASE_TAG")  # names that change a run
STUCK = -1000  # the exit code of a process that had to be ended


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, minus the signal where one ended it, and its output."""

    code: int
    words: str

    @property
    def was_killed(self):
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Child:
    """A trainer process.

    Attributes:
        server: Its parent's end of the line.
        pid: Of the process.
        output: What it printed.
    """

    server: ForkServer
    pid: int
    output: Path

    def send(self, number):
        os.kill(self.pid, number)  # the parent has not reaped it, so the pid is still its own

    def wait(self):
        code = self.server.call({"do": "wait", "pid": self.pid})["code"]
        # killed in its first moment, it has not opened its output yet
        words = self.output.read_text(errors="replace") if self.output.exists() else ""
        return Ended(code, words)


class ForkServer:
    """The parent of forked trainers, as the tests see it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="trainers-"))
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_trainers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=plain_environment(),
        )

    def call(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *words, shims=(), environment=None, folder=PROJECT, code=None):
        """Start ``python -m trainer WORDS``, or ``python -c CODE WORDS``.

        Args:
            words: Of the command line.
            shims: Pairs of a name in ``tests.faults.shims`` and its options, applied in order.
            environment: Names to set on top of ``plain_environment``.
            folder: The working folder.
            code: Python to run instead of the command line.
        """
        self.count += 1
        output = self.folder / f"{self.count}.txt"
        request = {
            "do": "start",
            "words": [str(word) for word in words],
            "output": str(output),
            "shims": list(shims),
            "environment": plain_environment() | (environment or {}),
            "folder": str(folder),
            "code": code,
        }
        return Child(self, self.call(request)["pid"], output)

    def run(self, *words, **options):
        """Start a process and wait for its end; see ``start``."""
        return self.start(*words, **options).wait()

    def close(self):
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def fork_server():
    """Return the parent that all tests of this process share; it ends with the process."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def kill_after(words, seconds):
    """Start a trainer and kill it; return whether the kill came before its end."""
    child = fork_server().start(*words)
    time.sleep(seconds)
    child.send(signal.SIGKILL)
    ended = child.wait()
    assert ended.was_killed or ended.code == 0, ended.words
    return ended.was_killed


def plain_environment():
    """Return this process's environment with one thread everywhere and no setting of a run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | dict.fromkeys(ONE_THREAD, "1") | {"WORKERS": "1"}  # cases count on the order


def serve():
    """Answer requests until the line is closed."""
    warm_up()
    for line in sys.stdin:
        request = json.loads(line)
        answer = start(request) if request["do"] == "start" else wait(request["pid"])
        print(json.dumps(answer), flush=True)


def warm_up():
    """Import everything, and let both libraries import what they need for a first fit."""
    for module in WARM:
        importlib.import_module(module)
    from trainer.config import make_config
    from trainer.run.frozen_config import canary_hashes

    one_thread = ["boosting.num_threads=1", "network.num_threads=1"]
    canary_hashes(make_config("quick", {}, one_thread, environment={}))


def start(request):
    pid = os.fork()
    if pid == 0:
        work(request)
    return {"pid": pid}


def wait(pid):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return {"code": os.waitstatus_to_exitcode(status)}
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"code": STUCK}


def work(request):
    """Be the trainer; never returns."""
    code = 70
    try:
        os.setsid()
        become(request["output"])
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for name, options in request["shims"]:
            getattr(importlib.import_module("tests.faults.shims"), name)(**options)
        sys.argv = ["python -m trainer", *request["words"]]
        code = run_command_line() if request["code"] is None else run_code(request["code"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(output):
    """Point the three standard streams where a process of its own would have them."""
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(source, number)


def run_command_line():
    """Run the command line and return its exit code, as the interpreter would."""
    from trainer.__main__ import main

    return exit_code_of(main)


def run_code(code):
    """Run Python as ``python -c`` does and return its exit code."""
    sys.argv[0] = "-c"
    return exit_code_of(lambda: exec(code, {"__name__": "__main__"}))


def exit_code_of(call):
    """Return the exit code of the interpreter after a call."""
    try:
        call()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve()
