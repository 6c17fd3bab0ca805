"""Attention and occlusion: which part of a recording a model on time steps uses.

In: a predictor and one sequence. Out: attention weights per time step (they show where the model
looks, not why it predicts), and occlusion (probabilities predicted again with a window hidden).
Both are of the run's first model with attention.

Shapes: M folds, T time steps of the sequence, B windows, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.blend import vote
from trainer.data.sequences import IntArray, Sequences
from trainer.explain.preconditions import check_single, find_model
from trainer.features.frames import Frames
from trainer.predict.fitted_models import FittedModel, map_folds
from trainer.predict.predictor import Predictor

Values = NDArray[np.float64]

NUM_WINDOWS = 16  # 4 steps each at the competition's median of 59, as the network pools
MIN_WINDOW_STEPS = 2


@dataclass(frozen=True)
class Attention:
    """The attention weight of each time step.

    Attributes:
        model: Name of the model.
        weights_MT: (M, T) float64, each row sums to 1; 0 on steps that are cut off because the
            model's frames are shorter. The steps of one pooled step share its weight equally.
    """

    model: str
    weights_MT: Values

    @property
    def mean_T(self) -> Values:
        """Return the mean over the folds, (T,); sums to 1."""
        return np.asarray(self.weights_MT.mean(axis=0))


@dataclass(frozen=True)
class Occlusion:
    """A model's probabilities with each window of a recording hidden.

    Attributes:
        model: Name of the model.
        bounds: (B + 1,) int64, window b is steps ``bounds[b]:bounds[b + 1]``.
        whole_K: (K,) float64, probabilities of the whole recording.
        hidden_BK: (B, K) float64, with window b hidden.
    """

    model: str
    bounds: IntArray
    whole_K: Values
    hidden_BK: Values

    def drop_B(self, gesture: int) -> Values:
        """Return how much a gesture's probability decreases with each window hidden, (B,)."""
        return np.asarray(self.whole_K[gesture] - self.hidden_BK[:, gesture])


def attention_of(predictor: Predictor, sequence: Sequences, fold: int | None = None) -> Attention:
    """Return the attention weights of one sequence.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        fold: Use this fold's model only; None uses all folds.

    Raises:
        PredictError: There are several sequences, no model with attention, or no such fold.
    """
    fitted, frames = _prepare(predictor, sequence, fold)
    weights_MT = np.stack(map_folds(fitted, lambda each: each.attention(frames)))
    return Attention(fitted.model.name, weights_MT)


def occlusion_of(
    predictor: Predictor,
    sequence: Sequences,
    num_windows: int = NUM_WINDOWS,
    fold: int | None = None,
) -> Occlusion:
    """Predict again with each window of the recording hidden, all in one batch.

    The channels of a hidden step are missing values, which the model replaces by their mean in the
    training data.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        num_windows: B; fewer if the recording has less than 2 steps for each.
        fold: Use this fold's model only; None uses all folds.

    Raises:
        PredictError: As ``attention_of``.
    """
    fitted, frames = _prepare(predictor, sequence, fold)
    num_steps = len(frames.values_TC)
    num_windows = max(1, min(num_windows, num_steps // MIN_WINDOW_STEPS))
    bounds = np.arange(num_windows + 1) * num_steps // num_windows
    hidden = _hide(frames, bounds)
    by_fold = map_folds(fitted, lambda each: each.predict(hidden))
    proba_NK = vote(fitted.scale(by_fold), fitted.weights_M, fitted.known_MK)
    return Occlusion(fitted.model.name, bounds, whole_K=proba_NK[0], hidden_BK=proba_NK[1:])


def _prepare(
    predictor: Predictor, sequence: Sequences, fold: int | None
) -> tuple[FittedModel, Frames]:
    check_single(sequence)
    fitted = find_model(predictor, "attention", fold)
    frames: Frames = fitted.model.prepare(predictor.signals(sequence))
    return fitted, frames


def _hide(frames: Frames, bounds: IntArray) -> Frames:
    """Return the sequence itself, then one copy per window with that window missing."""
    num_steps, num_windows = len(frames.values_TC), len(bounds) - 1
    copies_NTC = np.tile(frames.values_TC, (num_windows + 1, 1, 1))
    for window in range(num_windows):
        copies_NTC[window + 1, bounds[window] : bounds[window + 1]] = np.nan
    return replace(
        frames,
        offsets=np.arange(num_windows + 2, dtype=np.int64) * num_steps,
        values_TC=copies_NTC.reshape(-1, copies_NTC.shape[2]),
    )
