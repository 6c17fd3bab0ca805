"""Folds side by side against one by one: the same run, started both ways in turn.

In: labelled recordings. Out: the ratio of the seconds that the folds took (without the feature
table), the ratio of all processor seconds, and whether the results have the same bytes.

    python -m benchmarks.workers ../shared/data/asl.parquet --pairs 3
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Row, at_least, print_rows
from trainer.store.reader import RunReader

PURPOSE = "Two folds side by side against one by one, the same run both ways; medians of pairs."
SOURCE = "simulated:24"
RESULTS = ("oof.parquet", "scores.json", "lgbm_bundle.pkl", "torch_bundle.pkl")
SETTINGS = ("--preset", "quick", "--folds", "4", "--rounds", "60", "--epochs", "4")
AIM = 1.6  # of 2 at best, on 2 cores


@dataclass(frozen=True)
class Cost:
    """Seconds of a run's folds, processor seconds of all its processes, and its results."""

    folds_s: float
    processor_s: float
    results: tuple[bytes, ...]


def train(root: Path, source: str, workers: int) -> Cost:
    """Train a new run in a process of its own."""
    words = ["train", "--run", root.name, "--state", str(root.parent), "--data", source]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "trainer", *words, *SETTINGS, "--workers", str(workers)],
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = {event.event: event.time for event in RunReader(root).events()}
    log = (root / "trainer.log").read_text()
    features_s = float(re.search(r"feature table built in ([\d.]+) s", log)[1])
    return Cost(
        folds_s=times["finish"] - times["start"] - features_s,
        processor_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        results=tuple((root / name).read_bytes() for name in RESULTS),
    )


def measure(source: str = SOURCE, pairs: int = 3, workers: int = 2) -> list[Row]:
    """Return the ratios, medians over pairs of runs, each pair one after the other."""
    one, several = [], []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(pairs):
            one.append(train(Path(folder) / f"one-{pair}", source, 1))
            several.append(train(Path(folder) / f"several-{pair}", source, workers))
            print(
                f"  folds {one[-1].folds_s:.1f} s, {several[-1].folds_s:.1f} s side by side; "
                f"processor {one[-1].processor_s:.1f} s, {several[-1].processor_s:.1f} s",
                flush=True,
            )
    speedups = [a.folds_s / b.folds_s for a, b in zip(one, several, strict=True)]
    extra = [b.processor_s / a.processor_s for a, b in zip(one, several, strict=True)]
    is_equal = len({cost.results for cost in (*one, *several)}) == 1
    return [
        at_least(f"{source}: one by one / {workers} workers", statistics.median(speedups), AIM),
        Row("processor seconds, side by side / one by one", f"{statistics.median(extra):.2f}"),
        Row("all results have the same bytes", "yes" if is_equal else "no", "yes", is_equal),
    ]


def main() -> None:
    """Measure on one source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default=SOURCE)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_rows(measure(options.source, options.pairs, options.workers))


if __name__ == "__main__":
    main()
