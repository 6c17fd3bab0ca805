"""What the feature table costs: from a file to the table, stage by stage, and from a warm cache.

In: simulated recordings of the competition's size, made first, as CSV and as Parquet; ``asl`` where
it is there. Out: seconds and peak memory, medians of three fresh processes.

    python -m benchmarks features
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, at_most
from trainer.simulation.simulate import NUM_SUBJECTS, write_folder

PURPOSE = "From a file with recordings to the feature table, in a fresh process."
ASL = next(
    (
        path
        for folder in Path(__file__).parents
        if (path := folder / "shared" / "data" / "asl.parquet").exists()
    ),
    None,
)
REPEATS = 3
ONE = r"""
import json, sys, time
began = time.perf_counter()
import re, tempfile
from pathlib import Path
from trainer.config import make_config
from trainer.run.inputs.recordings import load_dataset
from trainer.data.sources import fingerprint, load
from trainer.store.checksums import CheckedFolder
config = make_config("full", {"data.source": sys.argv[1]}, environment={})
marks = {"import": time.perf_counter()}
material = load_dataset(config)
marks["read and check"] = time.perf_counter()
material.signals
marks["preprocess"] = time.perf_counter()
from trainer.features.feature_table import build_table
table = build_table(material.signals)
marks["table"] = time.perf_counter()
status = Path("/proc/self/status").read_text()  # ru_maxrss would hold the parent's peak
peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])
with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
    folder = CheckedFolder(Path(name))
    material.open_features(folder, lambda: None)
    cold = time.perf_counter()
    fresh = type(material)(
        config, material.catalogue, material.fingerprint, material.sequences,
        turned_subjects=material.turned_subjects,
    )
    fresh.open_features(folder, lambda: None)
    warm = time.perf_counter() - cold
seconds = dict(zip(marks, [b - a for a, b in zip([began, *marks.values()], marks.values())]))
rows, count = material.catalogue.num_rows, table.values_NF.shape
print(json.dumps({"stages": seconds, "total": marks["table"] - began, "peak": peak / 1e9,
                  "warm": warm, "rows": rows, "sequences": count[0], "features": count[1]}))
"""


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        csv, parquet = make_sources(Path(name), NUM_SUBJECTS)
        rows = [
            *_told("CSV, competition's size", csv, 15.0),
            *_told("Parquet, competition's size", parquet, 8.0),
        ]
    return [*rows, *_told("asl", ASL, 5.0)] if ASL else rows


def make_sources(folder: Path, num_subjects: int) -> tuple[Path, Path]:
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


def run_once(source: Path) -> dict:
    """Build the table of a source in a fresh process; return what it measured of itself."""
    command = (sys.executable, "-c", ONE, str(source))
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run_often(source: Path, repeats: int = REPEATS) -> dict:
    """Return the run of median time, with the largest peak of all."""
    runs = sorted((run_once(source) for _ in range(repeats)), key=lambda run: run["total"])
    return {**runs[len(runs) // 2], "peak": max(run["peak"] for run in runs)}


def _told(what: str, source: Path, limit_s: float) -> list[Row]:
    runs = [run_once(source) for _ in range(REPEATS)]
    total = statistics.median(run["total"] for run in runs)
    stages = {
        stage: statistics.median(run["stages"][stage] for run in runs)
        for stage in runs[0]["stages"]
    }
    one = runs[0]
    size = f"{one['sequences']:,} sequences, {one['rows']:,} rows, {one['features']:,} features"
    return [
        at_most(f"{what}: {size}", total, limit_s, " s"),
        Row(f"{what}, stages", ", ".join(f"{name} {s:.2f} s" for name, s in stages.items())),
        at_most(f"{what}, peak memory", max(run["peak"] for run in runs), 6.0, " GB"),
        at_most(f"{what}, warm cache", statistics.median(run["warm"] for run in runs), 1.0, " s"),
    ]
