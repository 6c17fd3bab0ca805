"""What both halves and their blend score on simulated recordings, and what light costs IMU only.

In: how many subjects, seeds, trainings. Out, out of fold by subject: all three scores (all sensors,
IMU only, their mean) of LightGBM, the network and the blend; and for each training with all sensors
its IMU-only score beside that of a training that never saw thermopiles and time of flight, fold by
fold. Each fold is kept in ``--out``: the same command goes on where it was stopped.

    python -m benchmarks.simulated_scores --subjects 16 --out /tmp/simulated
    python -m benchmarks.simulated_scores --models lgbm --seeds 42,43 --trainings default,0.3,never

A training is ``default``: as a run does it, for LightGBM with masked copies of its rows, for the
network with modality dropout; or the share of modality dropout alone; or ``never``.

Shapes: N sequences, F features, K classes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.blend import blend_probabilities
from trainer.config import Config, make_config
from trainer.data.preprocess import preprocess
from trainer.features.feature_table import FeatureTable, build_table
from trainer.features.frames import Frames, build_frames, frame_length
from trainer.folds import assign_folds, split
from trainer.metric import competition_score
from trainer.models.boosting.fold import BoostingTask
from trainer.models.boosting.fold import fit_fold as fit_boosting
from trainer.models.monitor import SilentMonitor
from trainer.models.network.fold import NetworkTask
from trainer.models.network.fold import fit_fold as fit_network
from trainer.simulation.simulate import simulate

NEVER = "never"  # saw thermopiles and time of flight
DEFAULT = "default"  # as a run does it
LIGHT = ("thm", "tof")
KINDS = ("best", "fixed")  # chosen on the fold that is scored; fixed in advance
Proba = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One fold of one training of one model."""

    model: str
    training: str
    seed: int
    fold: int


