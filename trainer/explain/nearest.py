"""Nearest neighbours: the training sequences whose features are most like those of a recording.

In: a predictor, the run's training data, one sequence. Out: ``Neighbour``s.

The distance is the root of the weighted mean squared difference, in standard deviations of the
training data. The weight of a feature is its total gain in the run's first model with importance;
features that are missing in either sequence are left out.

Shapes: N training sequences, F features with gain.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Sequences
from trainer.explain.preconditions import check_single, find_model
from trainer.explain.training import Training
from trainer.features.feature_table import FeatureTable, align, build_table
from trainer.features.segments import ratio
from trainer.predict.predictor import Predictor

NUM_NEIGHBOURS = 5
_BLOCK_FEATURES = 256  # computed at once: 17 MB for the competition's 8,151 sequences


@dataclass(frozen=True)
class Neighbour:
    """A training sequence near the recording.

    Attributes:
        sequence_id: Its id.
        gesture: Its true gesture.
        subject: Its subject.
        distance: In standard deviations; 0 means equal features.
    """

    sequence_id: str
    gesture: str
    subject: str
    distance: float


def nearest(
    predictor: Predictor,
    training: Training,
    sequence: Sequences,
    num_neighbours: int = NUM_NEIGHBOURS,
    exclude: Collection[str] = (),
) -> list[Neighbour]:
    """Return the nearest training sequences, the nearest first.

    Args:
        predictor: A run's models.
        training: The training data of the same run.
        sequence: One sequence.
        num_neighbours: The largest number to return.
        exclude: Ids of training sequences to leave out, such as that of the sequence itself.

    Raises:
        PredictError: There are several sequences, or no model with importance.
    """
    check_single(sequence)
    names, gain_F = _gains(predictor)
    table = build_table(predictor.signals(sequence), own=predictor.own.blocks)
    distance_N = _distances(align(table, names)[0], training.table, names, gain_F)
    distance_N[np.isin(training.sequence_ids, list(exclude))] = np.nan
    order_N = np.argsort(distance_N, kind="stable")[: max(0, num_neighbours)]
    return [
        Neighbour(
            sequence_id=str(training.sequence_ids[n]),
            gesture=predictor.labels.gestures[training.label_idx[n]],
            subject=str(training.subjects[n]),
            distance=float(distance_N[n]),
        )
        for n in order_N
        if not np.isnan(distance_N[n])
    ]


def _gains(predictor: Predictor) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the features with any gain, and their gain summed over the folds."""
    fitted = find_model(predictor, "importance")
    gains: dict[str, float] = {}
    for each in fitted.folds:
        for name, gain in each.gains().items():
            gains[name] = gains.get(name, 0.0) + gain
    used = {name: gain for name, gain in gains.items() if gain > 0}
    return tuple(used), np.array(list(used.values()))


def _distances(
    values_F: NDArray[np.float32],
    training: FeatureTable,
    names: tuple[str, ...],
    gain_F: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the distance to each training sequence, NaN where no feature is shared, (N,)."""
    total_N, shared_N = np.zeros((2, len(training.values_NF)))
    for start in range(0, len(names), _BLOCK_FEATURES):
        block = slice(start, start + _BLOCK_FEATURES)
        known_NF = align(training, names[block]).astype(np.float64)
        squares_NF = ((known_NF - values_F[block]) / _spread(known_NF)) ** 2
        shared_N += ~np.isnan(squares_NF) @ gain_F[block]
        total_N += np.nan_to_num(squares_NF) @ gain_F[block]
    return np.sqrt(ratio(total_N, shared_N))


def _spread(known_NF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of each feature, 1 where it has none, (F,)."""
    count_F = np.maximum((~np.isnan(known_NF)).sum(axis=0), 1)
    mean_F = np.nansum(known_NF, axis=0) / count_F
    std_F = np.sqrt(np.nansum((known_NF - mean_F) ** 2, axis=0) / count_F)
    return np.where(std_F > 0, std_F, 1.0)
