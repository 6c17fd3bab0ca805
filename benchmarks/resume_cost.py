"""What it costs to be resumable: segments against one plain call, checkpoints against an epoch.

In: labelled recordings. Out: the ratios, and the seconds per 100 rounds. Boosting is timed from the
cut of the fold to the last round and its checkpoint; the whole fold also to the validation rows'
probabilities, which a run needs twice (best round, fixed round) and the plain call makes once.

    python -m benchmarks.resume_cost ../shared/data/asl.parquet --rounds 500
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from trainer.config import Config
from trainer.data.preprocess import preprocess
from trainer.data.sources import load
from trainer.features.feature_table import build_table
from trainer.features.frames import build_frames, frame_length
from trainer.folds import assign_folds, split
from trainer.metric import competition_score
from trainer.models import registry
from trainer.models.boosting.fold import _parameters, fit_fold
from trainer.models.boosting.fold_data import BoostingTask, FoldData
from trainer.models.monitor import SilentMonitor
from trainer.models.network.fold import NetworkTask
from trainer.models.network.fold import fit_fold as fit_network
from trainer.run.fold_result_file import dump_tensors
from trainer.run.machine import pin
from trainer.store.codec import dumps
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.records import FoldRecord


class SavingMonitor(SilentMonitor):
    """Saves every checkpoint as a run does, and counts the seconds."""

    def __init__(self, folder, model):
        """Save into a folder."""
        self.store = FoldFiles.open(RunPaths(Path(folder)).fold(registry.get(model), 0), 1, None)
        self.encode = dumps if model == "lgbm" else dump_tensors
        self.seconds = []
        self.saved_at = 0.0

    def save(self, checkpoint):
        """Commit the checkpoint: encode, hash, write, fsync, rename, record."""
        began = time.perf_counter()
        unit = FoldRecord(model=self.store.paths.model, fold=0)
        self.store.commit_last(self.encode(checkpoint), unit)
        self.saved_at = time.perf_counter()
        self.seconds.append(self.saved_at - began)


def boost_plainly(task, config, rounds, seed):
    """Boost in one call with the segments' parameters.

    Returns:
        Seconds of boosting, seconds of the whole fold, score at the best round.
    """
    import lightgbm as lgb

    began = time.perf_counter()
    data = FoldData.build(task, config, seed, 0)
    params = _parameters(config, len(data.class_idx), seed, 0, 0)
    shares = data.log_shares_P
    data.train_set.set_init_score(np.tile(shares, (len(data.train_NF), 1)).ravel(order="F"))
    data.valid_set.set_init_score(np.tile(shares, (len(data.valid_NF), 1)).ravel(order="F"))
    losses = {}
    booster = lgb.train(
        params,
        data.train_set,
        rounds,
        valid_sets=[data.valid_set],
        callbacks=[lgb.record_evaluation(losses)],
        keep_training_booster=True,
    )
    boosting_s = time.perf_counter() - began
    best = 1 + int(np.argmin(losses["valid_0"]["multi_logloss"]))
    raw = booster.predict(data.valid_NF, raw_score=True, num_iteration=best) + shares
    predicted_idx = data.class_idx[np.argmax(raw, axis=1)]
    score = competition_score(task.label_idx[task.valid_idx], predicted_idx, task.num_targets)
    return boosting_s, time.perf_counter() - began, score.score


def boost_in_segments(task, config, seed):
    """Boost as a run does, checkpoints included.

    Returns:
        Seconds of boosting, seconds of the whole fold, seconds of saving, score at the best round.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        monitor = SavingMonitor(folder, "lgbm")
        began = time.perf_counter()
        fitted = fit_fold(task, config, seed, 0, monitor)
        fold_s = time.perf_counter() - began
        return monitor.saved_at - began, fold_s, sum(monitor.seconds), fitted.score.score


def measure_boosting(task, rounds, repeats):
    """Print the ratio of segments to one call over the same number of rounds."""
    config = Config().boosting.model_copy(update={"rounds": rounds, "patience_rounds": rounds})
    plain, segments = [], []
    for seed in range(42, 42 + repeats):  # another seed each: one score of each is but a draw
        plain.append(boost_plainly(task, config, rounds, seed))
        boosting_s, fold_s, save_s, score = boost_in_segments(task, config, seed)
        segments.append((boosting_s, fold_s, score))
        print(
            f"  plain {plain[-1][0]:.1f} s, score {plain[-1][2]:.4f}; segments {boosting_s:.1f} s "
            f"({save_s:.1f} s of it saving), score {score:.4f}",
            flush=True,
        )
    boosting, fold = (median_ratio(segments, plain, column) for column in (0, 1))
    per_100 = 100 * statistics.median(one[0] for one in segments) / rounds
    print(f"LightGBM, {rounds} rounds: segments with checkpoints / one plain call = {boosting:.3f}")
    print(
        f"  the whole fold, validation rows predicted: {fold:.3f}; {per_100:.1f} s per 100 rounds"
    )
    means = [statistics.mean(one[2] for one in kind) for kind in (segments, plain)]
    print(f"  mean score {means[0]:.4f}, plain {means[1]:.4f}")


def median_ratio(ours, plain, column):
    """Return the median ratio over pairs: each ran side by side, so other work hits both."""
    return statistics.median(a[column] / b[column] for a, b in zip(ours, plain, strict=True))


def measure_network(task, epochs):
    """Print the share of an epoch that its checkpoint takes."""
    config = Config().network.model_copy(update={"epochs": epochs})
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        monitor = SavingMonitor(folder, "torch")
        began = time.perf_counter()
        fit_network(task, config, 42, 0, monitor)
        seconds = time.perf_counter() - began
    share = sum(monitor.seconds) / (seconds - sum(monitor.seconds))
    print(f"network: {seconds / epochs:.1f} s an epoch, its checkpoint {share:.2%} of that")


def main():
    """Measure on one source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    pin("machine")  # before LightGBM is loaded, as a run does
    sequences = load(options.source)
    signals = preprocess(sequences)
    table = build_table(signals)
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, 5, 42)
    train_idx, valid_idx = split(fold_N, 0)
    shared = {
        "label_idx": sequences.label_idx,
        "num_classes": sequences.labels.num_classes,
        "num_targets": sequences.labels.num_targets,
        "train_idx": train_idx,
        "valid_idx": valid_idx,
    }
    length = frame_length(sequences.lengths_N, train_idx, None)
    measure_network(
        NetworkTask(frames=build_frames(signals), length=length, **shared), options.epochs
    )
    task = BoostingTask(values_NF=table.values_NF, names=table.names, **shared)
    measure_boosting(task, options.rounds, options.repeats)


if __name__ == "__main__":
    main()
