"""Contributions: what each feature adds to a model's raw scores of two gestures.

In: a predictor, one sequence, two gestures. Out: ``Contributions`` by fold: Shapley values (of
trees: Lundberg et al. 2018, TreeSHAP), which sum to the raw score. Probabilities are the softmax of
the raw scores: a difference of 1 makes one gesture 2.7 times as probable as the other.

Shapes: M folds, F features, S sensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Sequences
from trainer.explain.preconditions import check_single, find_model
from trainer.features.feature_table import align, build_table
from trainer.features.meanings import meaning_of
from trainer.predict.fitted_models import PredictError, map_folds
from trainer.predict.predictor import Predictor

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Contribution:
    """What one feature, or all features of a sensor, add.

    Attributes:
        name: Name of the feature or the sensor.
        value: The feature's value in the recording; NaN where it is missing, or for a sensor.
        added: Added to the raw score of the gesture, mean over the folds.
        difference: ``added`` minus what is added to the other gesture, mean over the folds.
        spread: Standard deviation of ``difference`` over the folds.
    """

    name: str
    value: float
    added: float
    difference: float
    spread: float

    @property
    def meaning(self) -> str:
        """Return the meaning of the feature in words; "" for a sensor or an unknown name."""
        return meaning_of(self.name)


@dataclass(frozen=True)
class Contributions:
    """The contributions to the raw scores of two gestures, by fold.

    Only of folds whose training part has both gestures.

    Attributes:
        model: Name of the model.
        gesture: Class index of the gesture that is explained.
        other: Class index of the gesture that it is compared with.
        names: F features, of all folds.
        values_F: (F,) float64, values in the recording; NaN missing.
        added_2MF: (2, M, F) float64, added to the raw scores of both gestures.
        start_2M: (2, M) float64, the raw scores before any feature is used.
        raw_2M: (2, M) float64, the raw scores: ``start + sum of added``.
    """

    model: str
    gesture: int
    other: int
    names: tuple[str, ...]
    values_F: Scores
    added_2MF: Scores
    start_2M: Scores
    raw_2M: Scores

    def by_feature(self) -> list[Contribution]:
        """Return the features that add anything, the largest difference first."""
        rows = self._rows(self.names, self.values_F, self.added_2MF)
        return [row for row in rows if row.added or row.difference]

    def by_sensor(self) -> list[Contribution]:
        """Return the sum over the features of each sensor, the largest difference first."""
        sensors = np.array([name.partition(".")[0] for name in self.names])
        names = tuple(dict.fromkeys(sensors.tolist()))
        summed_2MS = np.stack(
            [self.added_2MF[:, :, sensors == name].sum(axis=2) for name in names], axis=2
        )
        return self._rows(names, np.full(len(names), np.nan), summed_2MS)

    def _rows(
        self, names: tuple[str, ...], values: Scores, added_2MX: Scores
    ) -> list[Contribution]:
        difference_MX = added_2MX[0] - added_2MX[1]
        columns = (
            values,
            added_2MX[0].mean(axis=0),
            difference_MX.mean(axis=0),
            difference_MX.std(axis=0),
        )
        rows = [
            Contribution(name, *map(float, numbers))
            for name, *numbers in zip(names, *columns, strict=True)
        ]
        return sorted(rows, key=lambda row: -abs(row.difference))


def contributions_of(
    predictor: Predictor, sequence: Sequences, gesture: int, other: int, fold: int | None = None
) -> Contributions:
    """Return the contributions to the raw scores of two gestures of one sequence.

    They are of the run's first model that has contributions.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        gesture: Class index of the gesture to explain.
        other: Class index of the gesture to compare it with, such as the runner-up.
        fold: Use this fold's model only; None uses all folds.

    Raises:
        PredictError: There are several sequences, no model with contributions, no such fold, or no
            fold that was trained on both gestures.
    """
    check_single(sequence)
    fitted = find_model(predictor, "contributions", fold)
    pair = np.array([gesture, other])
    fitted = fitted.select(np.all(fitted.known_MK[:, pair], axis=1))
    if not fitted.folds:
        first, second = (predictor.labels.gestures[k] for k in pair)
        raise PredictError(f"no fold was trained on both {first!r} and {second!r}")
    table = build_table(predictor.signals(sequence), own=predictor.own.blocks)
    parts = map_folds(fitted, lambda each: each.contributions(table, pair))
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    column_of = {name: column for column, name in enumerate(names)}
    added_2MF = np.zeros((2, len(parts), len(names)))
    for number, part in enumerate(parts):
        added_2MF[:, number, [column_of[name] for name in part.names]] = part.added_NCF[0]
    divisors_M = fitted.temperatures_M  # as the model's probabilities are
    return Contributions(
        model=fitted.model.name,
        gesture=gesture,
        other=other,
        names=names,
        values_F=align(table, names)[0].astype(np.float64),
        added_2MF=added_2MF / divisors_M[:, None],
        start_2M=np.stack([part.start_NC[0] for part in parts], axis=1) / divisors_M,
        raw_2M=np.stack([part.raw_NC[0] for part in parts], axis=1) / divisors_M,
    )
