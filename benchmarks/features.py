"""Cost of the feature table: from a file to the table, stage by stage, and from a warm cache.

In: simulated recordings of the competition's size, written first, as CSV and as Parquet; ``asl``
where it is found. Out: seconds and peak memory, medians of three fresh processes.

    python -m benchmarks features
    python -m benchmarks.features watch           one source, not written to the report
    python -m benchmarks.features watch --against ../before --turns 5   two checkouts, in turns
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.processes import run_code
from benchmarks.recordings import ASL
from benchmarks.report import Row, at_most, print_rows
from trainer.simulation.simulate import NUM_SUBJECTS, write_folder

PURPOSE = "From a file with recordings to the feature table, in a fresh process."
REPEATS = 3
MAX_MEMORY_GB, MAX_WARM_S = 6.0, 1.0
# 8 s of a CSV and 5 s of Parquet, where polars alone reads the CSV in 2.8 s
MAX_CSV, MAX_PARQUET = 2.85, 1.78
ALONE = r"""
import json, sys, time
import polars as pl
began = time.perf_counter()
pl.read_csv(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - began}))
"""
ONE = r"""
import json, sys, time
began = time.perf_counter()
import tempfile
import benchmarks.recordings
from trainer.data.preprocess import preprocess
from trainer.features.feature_table import build_table
from trainer.store.checksums import CheckedFolder
from trainer.store.tables.feature_cache import FeatureCache, load_features, save_features
marks = {"import": time.perf_counter()}
sequences = benchmarks.recordings.read_recordings(sys.argv[1])
marks["read and check"] = time.perf_counter()
signals = preprocess(sequences)
marks["preprocess"] = time.perf_counter()
table = build_table(signals)
marks["table"] = time.perf_counter()
peak, processor = peak_gb(), time.process_time()
with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
    folder = CheckedFolder(Path(name))
    cache = FeatureCache(
        key="0" * 64, values_NF=table.values_NF, names=table.names, grid_map={},
        label_idx=sequences.label_idx, subjects=sequences.subjects,
        sequence_ids=sequences.sequence_ids)
    save_features(folder, cache)
    cold = time.perf_counter()
    assert not isinstance(load_features(folder, cache.key), str)
    warm = time.perf_counter() - cold
seconds = dict(zip(marks, [b - a for a, b in zip([began, *marks.values()], marks.values())]))
num_sequences, num_features = table.values_NF.shape
print(json.dumps({"stages": seconds, "total": marks["table"] - began, "peak": peak, "warm": warm,
                  "processor": processor,
                  "rows": int(sequences.offsets[-1]), "sequences": num_sequences,
                  "features": num_features}))
"""


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        csv, parquet = write_sources(Path(name), NUM_SUBJECTS)
        alone = [run_code(ALONE, str(csv / "train.csv"))["seconds"] for _ in range(REPEATS)]
        alone_s = statistics.median(alone)
        rows = [
            Row("polars alone reads the CSV", f"{alone_s:.2f} s"),
            *measure_source("CSV, competition's size", str(csv), alone_s, MAX_CSV),
            *measure_source("Parquet, competition's size", str(parquet), alone_s, MAX_PARQUET),
        ]
    return [*rows, *measure_source("asl", ASL, alone_s)] if ASL else rows


def write_sources(folder: Path, num_subjects: int) -> tuple[Path, Path]:
    """Write simulated recordings; return a folder with CSV files and one with Parquet files."""
    import polars as pl

    csv, parquet = folder / f"csv{num_subjects}", folder / f"parquet{num_subjects}"
    write_folder(csv, num_subjects)
    parquet.mkdir()
    for path in csv.glob("*.csv"):
        pl.read_csv(path, infer_schema_length=None).write_parquet(
            (parquet / path.name).with_suffix(".parquet")
        )
    return csv, parquet


def measure_source(
    what: str, source: str, alone_s: float | None = None, limit: float = MAX_PARQUET
) -> list[Row]:
    """Build the table of a source in fresh processes; return the rows of the source.

    Args:
        what: Name of the source.
        source: As ``read_recordings`` takes it.
        alone_s: Seconds that polars alone takes to read the competition's CSV; None compares not.
        limit: Of the seconds to the table, in units of these.
    """
    runs = [run_code(ONE, source) for _ in range(REPEATS)]
    one = runs[0]

    def median(name: str) -> float:
        return statistics.median(run[name] for run in runs)

    stages = {
        stage: statistics.median(run["stages"][stage] for run in runs) for stage in one["stages"]
    }
    size = f"{one['sequences']:,} sequences, {one['rows']:,} rows, {one['features']:,} features"
    total_s = median("total")
    compared = f"{what} / polars alone reads the CSV"
    return [
        Row(f"{what}: {size}", f"{total_s:.2f} s"),
        *([] if alone_s is None else [at_most(compared, total_s / alone_s, limit)]),
        Row(f"{what}, stages", ", ".join(f"{name} {s:.2f} s" for name, s in stages.items())),
        at_most(f"{what}, peak memory", max(run["peak"] for run in runs), MAX_MEMORY_GB, " GB"),
        at_most(f"{what}, warm cache", median("warm"), MAX_WARM_S, " s"),
    ]


def compare(source: str, before: Path, turns: int) -> list[Row]:
    """Build the table of a source with two checkouts in turns; return medians and ratios."""
    source = str(Path(source).resolve()) if Path(source).exists() else source
    pairs = [
        (flatten(run_code(ONE, source, checkout=before)), flatten(run_code(ONE, source)))
        for _ in range(turns)
    ]
    rows = []
    for name in pairs[0][0]:
        old, new = (statistics.median(pair[place][name] for pair in pairs) for place in (0, 1))
        ratio = statistics.median(pair[1][name] / pair[0][name] for pair in pairs)
        rows.append(Row(name, f"{old:.2f} to {new:.2f}, ratio {ratio:.2f}"))
    return rows


def flatten(run: dict[str, Any]) -> dict[str, float]:
    """Return the figures of one process that are compared."""
    return run["stages"] | {name: run[name] for name in ("total", "processor", "peak")}


def main() -> None:
    """Measure one source."""
    parser = argparse.ArgumentParser(description="Cost of the feature table of one source.")
    parser.add_argument("source")
    parser.add_argument("--against", type=Path, help="checkout of the code before")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    if options.against:
        print_rows(compare(options.source, options.against, options.turns))
    else:
        print_rows(measure_source(options.source, options.source))


if __name__ == "__main__":
    main()
