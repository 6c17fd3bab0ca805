"""How long a resumed run takes to its first new round or step, the feature cache warm.

In: recordings. Out: seconds from the command to the first step beyond the saved one, in LightGBM
and in the network, median of some resumes each.

    python -m benchmarks.resume_start ../shared/data/asl.parquet --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trainer.cli.commands import PAUSED
from trainer.run.control import ask
from trainer.store.reader import RunReader

COMMAND = (sys.executable, "-m", "trainer")
NAME = "resumed"
MODELS = {"lgbm": "lgbm,torch", "torch": "torch"}


def start(arguments, state):
    """Start a trainer without a terminal."""
    return subprocess.Popen(
        [*COMMAND, *arguments, "--state", state],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def first_step_s(process, reader, model):
    """Return the seconds to this attempt's first step; at most a beat too many."""
    began = time.monotonic()
    first = None
    while process.poll() is None:
        status = reader.status()
        if status is not None and status.pid == process.pid and status.stage == model:
            first = status.step if first is None else first
            if status.step > first:
                return time.monotonic() - began
        time.sleep(0.02)
    raise SystemExit(f"the trainer ended with {process.returncode} before its first step")


def pause(process, reader):
    """Ask for a pause and wait for the end."""
    ask(reader.root, "pause", "benchmark")
    assert process.wait() == PAUSED, process.returncode


def main():
    """Measure on one source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for model, models in MODELS.items():
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as state:
            reader = RunReader(Path(state) / NAME)
            train = ["train", "--data", options.source, "--run", NAME, "--models", models]
            process = start(train, state)
            while not reader.paths.config.exists():
                time.sleep(0.05)
            first_step_s(process, reader, model)
            pause(process, reader)
            found = []
            for _ in range(options.repeats):
                process = start(["resume", NAME], state)
                found.append(first_step_s(process, reader, model))
                pause(process, reader)
        told = ", ".join(f"{seconds:.1f}" for seconds in found)
        print(f"{model}: first new step after {told} s; median {statistics.median(found):.1f} s")


if __name__ == "__main__":
    main()
