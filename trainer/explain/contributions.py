"""Contributions: what each feature added to LightGBM's score of the answer, exactly.

In: a predictor, one sequence, the answer and the gesture to set against it. Out:
``Contributions``, fold by fold: the trees' Shapley values, which sum to the raw score. Raw scores
are what the softmax is taken of: a difference of 1 makes a gesture 2.7 times as probable.

Shapes: M folds, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import Sequences
from trainer.explain.single import demand_one
from trainer.features.feature_table import align, build_table
from trainer.predict.bundles import PredictError
from trainer.predict.fitted_models import map_folds
from trainer.predict.predictor import Predictor

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """What a feature, or a sensor, added.

    Attributes:
        name: Of the feature or the sensor.
        value: The feature's value in the recording; NaN where it is missing, or of a sensor.
        answer: Added to the answer's raw score, mean of the folds.
        against: The same minus what it added to the other gesture's.
        spread: Standard deviation of ``against`` over the folds.
    """

    name: str
    value: float
    answer: float
    against: float
    spread: float


@dataclass(frozen=True)
class Contributions:
    """Why LightGBM scored two gestures as it did, per fold.

    Only folds whose training part had both gestures are here.

    Attributes:
        answer: Class index of the gesture that is explained.
        other: Class index of the one it is set against.
        names: F features, those of all folds.
        values_F: (F,) float64, of the recording; NaN missing.
        added_2MF: (2, M, F) float64, to the raw score of the answer and of the other.
        start_2M: (2, M) float64, where the model starts: class share, mean of the trees.
        raw_2M: (2, M) float64, the models' raw scores: ``start + sum of added``.
    """

    answer: int
    other: int
    names: tuple[str, ...]
    values_F: Scores
    added_2MF: Scores
    start_2M: Scores
    raw_2M: Scores

    def features(self) -> list[Share]:
        """Return the features that moved anything, the largest against the other first."""
        shares = self._shares(self.names, self.values_F, self.added_2MF)
        moving = [share for share in shares if share.answer or share.against]
        return sorted(moving, key=lambda share: -abs(share.against))

    def sensors(self) -> list[Share]:
        """Return what the features of each sensor added together, largest first."""
        sensors = np.array([name.partition(".")[0] for name in self.names])
        names = tuple(dict.fromkeys(sensors.tolist()))
        summed_2MS = np.stack(
            [self.added_2MF[:, :, sensors == name].sum(axis=2) for name in names], axis=2
        )
        shares = self._shares(names, np.full(len(names), np.nan), summed_2MS)
        return sorted(shares, key=lambda share: -abs(share.against))

    def _shares(self, names: tuple[str, ...], values: Scores, added_2MX: Scores) -> list[Share]:
        against_MX = added_2MX[0] - added_2MX[1]
        columns = (
            values,
            added_2MX[0].mean(axis=0),
            against_MX.mean(axis=0),
            against_MX.std(axis=0),
        )
        return [
            Share(name, *map(float, numbers))
            for name, *numbers in zip(names, *columns, strict=True)
        ]


def contributions_of(
    predictor: Predictor, sequence: Sequences, answer: int, other: int, fold: int | None = None
) -> Contributions:
    """Return why LightGBM gave one sequence these scores.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        answer: Class index of the gesture to explain.
        other: Class index of the gesture to set it against, such as the runner-up.
        fold: Ask only this fold's model; None asks all.

    Raises:
        PredictError: The run has no LightGBM, no such fold, or no fold that knows both gestures;
            or there are several sequences.
    """
    demand_one(sequence)
    models = predictor.models_of(fold).values()
    fitted = next((each for each in models if each.model.has_contributions), None)
    if fitted is None:
        raise PredictError(
            f"{predictor.root}: no model with contributions, such as LightGBM. Occlusion shows "
            f"what the network uses"
        )
    pair = np.array([answer, other])
    fitted = fitted.select(np.all(fitted.known_MK[:, pair], axis=1))
    if not fitted.folds:
        gestures = [predictor.labels.gestures[k] for k in pair]
        raise PredictError(f"no fold was trained on both {gestures[0]!r} and {gestures[1]!r}")
    table = build_table(predictor.signals(sequence))
    parts = map_folds(fitted, lambda each: each.contributions(table, pair))
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    column_of = {name: column for column, name in enumerate(names)}
    added_2MF = np.zeros((2, len(parts), len(names)))
    for number, part in enumerate(parts):
        added_2MF[:, number, [column_of[name] for name in part.names]] = part.added_NCF[0]
    return Contributions(
        answer=answer,
        other=other,
        names=names,
        values_F=align(table, names)[0].astype(np.float64),
        added_2MF=added_2MF,
        start_2M=np.stack([part.start_NC[0] for part in parts], axis=1),
        raw_2M=np.stack([part.raw_NC[0] for part in parts], axis=1),
    )
