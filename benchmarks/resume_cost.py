"""Cost of being resumable: LightGBM in segments with checkpoints against one plain call.

In: labelled recordings, ``asl`` where it is found. Out: the ratios, and the seconds per 100 rounds.
Timed from the split of the fold to the last round and its checkpoint, in processor seconds, which
with one thread are the seconds of a quiet machine. The whole fold also includes the probabilities
of the validation rows, which a run needs twice (best round, last round), the plain call once.

    python -m benchmarks resume_cost
    python -m benchmarks.resume_cost watch --rounds 100    another source, only printed
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.recordings import ASL, SEED, make_task, read_recordings
from benchmarks.report import Row, at_most, print_rows
from trainer.config import BoostingConfig
from trainer.data.preprocess import preprocess
from trainer.features.feature_table import build_table
from trainer.metric import competition_score
from trainer.models.boosting.fold import _parameters, fit_fold
from trainer.models.boosting.fold_data import FoldData
from trainer.models.monitor import SilentMonitor
from trainer.run.machine import pin
from trainer.store.codec import dumps
from trainer.store.durable import write_atomic

PURPOSE = (
    "LightGBM in segments with checkpoints against one plain lgb.train: the same rounds, 1 thread."
)
MAX_RATIO = 1.06  # segments with checkpoints / one plain call
ROUNDS, PAIRS = 500, 3


class SavingMonitor(SilentMonitor):
    """Saves every checkpoint as a run does, and measures the seconds."""

    def __init__(self, file):
        self.file = file
        self.save_s = 0.0
        self.saved_at = 0.0

    def save(self, checkpoint):
        """Encode, hash and write the checkpoint."""
        began = time.process_time()
        data = dumps(checkpoint)
        hashlib.sha256(data).hexdigest()
        write_atomic(self.file, data)
        self.saved_at = time.process_time()
        self.save_s += self.saved_at - began


def boost_in_segments(task, config, seed):
    """Fit a fold as a run does, with its checkpoints.

    Returns:
        Seconds to the last checkpoint, of the whole fold, of saving; the score at the best round.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as folder:
        monitor = SavingMonitor(Path(folder) / "checkpoint")
        began = time.process_time()
        fitted = fit_fold(task, config, seed, 0, monitor)
        fold_s = time.process_time() - began
    return monitor.saved_at - began, fold_s, monitor.save_s, fitted.score.score


def boost_plainly(task, config, seed):
    """Fit LightGBM in one call with the parameters of the segments.

    Returns:
        Seconds of the rounds, of the whole fold; the score at the best round.
    """
    import lightgbm as lgb

    began = time.process_time()
    data = FoldData.build(task, config, seed, 0)
    shares = data.log_shares_P
    data.train_set.set_init_score(np.tile(shares, (len(data.train_NF), 1)).ravel(order="F"))
    data.valid_set.set_init_score(np.tile(shares, (len(data.valid_NF), 1)).ravel(order="F"))
    losses = {}
    booster = lgb.train(
        _parameters(config, len(data.class_idx), seed, 0, 0),
        data.train_set,
        config.rounds,
        valid_sets=[data.valid_set],
        callbacks=[lgb.record_evaluation(losses)],
        keep_training_booster=True,
    )
    rounds_s = time.process_time() - began
    best = 1 + int(np.argmin(losses["valid_0"]["multi_logloss"]))
    raw_NP = booster.predict(data.valid_NF, raw_score=True, num_iteration=best) + shares
    predicted_idx = data.class_idx[np.argmax(raw_NP, axis=1)]
    score = competition_score(task.label_idx[task.valid_idx], predicted_idx, task.num_targets)
    return rounds_s, time.process_time() - began, score.score


def measure(source=ASL or "simulated:16", rounds=ROUNDS, num_pairs=PAIRS):
    """Return the rows of one source, medians of pairs."""
    pin("machine")  # before LightGBM is loaded, as a run does
    sequences = read_recordings(source)
    task = make_task(sequences, build_table(preprocess(sequences)))
    config = BoostingConfig(rounds=rounds)
    pairs = [  # another seed each time: a single score is chance
        (boost_plainly(task, config, seed), boost_in_segments(task, config, seed))
        for seed in range(SEED, SEED + num_pairs)
    ]
    ratios = [
        statistics.median(own[place] / plain[place] for plain, own in pairs) for place in (0, 1)
    ]
    rounds_s, save_s = (statistics.median(own[place] for _, own in pairs) for place in (0, 2))
    scores = [statistics.mean(one[-1] for one in kind) for kind in zip(*pairs, strict=True)]
    what = f"{Path(source).stem}, {rounds} rounds: segments with checkpoints / one plain call"
    each = ", ".join(f"{own[0] / plain[0]:.3f}" for plain, own in pairs)
    return [
        at_most(what, ratios[0], MAX_RATIO, digits=3),
        Row("each pair", each),
        Row("the whole fold, validation rows predicted", f"{ratios[1]:.3f}"),
        Row("seconds per 100 rounds", f"{100 * rounds_s / rounds:.1f} s"),
        Row("of them, saving of all checkpoints", f"{save_s:.2f} s"),
        Row("mean score, plain and segments", f"{scores[0]:.4f}, {scores[1]:.4f}"),
    ]


def main():
    """Measure one source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pairs", type=int, default=1)
    options = parser.parse_args()
    print_rows(measure(options.source, options.rounds, options.pairs))


if __name__ == "__main__":
    main()
