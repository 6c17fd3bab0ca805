"""Recordings and fold tasks, prepared as a run prepares them.

In: a source of the command line. Out: checked recordings, a ``FoldTask`` of one model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.data.device_orientation import correct_orientation, find_reversed
from trainer.data.sequences import Sequences
from trainer.data.sources import check_trainable, fingerprint
from trainer.folds import assign_folds, split
from trainer.models.base import FoldTask
from trainer.simulation.any_source import load

NUM_FOLDS, SEED = 5, 42
ASL = next(
    (
        str(path)
        for folder in Path(__file__).parents
        if (path := folder / "shared" / "data" / "asl.parquet").exists()
    ),
    None,
)


def read_recordings(source: str) -> Sequences:
    """Load, check and fingerprint the recordings of a source, device orientations corrected."""
    sequences = load(source)
    check_trainable(sequences, NUM_FOLDS)
    fingerprint(sequences)
    return correct_orientation(sequences, find_reversed(sequences), in_place=True)


def make_task(sequences: Sequences, inputs: Any, fold: int = 0) -> FoldTask:
    """Return one fold of five.

    Args:
        sequences: Labelled recordings.
        inputs: Their feature table or frames.
        fold: Which fold is validated on.
    """
    assert sequences.labels is not None
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, NUM_FOLDS, SEED)
    train_idx, valid_idx = split(fold_N, fold)
    return FoldTask(
        inputs=inputs,
        label_idx=sequences.label_idx,
        num_classes=sequences.labels.num_classes,
        num_targets=sequences.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
        annotations=sequences.annotations,
    )
