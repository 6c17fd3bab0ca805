"""Scores of a source, over seeds and folds, with the defaults and with changed settings.

In: a source, seeds, variants (settings that differ from the first training). Out: for each variant,
model and choice of the step, mean and spread of the fold scores over all seeds, the paired
difference to the first training, out-of-fold score, accuracy and macro F1 over all gestures.
"last" is the model that predicts, on which nothing was chosen; "best" is the round or epoch that
was best on the fold that is scored, so it is optimistic. All runs are ordinary ones and stay in
``--state``: the same command continues where it was stopped.

    python -m benchmarks.scores watch --state /tmp/scores --seeds 42,43,44
    python -m benchmarks.scores watch --state /tmp/scores --models torch
        --variant "mixup off: network.mixup_alpha=0" --variant "short: network.epochs=15"
    python -m benchmarks.scores simulated:16 --state /tmp/scores --imu-only

``--imu-only`` adds a training on the same recordings without thermopiles and time of flight, and
compares each training's IMU-only scores with its scores.

Exit codes: 0 all done, 1 a training failed, 3 the time limit was reached.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from trainer.blend import blend_probabilities
from trainer.config import is_simulated
from trainer.data.sequences import IntArray
from trainer.models.registry import BLEND
from trainer.simulation.simulate import read_num_subjects, write_folder
from trainer.store.names import RunPaths
from trainer.store.records import ModelScores, ScoreRow, Scores, read_record

PAUSED = 3
FIRST = "as it is"
WITHOUT = "without thermopiles and time of flight"
SENSORS = ("all", "IMU only", "mean of both")
MARGIN = 0.01  # an IMU-only score may be so far below that of a training without the sensors


@dataclass(frozen=True)
class Variant:
    """One way to train: a name, and settings beside those of all."""

    name: str
    source: str
    assignments: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, source: str) -> Variant:
        """Return the variant of ``NAME: KEY=VALUE; KEY=VALUE``."""
        name, colon, settings = text.partition(":")
        assignments = tuple(part.strip() for part in settings.split(";") if part.strip())
        if not colon or not assignments:
            raise ValueError(f"variant: expected 'NAME: KEY=VALUE; KEY=VALUE', got {text!r}")
        return cls(name.strip(), source, assignments)


@dataclass(frozen=True)
class Key:
    """What a score is of."""

    model: str
    chosen: str  # last or best
    sensors: str  # one of SENSORS


@dataclass
class Results:
    """Scores of one variant: by seed and fold, and out of fold by seed."""

    folds: dict[Key, dict[tuple[int, int], float]]
    oof: dict[Key, list[ScoreRow]]
    macro: dict[str, list[float]]

    def add(self, seed: int, scores: Scores, macro: dict[str, float]) -> None:
        """Add the scores of one seed's run."""
        for chosen, models in (("last", scores.models), ("best", scores.best)):
            for model, row in models.items():
                if model == BLEND and len(scores.weights) == 1:
                    continue
                for sensors, by_fold, oof in _parts(row):
                    key = Key(model, chosen, sensors)
                    pairs = {(seed, fold): score for fold, score in by_fold.items()}
                    self.folds.setdefault(key, {}).update(pairs)
                    self.oof.setdefault(key, []).extend([oof] if oof is not None else [])
        for model, value in macro.items():
            self.macro.setdefault(model, []).append(value)


def _parts(row: ModelScores) -> Iterator[tuple[str, dict[int, float], ScoreRow | None]]:
    """Yield sensors, scores of the folds that are done, and the out-of-fold row."""
    by_sensors = []
    for sensors, part in zip(SENSORS, (row.all_sensors, row.imu_only), strict=False):
        if part is not None:
            scores = {fold: one.score for fold, one in enumerate(part.folds) if one is not None}
            by_sensors.append(scores)
            yield sensors, scores, part.oof
    if len(by_sensors) == 2:
        both, imu = by_sensors
        yield SENSORS[2], {fold: (both[fold] + imu[fold]) / 2 for fold in both}, None


