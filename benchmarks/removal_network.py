"""What each piece of the network brings: the same folds with one piece changed at a time.

In: a source, folds, seeds, pieces. Out: for each piece the mean and spread over folds of the score
at the best epoch, of score and accuracy at the epoch that was fixed in advance, and its difference
to the settings as they are. Finished folds are kept in ``--out``, a folder, and not done
again, and a fold that the time limit cuts goes on from its checkpoint.

    python -m benchmarks.removal_network watch --out /tmp/removal --seeds 42
    python -m benchmarks.removal_network ../shared/data/asl.parquet --folds 0 --time-limit 300

Exit codes: 0 all done, 3 the time was up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from trainer.config import make_config
from trainer.data.device_orientation import correct_orientation, find_reversed
from trainer.data.preprocess import preprocess
from trainer.data.sources import load
from trainer.features.frames import Frames, build_frames, frame_length
from trainer.folds import assign_folds, split
from trainer.metric import competition_score
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.network.fold import NetworkTask, fit_fold
from trainer.run.machine import pin

AS_IT_IS = "as it is"
PIECES: dict[str, list[str]] = {
    AS_IT_IS: [],
    "the other network": ["network.architecture=OTHER"],
    "averaged weights off": ["network.ema_decay=0"],
    "averaged weights on": ["network.ema_decay=0.99"],
    "mixup off": ["network.mixup_alpha=0"],
    "rotation off": ["network.rotation_deg=0"],
    "rotation 25 degrees": ["network.rotation_deg=25"],
    "time warp on": ["network.stretch=0.3", "network.shift=0.1"],
    "label smoothing off": ["network.label_smoothing=0"],
    "dropout 0.4": ["network.dropout=0.4"],
    "half the epochs": ["network.epochs=15"],
    "three members": ["network.members=3"],
    "auxiliary targets off": ["network.auxiliary_weight=0"],
    "devices as they were worn": ["data.turn_reversed=false"],
}
ARCHITECTURES = ("time_series_net", "branches")


class Clock(SilentMonitor):
    """Keeps checkpoints in a file and stops when the time is up."""

    def __init__(self, checkpoint: Path, deadline: float) -> None:
        self.checkpoint, self.deadline = checkpoint, deadline

    def should_stop(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() > self.deadline

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Keep the point to go on from; written as a whole only when the fold stops."""
        if self.should_stop():
            torch.save(checkpoint, self.checkpoint)


@dataclass(frozen=True)
class Fold:
    """What one fold came to."""

    best_score: float
    last_score: float
    last_accuracy: float
    seconds_per_epoch: float


class Recordings:
    """The recordings, and their frames for each way to prepare them."""

    def __init__(self, source: str) -> None:
        self.sequences = load(source)
        self.frames = cache(self._frames)

    def _frames(self, turn_reversed: bool, mirror_left_handers: bool) -> Frames:
        turned = find_reversed(self.sequences) if turn_reversed else ()
        return build_frames(
            preprocess(correct_orientation(self.sequences, turned), mirror_left_handers)
        )


def fit(
    recordings: Recordings,
    assignments: list[str],
    seed: int,
    fold: int,
    file: Path,
    deadline: float,
) -> Fold:
    """Fit one fold, or read it where it is kept."""
    if file.exists():
        return Fold(**json.loads(file.read_text()))
    config = make_config(None, {}, assignments, {})
    sequences = recordings.sequences
    frames = recordings.frames(config.data.turn_reversed, config.data.mirror_left_handers)
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, config.folds.count, seed)
    train_idx, valid_idx = split(fold_N, fold)
    task = NetworkTask(
        frames=frames,
        label_idx=sequences.label_idx,
        num_classes=sequences.labels.num_classes,
        num_targets=sequences.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
        length=frame_length(sequences.lengths_N, train_idx, config.frames.length),
        annotations=sequences.annotations,
    )
    checkpoint = file.with_suffix(".pth")
    point = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None
    began = time.monotonic()
    fitted = fit_fold(task, config.network, seed, fold, Clock(checkpoint, deadline), point)
    num_run = fitted.num_epochs - (0 if point is None else len(point["history"]))
    true_idx, last_idx = sequences.label_idx[valid_idx], fitted.last_proba_NK.argmax(axis=1)
    done = Fold(
        best_score=fitted.score.score,
        last_score=competition_score(true_idx, last_idx, task.num_targets).score,
        last_accuracy=float((true_idx == last_idx).mean()),
        seconds_per_epoch=(time.monotonic() - began) / max(1, num_run),
    )
    file.write_text(json.dumps(vars(done)))
    checkpoint.unlink(missing_ok=True)
    return done


def tell(name: str, folds: list[Fold], reference: list[Fold]) -> None:
    """Print one line of the table."""
    told = f"{name:22}"
    for part in ("best_score", "last_score", "last_accuracy"):
        values = [getattr(each, part) for each in folds]
        gains = [v - getattr(each, part) for v, each in zip(values, reference, strict=True)]
        told += f"  {part} {statistics.mean(values):.4f} ({statistics.mean(gains):+.4f}"
        told += f" +- {statistics.pstdev(gains):.4f})"
    seconds = statistics.median(each.seconds_per_epoch for each in folds)
    print(f"{told}  {seconds:.1f} s an epoch", flush=True)


def main() -> int:
    """Measure every piece on one source."""
    parser = argparse.ArgumentParser(description="What each piece of the network brings.")
    parser.add_argument("source")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--pieces", default=",".join(PIECES))
    parser.add_argument("--out", type=Path, default=Path("removal"))
    parser.add_argument("--time-limit", type=float, default=1e9, help="seconds")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    deadline = time.monotonic() + options.time_limit
    pin("machine")
    options.out.mkdir(parents=True, exist_ok=True)
    recordings = Recordings(options.source)
    architecture = make_config(None, {}, options.set, {}).network.architecture
    other = next(each for each in ARCHITECTURES if each != architecture)
    reference: list[Fold] = []
    for piece in options.pieces.split(","):
        changes = [text.replace("OTHER", other) for text in PIECES[piece]]
        name = f"{Path(options.source).stem}-{piece.replace(' ', '_')}"
        try:
            folds = [
                fit(recordings, [*options.set, *changes], seed, fold,
                    options.out / f"{name}-{seed}-{fold}.json", deadline)
                for seed in map(int, options.seeds.split(","))
                for fold in map(int, options.folds.split(","))
            ]  # fmt: skip
        except Paused:
            print(f"{piece}: the time was up; the same command goes on")
            return 3
        reference = reference or folds  # the first piece is what the others are held against
        tell(piece, folds, reference)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
