"""Over time: where in a recording the network looked, and what it would miss.

In: a predictor and one sequence. Out: attention per step (where it looked, which is not why), and
occlusion (its answer recomputed with a stretch of the recording hidden).

Shapes: M folds, T time steps of the sequence, B windows, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.blend import vote
from trainer.data.sequences import IntArray, Sequences
from trainer.explain.single import demand_one
from trainer.features.frames import Frames
from trainer.predict.bundles import PredictError
from trainer.predict.fitted_models import FittedModel, map_folds
from trainer.predict.predictor import Predictor

Values = NDArray[np.float64]

NUM_WINDOWS = 16  # at the competition's median of 59 steps some 4 steps, as the network pools
MIN_WINDOW_STEPS = 2


@dataclass(frozen=True)
class Attention:
    """How much each step weighed in the network's pooled view of a sequence.

    Attributes:
        weights_MT: (M, T) float64, each row sums to 1; 0 on steps before the last ``length``, which
            the network does not see. The steps of one pooled step share its weight equally.
    """

    weights_MT: Values

    @property
    def mean_T(self) -> Values:
        """Return the mean of the folds, (T,); sums to 1."""
        return np.asarray(self.weights_MT.mean(axis=0))


@dataclass(frozen=True)
class Occlusion:
    """What the network says when a stretch of the recording is hidden.

    Attributes:
        bounds: (B + 1,) int64, window b is steps ``bounds[b]:bounds[b + 1]``.
        whole_K: (K,) float64, the network's probabilities of the whole recording.
        hidden_BK: (B, K) float64, with window b hidden.
    """

    bounds: IntArray
    whole_K: Values
    hidden_BK: Values

    def drop_B(self, gesture: int) -> Values:
        """Return how much a gesture's probability falls with each window hidden, (B,)."""
        return np.asarray(self.whole_K[gesture] - self.hidden_BK[:, gesture])


def attention_of(predictor: Predictor, sequence: Sequences, fold: int | None = None) -> Attention:
    """Return where the network looked.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        fold: Ask only this fold's network; None asks all.

    Raises:
        PredictError: The run has no network, or no such fold; or there are several sequences.
    """
    fitted, frames = _prepare(predictor, sequence, fold)
    return Attention(np.stack(map_folds(fitted, lambda each: each.attention(frames))))


def occlusion_of(
    predictor: Predictor,
    sequence: Sequences,
    num_windows: int = NUM_WINDOWS,
    fold: int | None = None,
) -> Occlusion:
    """Ask the network again with each window of the recording hidden, all in one batch.

    A hidden step is missing: its channels count as the training data's mean, its sensors as absent.

    Args:
        predictor: A run's models.
        sequence: One sequence.
        num_windows: B, fewer where the recording has not 2 steps for each.
        fold: Ask only this fold's network; None asks all.

    Raises:
        PredictError: As for ``attention_of``.
    """
    fitted, frames = _prepare(predictor, sequence, fold)
    num_steps = len(frames.values_TC)
    num_windows = max(1, min(num_windows, num_steps // MIN_WINDOW_STEPS))
    bounds = np.arange(num_windows + 1) * num_steps // num_windows
    hidden = _hide(frames, bounds)
    proba_MNK = np.stack(map_folds(fitted, lambda each: each.predict(hidden)))
    proba_NK = vote(proba_MNK, fitted.weights_M, fitted.known_MK)
    return Occlusion(bounds=bounds, whole_K=proba_NK[0], hidden_BK=proba_NK[1:])


def _prepare(
    predictor: Predictor, sequence: Sequences, fold: int | None
) -> tuple[FittedModel, Frames]:
    """Return the run's first model with attention, and the sequence's frames."""
    demand_one(sequence)
    models = predictor.models_of(fold).values()
    fitted = next((each for each in models if each.model.has_attention), None)
    if fitted is None:
        raise PredictError(
            f"{predictor.root}: no model on time steps, such as the network. Contributions show "
            f"what LightGBM uses"
        )
    frames: Frames = fitted.model.prepare(predictor.signals(sequence))
    return fitted, frames


def _hide(frames: Frames, bounds: IntArray) -> Frames:
    """Return the sequence whole, then once for each window with that window missing."""
    num_steps, num_windows = len(frames.values_TC), len(bounds) - 1
    copies_NTC = np.tile(frames.values_TC, (num_windows + 1, 1, 1))
    for window in range(num_windows):
        copies_NTC[window + 1, bounds[window] : bounds[window + 1]] = np.nan
    return replace(
        frames,
        offsets=np.arange(num_windows + 2, dtype=np.int64) * num_steps,
        values_TC=copies_NTC.reshape(-1, copies_NTC.shape[2]),
    )