def train(variant: Variant, seed: int, options: argparse.Namespace) -> RunPaths:
    """Train or resume one run; return its files.

    Raises:
        SystemExit: The trainer failed.
    """
    words = ["--data", variant.source, "--models", options.models, "--preset", options.preset]
    for assignment in (*options.set, *variant.assignments):
        words += ["--set", assignment]
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:10]
    paths = RunPaths(options.state / f"scores-{digest}-{seed}")
    command = [sys.executable, "-m", "trainer", "train", "--run", paths.root.name, *words]
    command += ["--seed", str(seed), "--state", str(options.state)]
    command += ["--time-limit", options.time_limit]
    if options.first_folds:
        num_missing = options.first_folds - num_done(paths)
        if num_missing <= 0:
            return paths
        command += ["--stop-after-folds", str(num_missing)]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if code not in (0, PAUSED):
        raise SystemExit(1)
    if code == PAUSED and not options.first_folds:
        print(f"{variant.name}, seed {seed}: the time limit was reached; run the command again")
        options.is_cut = True
    return paths


def num_done(paths: RunPaths) -> int:
    """Return how many folds have scores."""
    if not paths.scores.exists():
        return 0
    models = read_record(paths.scores, Scores).models
    return sum(one is not None for row in models.values() for one in row.all_sensors.folds)


def run_macro_f1(paths: RunPaths, weights: dict[str, float], model: str) -> float:
    """Return the mean over all gestures of the out-of-fold F1, of a model or the blend."""
    shares = weights if model == BLEND else {model: 1.0}
    table = pl.read_parquet(paths.oof)
    prefix = next(iter(shares))
    names = [name.removeprefix(f"{prefix}:") for name in table.columns if f"{prefix}:" in name]
    proba = {one: table.select(f"{one}:{name}" for name in names).to_numpy() for one in shares}
    blended_NK, _ = blend_probabilities(proba, shares)
    done_N = ~np.isnan(blended_NK[:, 0])
    true_N = np.array([names.index(name) for name in table["gesture"]])[done_N]
    predicted_N = blended_NK[done_N].argmax(axis=1)
    return macro_f1(true_N, predicted_N, len(names))


def macro_f1(true_idx: IntArray, predicted_idx: IntArray, num_gestures: int) -> float:
    """Return the mean F1 over all gestures, 0 for one that is neither true nor predicted."""
    counts = [np.bincount(values, minlength=num_gestures) for values in (true_idx, predicted_idx)]
    hits_K = np.bincount(true_idx[true_idx == predicted_idx], minlength=num_gestures)
    return float(np.mean(2 * hits_K / np.maximum(counts[0] + counts[1], 1)))


def measure(variant: Variant, seeds: list[int], options: argparse.Namespace) -> Results:
    """Train all seeds of a variant and return their scores."""
    results = Results({}, {}, {})
    for seed in seeds:
        paths = train(variant, seed, options)
        if num_done(paths):
            scores = read_record(paths.scores, Scores)
            macro = {model: run_macro_f1(paths, scores.weights, model) for model in scores.models}
            results.add(seed, scores, macro)
    return results


def spread(values: list[float], sign: str = "") -> str:
    """Return mean and standard deviation."""
    return f"{statistics.mean(values):{sign}.4f} +- {statistics.pstdev(values):.4f}"


