"""How fast a pause is heard: asked at random instants of a whole run, over and over.

In: recordings. Out: seconds from the question to the acknowledgement and to the end of the process,
median and 95th percentile, by stage.

    python -m benchmarks.pause_acknowledgement watch --pauses 40
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from trainer.cli.commands import PAUSED
from trainer.run.control import ask
from trainer.store.reader import RunReader

COMMAND = (sys.executable, "-m", "trainer")


def percentile_95(values):
    """Return the smallest value that at least 95 % do not exceed."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def ask_once(process, reader, delay_s):
    """Ask for a pause after a delay; return stage and seconds, or None where the run had ended."""
    time.sleep(delay_s)
    if process.poll() is not None or not reader.paths.config.exists():
        return None
    stage = reader.status().stage
    began = time.monotonic()
    command = ask(reader.root, "pause", "benchmark")
    heard_s = None
    while process.poll() is None:
        if heard_s is None and reader.status().acknowledged_command == command.id:
            heard_s = time.monotonic() - began
        time.sleep(0.01)
    ended_s = time.monotonic() - began
    if process.returncode == 0:
        return None
    assert process.returncode == PAUSED, process.returncode
    return stage, ended_s if heard_s is None else heard_s, ended_s


def pause_over_and_over(source, options, state, pauses, delays_s):
    """Run to the end, pausing at random instants; return what each pause took, by stage."""
    found = defaultdict(list)
    random_delays = random.Random(42)
    for number in itertools.count(1):
        name = f"run-{number}"
        arguments = ["train", "--data", source, "--run", name, "--state", state, *options]
        while True:
            process = subprocess.Popen(
                [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            reader = RunReader(Path(state) / name)
            told = ask_once(process, reader, random_delays.uniform(*delays_s))
            process.wait()
            if told is None and process.returncode == 0:
                break
            if told is not None:
                found[told[0]].append(told[1:])
                print(f"  {told[0]}: heard {told[1]:.2f} s, ended {told[2]:.2f} s", flush=True)
            arguments = ["resume", name, "--state", state]
            if sum(map(len, found.values())) >= pauses:
                return found


def main():
    """Measure on one source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="watch")
    parser.add_argument("--pauses", type=int, default=40)
    parser.add_argument("--delays", type=float, nargs=2, default=(3.0, 20.0), metavar="SECONDS")
    parser.add_argument("--preset", default="full")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as state:
        found = pause_over_and_over(
            options.source, ["--preset", options.preset], state, options.pauses, options.delays
        )
    everything = [seconds for of_stage in found.values() for seconds in of_stage]
    for stage, of_stage in [*sorted(found.items()), ("all stages", everything)]:
        heard_s, ended_s = zip(*of_stage, strict=True)
        print(
            f"{stage}, {len(of_stage)} pauses: heard median {statistics.median(heard_s):.2f} s, "
            f"p95 {percentile_95(heard_s):.2f} s; ended median {statistics.median(ended_s):.2f} s, "
            f"p95 {percentile_95(ended_s):.2f} s"
        )


if __name__ == "__main__":
    main()
