"""What each block of features and each setting brings to LightGBM: the same folds without it.

In: a source, folds, seeds, pieces. Out: for each piece the mean over folds of score, accuracy and
validation loss at the best round, of the score at the round fixed in advance, and the difference of
the first piece, mean and spread.

    python -m benchmarks.removal_features watch --seeds 42
    python -m benchmarks.removal_features ../shared/data/asl.parquet --folds 0

A removed preprocessing step is the block of features that needs it: gravity removal is ``linear``,
the angular velocity ``omega``. "devices as they were worn" leaves out
``trainer.data.device_orientation``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from dataclasses import dataclass

import numpy as np

from trainer.config import BoostingConfig, make_config
from trainer.data.device_orientation import correct_orientation, find_reversed
from trainer.data.preprocess import preprocess
from trainer.data.sequences import Sequences
from trainer.data.sources import load
from trainer.features.feature_table import FeatureTable, build_table
from trainer.folds import assign_folds, split
from trainer.metric import competition_score
from trainer.models.boosting.fold import BoostingTask, fit_fold
from trainer.models.monitor import SilentMonitor

AS_IT_IS = "as it is"
AS_WORN = "devices as they were worn"
BLOCKS = {  # what a removed feature's name looks like
    "heading": r".*\.heading\.",
    "turning with push and pose": r"rot\.(heading|turn_rate)_\w+\.(correlation|leading|following)$",
    "turn and tilt": r".*\.(turn|tilt)_rate\.",
    "forward and sideways": r".*\.(forward|sideways)\.",
    "timing": r".*_at$",
    "push with pose with turn": r".*\.(linear|gravity|omega)_._\w+\.correlation$",
    "signed areas": r".*\.(scaled_)?area$",
    "lively poses": r".*\.(step|size)_correlation$",
    "skewness of steps": r".*\.step_skewness$",
    "gravity removal": r".*[._](linear|vertical|horizontal|forward|sideways)",
    "gravity direction": r".*[._]gravity",
    "angular velocity": r".*[._](omega|turn_rate|tilt_rate|heading)",
    "quaternion": r"rot\.rot_",
    "time bins": r".*\.bin\d",
    "late part": r".*\.late_",
    "spectrum": r".*\.(band\d|dominant|spectral)",
    "autocorrelation": r".*\.autocorr",
    "thermopiles": r"thm_",
    "time of flight": r"tof_",
}
SETTINGS = {  # settings of boosting, as in config.json
    "feature_fraction 0.3": {"feature_fraction": 0.3},
    "feature_fraction 0.1": {"feature_fraction": 0.1},
    "extra trees off": {"extra_trees": False},
    "lambda_l2 0.1": {"lambda_l2": 0.1},
    "min_data_in_leaf 20": {"min_data_in_leaf": 20},
    "masked copies off": {"masked_copies": 0.0},
    "dropout instead of copies": {"masked_copies": 0.0, "modality_dropout": 0.3},
}

PIECES = (AS_IT_IS, AS_WORN, *BLOCKS, *SETTINGS)


@dataclass(frozen=True)
class Fold:
    """What one fold came to; seconds are of the processor."""

    score: float
    accuracy: float
    loss: float
    fixed_score: float
    seconds: float


def fit(
    sequences: Sequences, table: FeatureTable, config: BoostingConfig, seed: int, fold: int
) -> Fold:
    """Boost one fold."""
    labels = sequences.labels
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, 5, seed)
    train_idx, valid_idx = split(fold_N, fold)
    began = time.process_time()
    fitted = fit_fold(
        BoostingTask(
            table.values_NF,
            table.names,
            sequences.label_idx,
            labels.num_classes,
            labels.num_targets,
            train_idx,
            valid_idx,
        ),
        config,
        seed,
        fold,
        SilentMonitor(),
    )
    true_idx = sequences.label_idx[valid_idx]
    own_N = fitted.valid_proba_NK[np.arange(len(true_idx)), true_idx]
    fixed_idx = fitted.last_proba_NK.argmax(axis=1)
    return Fold(
        score=fitted.score.score,
        accuracy=float((fitted.valid_proba_NK.argmax(axis=1) == true_idx).mean()),
        loss=float(-np.log(np.maximum(own_N, 1e-15)).mean()),
        fixed_score=competition_score(true_idx, fixed_idx, labels.num_targets).score,
        seconds=time.process_time() - began,
    )


def without(table: FeatureTable, block: str) -> FeatureTable:
    """Return the table without the features of a block."""
    pattern = re.compile(BLOCKS[block])
    kept = [place for place, name in enumerate(table.names) if not pattern.match(name)]
    return FeatureTable(
        np.ascontiguousarray(table.values_NF[:, kept]), tuple(table.names[place] for place in kept)
    )


def tell(name: str, num_features: int, folds: list[Fold], reference: list[Fold]) -> None:
    """Print one row of the table."""
    gains = [one.score - other.score for one, other in zip(folds, reference, strict=True)]
    mean = {
        part: statistics.mean(getattr(fold, part) for fold in folds)
        for part in ("score", "accuracy", "loss", "fixed_score", "seconds")
    }
    print(
        f"| {name} | {num_features:,} | {mean['score']:.4f} | {statistics.mean(gains):+.4f} +- "
        f"{statistics.pstdev(gains):.4f} | {mean['accuracy']:.4f} | {mean['loss']:.4f} | "
        f"{mean['fixed_score']:.4f} | {mean['seconds']:.1f} |",
        flush=True,
    )


def main() -> None:
    """Measure every piece on one source."""
    parser = argparse.ArgumentParser(description="What each feature block brings to LightGBM.")
    parser.add_argument("source")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--pieces", default=",".join(PIECES))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    worn = load(options.source)
    sequences = correct_orientation(worn, find_reversed(worn))
    whole = build_table(preprocess(sequences))
    config = make_config(environment={}).boosting
    reference: list[Fold] = []
    print(
        "| piece | features | score | difference | accuracy | loss | fixed round | CPU s a fold |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for piece in options.pieces.split(","):
        table = without(whole, piece) if piece in BLOCKS else whole
        if piece == AS_WORN:
            if sequences is worn:
                continue  # all like the others
            table = build_table(preprocess(worn))
        if piece in BLOCKS and len(table.names) == len(whole.names):
            continue  # these recordings have no such features
        changes = {**SETTINGS.get(piece, {}), "num_threads": options.threads}
        folds = [
            fit(sequences, table, config.model_copy(update=changes), seed, fold)
            for seed in map(int, options.seeds.split(","))
            for fold in map(int, options.folds.split(","))
        ]
        reference = reference or folds
        tell(piece, len(table.names), folds, reference)


if __name__ == "__main__":
    main()
