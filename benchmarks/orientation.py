"""Devices worn otherwise: which are found by left-out subject, and what their correction is worth.

In: a source, and a finished run on it. Out: a Markdown table. In each fold the orientation detector
is fitted on the subjects that the fold's models were trained on, thresholds included; it decides
about the others' recordings, as worn and rotated by 180 degrees about z, each alone or all of a
subject together. The fold's models predict them as recorded, or corrected where it decides so:
share corrected, mean and spread of the fold scores, accuracy.

    python -m benchmarks.orientation watch --run state/watch-1
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import read_recordings
from benchmarks.scores import spread
from trainer.data.device_orientation import rotate
from trainer.data.orientation_detector import OrientationDetector, fit_detector, odd_features
from trainer.data.sequences import IntArray, Sequences
from trainer.metric import competition_score
from trainer.predict.predictor import Predictor
from trainer.store.reader import RunReader

HEAD = "| device | decided | corrected | score | accuracy |\n|---|---|---|---|---|"
DECISIONS = ("not", "each recording alone", "all of a subject together")


@dataclass
class Row:
    """One row of the table.

    Attributes:
        scores: Of each fold.
        hits: Whether each prediction is right, by fold.
        corrected: Whether each recording was corrected, by fold.
    """

    scores: list[float] = field(default_factory=list)
    hits: list[NDArray[np.bool_]] = field(default_factory=list)
    corrected: list[NDArray[np.bool_]] = field(default_factory=list)

    def line(self, device: str, decision: str) -> str:
        """Return the row as Markdown."""
        shares = (np.concatenate(parts).mean() for parts in (self.corrected, self.hits))
        corrected, accuracy = (f"{share:.4f}" for share in shares)
        return f"| {device} | {decision} | {corrected} | {spread(self.scores)} | {accuracy} |"


def decisions(
    detector: OrientationDetector | None, recorded: Sequences
) -> Iterator[NDArray[np.bool_]]:
    """Yield which recordings are corrected under each of the decisions."""
    none_N = np.zeros(recorded.num_sequences, dtype=bool)
    yield none_N
    for known in (replace(recorded, subjects=None), recorded):
        yield none_N if detector is None else detector.find_rotated(known)


def predict(predictor: Predictor, recorded: Sequences, fold: int) -> IntArray:
    """Return the classes that a fold's models predict for recordings, none of them corrected."""
    as_worn = predictor.decide_orientation(recorded, as_worn=True)
    return predictor.predict(as_worn, fold).proba_NK.argmax(axis=1)


def main() -> None:
    """Decide and predict in all folds, then print the table."""
    parser = argparse.ArgumentParser(description="What the correction of devices is worth.")
    parser.add_argument("source")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    sequences, folds = read_recordings(options.source), RunReader(options.run).folds()
    assert sequences.label_idx is not None and sequences.subjects is not None
    assert sequences.labels is not None and folds is not None
    fold_N, features_NF = folds["fold"].to_numpy(), odd_features(sequences)
    predictor = Predictor.load(options.run)
    rows: dict[tuple[str, str], Row] = {}
    for fold in range(fold_N.max() + 1):
        train_idx, valid_idx = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        detector = fit_detector(
            features_NF[train_idx], sequences.subjects[train_idx], sequences.label_idx[train_idx]
        )
        usual, true_N = sequences.select(valid_idx), sequences.label_idx[valid_idx]
        rotated = rotate(usual, np.ones(len(valid_idx), dtype=bool))
        usual_N, rotated_N = (predict(predictor, each, fold) for each in (usual, rotated))
        for device, recorded, own_N, other_N in (
            ("as worn", usual, usual_N, rotated_N),
            ("rotated", rotated, rotated_N, usual_N),
        ):
            for decision, mask_N in zip(DECISIONS, decisions(detector, recorded), strict=True):
                predicted_N = np.where(mask_N, other_N, own_N)
                score = competition_score(true_N, predicted_N, sequences.labels.num_targets)
                row = rows.setdefault((device, decision), Row())
                row.scores.append(score.score)
                row.hits.append(predicted_N == true_N)
                row.corrected.append(mask_N)
    print("\n".join((HEAD, *(row.line(*names) for names, row in rows.items()))))


if __name__ == "__main__":
    main()
