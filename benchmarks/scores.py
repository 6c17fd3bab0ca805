"""End to end: what LightGBM, the network and their blend score on a source.

In: a source, seeds, settings. Out: for each seed and model the mean and the single fold scores, the
out-of-fold score, accuracy and macro F1 over all gestures; at the best rounds and epochs and at
those fixed in advance. The runs are real ones and are kept in ``--state``: the same command goes on
where it was stopped.

    python -m benchmarks.scores watch --state /tmp/scores --seeds 42,43,44
    python -m benchmarks.scores ../shared/data/asl.parquet --state /tmp/scores --time-limit 5m
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from trainer.blend import blend_probabilities
from trainer.store.names import RunPaths
from trainer.store.records import ModelScores, Scores, read_record

PAUSED = 3


def train(source: str, name: str, seed: int, options: argparse.Namespace) -> int:
    """Train or resume one run; return the trainer's exit code."""
    command = [sys.executable, "-m", "trainer", "train", "--data", source, "--run", name]
    command += ["--seed", str(seed), "--state", str(options.state), "--models", options.models]
    command += ["--time-limit", options.time_limit, "--preset", options.preset]
    for assignment in options.set:
        command += ["--set", assignment]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode


def macro_f1(paths: RunPaths, weights: dict[str, float], model: str) -> float:
    """Return the mean over all gestures of the out-of-fold F1, of a model or the blend."""
    shares = weights if model == "blend" else {model: 1.0}
    table = pl.read_parquet(paths.oof)
    names = sorted({name.partition(":")[2] for name in table.columns if ":" in name})
    proba = {one: table.select(f"{one}:{name}" for name in names).to_numpy() for one in shares}
    blended_NK, _ = blend_probabilities(proba, shares)
    done_N = ~np.isnan(blended_NK[:, 0])
    true_N = np.array([names.index(name) for name in table["gesture"]])[done_N]
    predicted_N = blended_NK[done_N].argmax(axis=1)
    hits_K = np.bincount(true_N[true_N == predicted_N], minlength=len(names))
    cases_K = np.bincount(true_N, minlength=len(names)) + np.bincount(
        predicted_N, minlength=len(names)
    )
    return float(np.mean(2 * hits_K / np.maximum(cases_K, 1)))


def tell(title: str, row: ModelScores, macro: float | None) -> None:
    """Print one model of one run."""
    for sensors, part in (("", row.all_sensors), (" IMU only", row.imu_only)):
        if part is None or part.oof is None:
            continue
        folds = " ".join(f"{fold.score:.3f}" for fold in part.folds if fold is not None)
        told = f"{title + sensors:26} mean {part.mean:.4f} ({folds})  out of fold "
        told += f"{part.oof.score:.4f}  accuracy {part.oof.accuracy:.4f}"
        print(told + (f"  macro F1 {macro:.4f}" if macro is not None and not sensors else ""))


def main() -> int:
    """Train, then print every score."""
    parser = argparse.ArgumentParser(description="Scores of both models and their blend.")
    parser.add_argument("source")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--models", default="lgbm,torch")
    parser.add_argument("--preset", default="full")
    parser.add_argument("--time-limit", default="none")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    means: dict[str, list[float]] = {}
    for seed in map(int, options.seeds.split(",")):
        stem = Path(options.source).stem.replace(":", "-").lower()
        name = f"scores-{stem}-{options.models.replace(',', '-')}-{seed}"
        code = train(options.source, name, seed, options)
        if code not in (0, PAUSED):
            return code
        if code == PAUSED:
            print(f"seed {seed}: the time was up; the same command goes on")
        paths = RunPaths(options.state / name)
        scores = read_record(paths.scores, Scores)
        for model, row in scores.models.items():
            tell(f"{seed} {model}", row, macro_f1(paths, scores.weights, model))
            means.setdefault(model, []).append(row.all_sensors.mean or 0.0)
        for model, row in scores.fixed.items():
            tell(f"{seed} {model}, fixed", row, None)
            means.setdefault(f"{model}, fixed", []).append(row.all_sensors.mean or 0.0)
    for title, values in means.items():
        print(f"{title:26} mean of {len(values)} seeds {statistics.mean(values):.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
