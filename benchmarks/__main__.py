"""Run all benchmarks, or the named ones, and write ``docs/benchmarks.md``.

python -m benchmarks                       all of them, about half an hour
python -m benchmarks features network      these two
"""

from __future__ import annotations

import argparse
import importlib
import os

from benchmarks.report import print_rows, write_section

NAMES = (
    *("features", "growth", "boosting", "resume_cost", "network", "workers", "predict_one"),
    *("dashboard", "soak"),
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    chosen = parser.parse_args().names or NAMES
    unknown = set(chosen) - set(NAMES)
    if unknown:
        parser.error(f"expected {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
    for name in chosen:
        benchmark = importlib.import_module(f"benchmarks.{name}")
        load = os.getloadavg()[0]
        print(f"{name}: {benchmark.PURPOSE}", flush=True)
        rows = benchmark.measure()
        print_rows(rows)
        write_section(name, benchmark.PURPOSE, rows, load)


if __name__ == "__main__":
    main()
