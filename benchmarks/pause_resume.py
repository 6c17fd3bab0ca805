"""Pause and resume: a whole run, paused at random instants and resumed, over and over.

In: recordings. Out, by stage: seconds from the request to its acknowledgement, to the end of the
process, and from the resume command to the first new round or step; median and 95th percentile.

    python -m benchmarks.pause_resume watch --pauses 40
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.processes import start_trainer
from trainer.cli.commands import PAUSED
from trainer.run import control
from trainer.store.reader import RunReader

WHAT = ("acknowledged", "ended", "first new step")


def first_step_s(process, reader: RunReader, began: float) -> float | None:
    """Return seconds from the start to the attempt's first step; None where it ends before."""
    first = None
    while process.poll() is None:
        status = reader.status() if reader.paths.config.exists() else None
        if status is not None and status.pid == process.pid and status.model is not None:
            first = (status.model, status.fold, status.step) if first is None else first
            if (status.model, status.fold, status.step) != first:
                return time.monotonic() - began
        time.sleep(0.02)
    return None


def pause(process, reader: RunReader) -> tuple[str, float, float] | None:
    """Pause the run; return stage, seconds to acknowledgement and end, or None where it ended."""
    if process.poll() is not None:
        return None
    stage = reader.status().stage
    began = time.monotonic()
    command = control.ask(reader.root, "pause", "benchmark")
    acknowledged_s = None
    while process.poll() is None:
        if acknowledged_s is None and reader.status().acknowledged_command == command.id:
            acknowledged_s = time.monotonic() - began
        time.sleep(0.01)
    ended_s = time.monotonic() - began
    if process.returncode == 0:
        return None
    assert process.returncode == PAUSED, process.returncode
    return stage, ended_s if acknowledged_s is None else acknowledged_s, ended_s


def measure(source, options, num_pauses, delays_s):
    """Train to the end, again and again, until enough pauses; return their times, by stage."""
    times = {what: defaultdict(list) for what in WHAT}
    random_delays = random.Random(42)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        state = Path(name)
        for number in itertools.count(1):
            reader = RunReader(state / f"run-{number}")
            words = ["train", "--data", source, "--run", reader.root.name, *options]
            while sum(map(len, times["ended"].values())) < num_pauses:
                began = time.monotonic()
                process = start_trainer(state, *words)
                step_s = first_step_s(process, reader, began)
                if step_s is not None:
                    if words[0] == "resume":
                        times["first new step"][reader.status().stage].append(step_s)
                    time.sleep(random_delays.uniform(*delays_s))
                paused = pause(process, reader)
                if paused is None:
                    assert process.wait() == 0, process.returncode
                    break
                stage, acknowledged_s, ended_s = paused
                times["acknowledged"][stage].append(acknowledged_s)
                times["ended"][stage].append(ended_s)
                words = ["resume", reader.root.name]
            else:
                return times


def percentile_95(values):
    """Return the smallest value that at least 95 % do not exceed."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def main():
    """Measure on one source."""
    parser = argparse.ArgumentParser(description="Seconds that pause and resume take.")
    parser.add_argument("source", nargs="?", default="watch")
    parser.add_argument("--pauses", type=int, default=40)
    parser.add_argument("--delays", type=float, nargs=2, default=(0.5, 20.0), metavar="SECONDS")
    parser.add_argument("--preset", default="full")
    options = parser.parse_args()
    times = measure(options.source, ["--preset", options.preset], options.pauses, options.delays)
    for what, by_stage in times.items():
        everything = [seconds for of_stage in by_stage.values() for seconds in of_stage]
        for stage, seconds in [*sorted(by_stage.items()), ("all stages", everything)]:
            if seconds:
                print(
                    f"{what}, {stage}, {len(seconds)} times: median "
                    f"{statistics.median(seconds):.2f} s, p95 {percentile_95(seconds):.2f} s"
                )


if __name__ == "__main__":
    main()