def score_lines(by_variant: dict[str, Results]) -> list[str]:
    """Return the table of all variants."""
    first = next(iter(by_variant.values()))
    lines = [
        "| variant | model | chosen | sensors | folds | score | difference | out of fold | "
        "accuracy | macro F1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in by_variant.items():
        for key, folds in results.folds.items():
            reference = first.folds.get(key, {})
            shared = [pair for pair in folds if pair in reference]
            gains = [folds[pair] - reference[pair] for pair in shared]
            difference = spread(gains, "+") if gains and results is not first else ""
            rows = results.oof[key]
            oof = f"{statistics.mean(row.score for row in rows):.4f}" if rows else ""
            accuracy = f"{statistics.mean(row.accuracy for row in rows):.4f}" if rows else ""
            has_macro = key.chosen == "last" and key.sensors == SENSORS[0]
            macro = f"{statistics.mean(results.macro[key.model]):.4f}" if has_macro else ""
            cells = (name, key.model, key.chosen, key.sensors, str(len(folds)))
            cells += (spread(list(folds.values())), difference, oof, accuracy, macro)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def imu_lines(by_variant: dict[str, Results], without: Results) -> list[str]:
    """Return the table of IMU-only scores beside a training without the other sensors."""
    lines = [
        "| variant | model | chosen | IMU only | trained without the sensors | difference | "
        f"folds above -{MARGIN} |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, results in by_variant.items():
        for key, folds in results.folds.items():
            reference = without.folds.get(Key(key.model, key.chosen, SENSORS[0]), {})
            shared = [pair for pair in folds if pair in reference]
            if key.sensors != SENSORS[1] or not shared:
                continue
            own = [folds[pair] for pair in shared]
            other = [reference[pair] for pair in shared]
            gains = [a - b for a, b in zip(own, other, strict=True)]
            num_close = sum(gain > -MARGIN for gain in gains)
            cells = (name, key.model, key.chosen, spread(own), spread(other), spread(gains, "+"))
            lines.append(f"| {' | '.join(cells)} | {num_close} of {len(gains)} |")
    return lines


def write_sources(source: str, folder: Path) -> tuple[str, str]:
    """Write a folder with the recordings without thermopiles and time of flight.

    Args:
        source: ``simulated[:SUBJECTS]``, a file, or a folder with a training table.
        folder: Where to write.

    Returns:
        The source with all sensors, of the same rows in the same order, and the one without.
    """
    if is_simulated(source):
        whole = folder / source.replace(":", "-")
        if not whole.exists():
            write_folder(whole, read_num_subjects(source))
        source = str(whole)
    path = Path(source)
    table = next(path.glob("train.*")) if path.is_dir() else path
    target = folder / f"{path.stem}-imu"
    target.mkdir(exist_ok=True)
    if table.suffix == ".csv":
        frame = pl.read_csv(table, infer_schema_length=None)
    else:
        frame = pl.read_parquet(table)
    frame.select(pl.exclude("^(thm|tof)_.*$")).write_parquet(target / "train.parquet")
    for demographics in path.glob("train_demographics.*"):
        (target / demographics.name).write_bytes(demographics.read_bytes())
    return source, str(target)


def main() -> int:
    """Train all variants and seeds, then print the tables."""
    parser = argparse.ArgumentParser(description="Scores over seeds, folds and settings.")
    parser.add_argument("source")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--variant", action="append", default=[], metavar='"NAME: KEY=VALUE; ..."')
    parser.add_argument("--imu-only", action="store_true", help="of simulated, a file, a folder")
    parser.add_argument("--models", default="lgbm,torch")
    parser.add_argument("--preset", default="full")
    parser.add_argument("--first-folds", type=int, help="stop after so many; with one model only")
    parser.add_argument("--time-limit", default="none", help="of each training, such as 30m")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.first_folds and "," in options.models:
        parser.error("--first-folds needs one model in --models")
    options.is_cut = False
    options.state.mkdir(parents=True, exist_ok=True)
    source, imu_source = options.source, ""
    if options.imu_only:
        source, imu_source = write_sources(source, options.state)
    variants = [Variant(FIRST, source), *(Variant.parse(text, source) for text in options.variant)]
    seeds = [int(text) for text in options.seeds.split(",")]
    results = {variant.name: measure(variant, seeds, options) for variant in variants}
    print("\n".join(score_lines(results)), flush=True)
    if options.imu_only:
        without = measure(Variant(WITHOUT, imu_source), seeds, options)
        print("\n".join(["", *imu_lines(results, without)]))
    return PAUSED if options.is_cut else 0


if __name__ == "__main__":
    raise SystemExit(main())
