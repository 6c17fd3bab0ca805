"""Forge: real trainer processes without the seconds that their imports take.

In: the words of a command line, perhaps a shim from ``tests.faults.shims``. Out: a process that
runs exactly ``python -m trainer WORDS``, forked from a parent that has imported everything and
warmed up on one thread. ``test_pauses`` holds such a process against one that was started alone.

    python -m tests.faults.forge       the parent; the tests talk to it in lines of JSON
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
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
STUCK = -1000  # the exit code of a process that had to be ended


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, minus the signal where one ended it, and its words."""

    code: int
    words: str

    @property
    def was_killed(self):
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Child:
    """A trainer at work."""

    forge: Forge
    pid: int
    output: Path

    def send(self, number):
        os.kill(self.pid, number)  # the forge has not reaped it, so the pid is still its own

    def wait(self):
        code = self.forge.call({"do": "wait", "pid": self.pid})["code"]
        # killed in its first moment, it has not opened its output yet
        words = self.output.read_text(errors="replace") if self.output.exists() else ""
        return Ended(code, words)


class Forge:
    """The tests' end of the line."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forge"],
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

    def start(self, *words, shims=(), environment=None):
        """Start ``python -m trainer WORDS``; shims are (name, options) pairs, applied in order."""
        self.count += 1
        output = self.folder / f"{self.count}.txt"
        request = {"do": "start", "words": [str(word) for word in words], "output": str(output)}
        request |= {"shims": list(shims), "environment": environment or {}}
        return Child(self, self.call(request)["pid"], output)

    def run(self, *words, shims=(), environment=None):
        return self.start(*words, shims=shims, environment=environment).wait()

    def close(self):
        self.process.communicate()


def plain_environment():
    """Return this process's environment with one thread everywhere and no word for the trainer."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESUME", "TRAINER_"))}
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
        os.environ.update(request["environment"])
        for name, options in request["shims"]:
            getattr(importlib.import_module("tests.faults.shims"), name)(**options)
        sys.argv = ["python -m trainer", *request["words"]]
        code = speak()
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


def speak():
    """Run the command line and return its exit code, as the interpreter would."""
    from trainer.__main__ import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve()