class Bench:
    """The recordings, what is made of them, and the folds that are done."""

    def __init__(self, num_subjects: int, config: Config, out: Path) -> None:
        self.num_subjects, self.config, self.out = num_subjects, config, out
        self.sequences = simulate(num_subjects)
        self.label_idx = self.sequences.label_idx
        self.labels = self.sequences.labels
        self.table = cache(self._table)
        self.frames = cache(self._frames)
        out.mkdir(parents=True, exist_ok=True)

    def parts(self, seed: int, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of the training and the validation part."""
        count = self.config.folds.count
        return split(assign_folds(self.label_idx, self.sequences.subjects, count, seed), fold)

    def probabilities(self, job: Job) -> dict[str, Proba]:
        """Return ``best``, ``best_imu``, ``fixed`` and ``fixed_imu`` of a fold; fit it once."""
        file = self.out / f"{self._name(job)}.npz"
        if not file.exists():
            began = time.monotonic()
            fitted = self._boost(job) if job.model == "lgbm" else self._train(job)
            best_NK, fixed_NK = fitted.valid_proba_NK, fitted.last_proba_NK
            best_imu_NK, fixed_imu_NK = fitted.valid_proba_imu_NK, fitted.last_proba_imu_NK
            unfinished = file.with_name("unfinished.npz")
            np.savez(
                unfinished,
                best=best_NK,
                best_imu=best_NK if best_imu_NK is None else best_imu_NK,
                fixed=fixed_NK,
                fixed_imu=fixed_NK if fixed_imu_NK is None else fixed_imu_NK,
            )
            unfinished.replace(file)
            print(f"{job}: {time.monotonic() - began:.0f} s", flush=True)
        with np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def score(self, proba_NK: Proba, valid_idx: NDArray[np.int64]) -> float:
        """Return the competition's score."""
        true_idx, predicted_idx = self.label_idx[valid_idx], proba_NK.argmax(axis=1)
        return competition_score(true_idx, predicted_idx, self.labels.num_targets).score

    def _boost(self, job: Job):
        table = self.table(job.training == NEVER)
        train_idx, valid_idx = self.parts(job.seed, job.fold)
        task = BoostingTask(
            table.values_NF,
            table.names,
            self.label_idx,
            self.labels.num_classes,
            self.labels.num_targets,
            train_idx,
            valid_idx,
        )
        config = self.config.boosting.model_copy(update=_hiding(job))
        return fit_boosting(task, config, job.seed, job.fold, SilentMonitor())

    def _train(self, job: Job):
        train_idx, valid_idx = self.parts(job.seed, job.fold)
        lengths_N = self.sequences.lengths_N
        task = NetworkTask(
            frames=self.frames(job.training == NEVER),
            label_idx=self.label_idx,
            num_classes=self.labels.num_classes,
            num_targets=self.labels.num_targets,
            train_idx=train_idx,
            valid_idx=valid_idx,
            length=frame_length(lengths_N, train_idx, self.config.frames.length),
            annotations=self.sequences.annotations,
        )
        config = self.config.network.model_copy(update=_hiding(job))
        return fit_network(task, config, job.seed, job.fold, SilentMonitor())

    def _signals(self, without_light: bool):
        return preprocess(self.sequences.without(LIGHT) if without_light else self.sequences)

    def _table(self, without_light: bool) -> FeatureTable:
        return build_table(self._signals(without_light))

    def _frames(self, without_light: bool) -> Frames:
        return build_frames(self._signals(without_light))

    def _name(self, job: Job) -> str:
        settings = self.config.boosting if job.model == "lgbm" else self.config.network
        text = f"{settings.model_dump_json()} {self.config.folds.count} {self.config.frames.length}"
        digest = sha256(text.encode() + self.sequences.acc_T3.tobytes()).hexdigest()[:12]
        return f"{job.model}-{job.training}-{job.seed}-{job.fold}-{digest}"


def _hiding(job: Job) -> dict[str, float]:
    """Return the settings that say what a training hides of light."""
    if job.training == DEFAULT:
        return {}
    if job.training == NEVER:
        return {"modality_dropout": 0.0}
    copies = {"masked_copies": 0.0} if job.model == "lgbm" else {}
    return {"modality_dropout": float(job.training), **copies}


def _mean_and_spread(values: Iterable[float], sign: str = "") -> str:
    listed = list(values)
    return f"{statistics.mean(listed):{sign}.4f} +- {statistics.pstdev(listed):.4f}"


def tell_halves(
    bench: Bench, training: str, imu_training: str, jobs: list[tuple[int, int]]
) -> None:
    """Print all three scores of each half and of the blend, over the folds of all seeds.

    Where light is missing ``imu_training`` answers: the same training, or one that IMU only is
    routed to.
    """
    weights = {"lgbm": bench.config.blend.lgbm_weight, "torch": bench.config.blend.torch_weight}
    routed = "" if imu_training == training else f", IMU only routed to `{imu_training}`"
    print(f"\ntraining {training}{routed}, {len(jobs)} folds, mean and spread\n")
    print("| model | chosen | all sensors | IMU only | their mean |\n|---|---|---|---|---|")
    for kind in KINDS:
        rows: dict[str, list[tuple[float, float]]] = {"lgbm": [], "torch": [], "blend": []}
        for seed, fold in jobs:
            _, valid_idx = bench.parts(seed, fold)
            pairs = []
            for trained, name in ((training, kind), (imu_training, f"{kind}_imu")):
                by_model = {
                    model: bench.probabilities(Job(model, trained, seed, fold))[name]
                    for model in weights
                }
                blended_NK, _ = blend_probabilities(by_model, weights)
                pairs.append({**by_model, "blend": blended_NK})
            for model, scores in rows.items():
                whole, imu = (bench.score(pair[model], valid_idx) for pair in pairs)
                scores.append((whole, imu))
        for model, scores in rows.items():
            whole, imu = ([pair[side] for pair in scores] for side in (0, 1))
            models = [(one + other) / 2 for one, other in scores]
            told = " | ".join(_mean_and_spread(values) for values in (whole, imu, models))
            print(f"| {model} | {kind} | {told} |", flush=True)


def tell_claim(bench: Bench, model: str, trainings: list[str], jobs: list[tuple[int, int]]) -> None:
    """Print each training's IMU-only score beside that of the one that never saw the others."""
    print(f"\n{model}, {len(jobs)} folds, difference of IMU only from `{NEVER}`, paired by fold\n")
    print("| training | chosen | all sensors | IMU only | difference | folds above -0.01 |")
    print("|---|---|---|---|---|---|")
    for training in trainings:
        for kind in KINDS:
            whole, imu, gains = [], [], []
            for seed, fold in jobs:
                _, valid_idx = bench.parts(seed, fold)
                found = bench.probabilities(Job(model, training, seed, fold))
                never = bench.probabilities(Job(model, NEVER, seed, fold))
                whole.append(bench.score(found[kind], valid_idx))
                imu.append(bench.score(found[f"{kind}_imu"], valid_idx))
                gains.append(imu[-1] - bench.score(never[kind], valid_idx))
            held = sum(gain >= -0.01 for gain in gains)
            print(
                f"| {training} | {kind} | {_mean_and_spread(whole)} | {_mean_and_spread(imu)} | "
                f"{_mean_and_spread(gains, '+')} | {held} of {len(gains)} |",
                flush=True,
            )


def main() -> None:
    """Fit what is not there yet, then print both tables."""
    parser = argparse.ArgumentParser(description="Scores on simulated recordings, with and without")
    parser.add_argument("--subjects", type=int, default=16)
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--models", default="lgbm,torch")
    parser.add_argument("--trainings", default=f"{DEFAULT},{NEVER}")
    parser.add_argument("--out", type=Path, default=Path("simulated_scores"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    bench = Bench(options.subjects, make_config(None, {}, options.set, {}), options.out)
    models, trainings = options.models.split(","), options.trainings.split(",")
    seeds = [int(text) for text in options.seeds.split(",")]
    jobs = [(seed, int(fold)) for seed in seeds for fold in options.folds.split(",")]
    for seed, fold in jobs:
        for training in trainings:
            for model in models:
                bench.probabilities(Job(model, training, seed, fold))
    if len(models) == 2:
        for training in trainings:
            tell_halves(bench, training, training, jobs)
            if NEVER in trainings and training != NEVER:
                tell_halves(bench, training, NEVER, jobs)
    if NEVER in trainings:
        for model in models:
            tell_claim(bench, model, trainings, jobs)


if __name__ == "__main__":
    main()
