"""Orientation detector: whether the device of a recording looks rotated by 180 degrees about z.

In: training recordings, device orientation corrected. Out: ``OrientationDetector``, plain numbers
in the files of a run; with it, which recordings to correct before a prediction, without training
recordings of the same person.

The rotation changes the sign of the acceleration along x and y. Each feature here changes its sign
with it, so a logistic regression without intercept, fitted on every recording and on its rotated
copy, gives log odds that only change their sign, too. A recording is corrected where they exceed a
threshold, which is chosen on subjects that the regression was not fitted on: below it are all but
0.25 % of the recordings as worn, times a margin. All recordings of a subject are decided together,
by the mean of their log odds. Measured in docs/experiments.md.

Shapes: N sequences, T time steps, F features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.device_orientation import Vectors
from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.sequences import IntArray, Sequences
from trainer.plain_data import LARGEST, DamagedDataError, number, part, reading

NUM_FEATURES = 28
FEATURES_VERSION = 1  # raise it whenever the features of the same recordings would change
NUM_FOLDS = 10  # of subjects, for the threshold
MIN_SUBJECTS = 8  # with fewer, other people may differ more than the validation shows
MAX_FALSE = 0.0025  # share of recordings as worn beyond the threshold; 0.5 % are acceptable
MIN_SEQUENCES = 400  # 1 / MAX_FALSE: a smaller share of fewer is not known
MANY = 30  # recordings of a subject from which the mean has a threshold of its own
MARGIN = 1.5  # people outside the training differ more than those inside
LEAST_LOG_ODDS = 1.5  # of any threshold
CLIP = 2.5  # times the root mean square of a feature: rare shakes must not decide
MAX_ITERATIONS, TOLERANCE = 50, 1e-9  # of Newton's method, which needs about ten
CORRECTED, AS_WORN = "corrected before prediction", "predicted as worn"
_SMALL_G = 0.02  # standard deviation of a device at rest: correlations below it are noise
_DECIMALS = 6  # of the stored numbers: the last bits depend on the order of the recordings


@dataclass(frozen=True)
class OrientationDetector:
    """A logistic regression, and the log odds from which recordings are corrected.

    Attributes:
        scales_F: (F,) root mean square of each feature in the training data.
        weights_F: (F,) of the scaled features.
        threshold: Of one recording, and of the mean over fewer than MANY of a subject.
        threshold_of_many: Of the mean over at least MANY recordings of a subject.
    """

    scales_F: Vectors
    weights_F: Vectors
    threshold: float
    threshold_of_many: float

    @classmethod
    def from_plain(cls, packed: Mapping[str, Any]) -> OrientationDetector | None:
        """Return the detector of a file, None where it has none or one of other features.

        Raises:
            DamagedDataError: It has parts that no version writes.
        """
        if not packed:
            return None
        with reading("orientation_detector"):
            if _numbers(packed, "version", 1, 0.0) != FEATURES_VERSION:
                return None
            thresholds = _numbers(packed, "thresholds", 2, 0.0)
            return cls(
                _numbers(packed, "scales", NUM_FEATURES, 1e-9),
                _numbers(packed, "weights", NUM_FEATURES, -LARGEST),
                *thresholds.tolist(),
            )

    def to_plain(self) -> dict[str, list[float]]:
        """Return the detector as lists of numbers."""
        return {
            "version": [float(FEATURES_VERSION)],
            "scales": self.scales_F.tolist(),
            "weights": self.weights_F.tolist(),
            "thresholds": [self.threshold, self.threshold_of_many],
        }

    def log_odds(self, features_NF: Vectors) -> Vectors:
        """Return the log odds of the usual orientation against the rotated one, (N,)."""
        scaled_NF = _scaled(features_NF, self.scales_F)
        return np.asarray(np.einsum("nf,f->n", scaled_NF, self.weights_F))

    def find_rotated(self, sequences: Sequences) -> NDArray[np.bool_]:
        """Return which recordings look rotated, (N,)."""
        log_odds_N = self.log_odds(odd_features(sequences))
        group_N = np.arange(sequences.num_sequences)
        if sequences.subjects is not None:
            group_N = np.unique(sequences.subjects, return_inverse=True)[1]
        count_N = np.bincount(group_N)[group_N]
        mean_N = np.bincount(group_N, log_odds_N)[group_N] / count_N
        is_many_N = count_N >= MANY
        return np.asarray(mean_N < -np.where(is_many_N, self.threshold_of_many, self.threshold))


def fit_detector(
    features_NF: Vectors, subjects: NDArray[np.str_], label_idx: IntArray
) -> OrientationDetector | None:
    """Fit a detector; None where there are too few subjects or recordings to validate it.

    Args:
        features_NF: From ``odd_features``, device orientation corrected.
        subjects: (N,) whose recordings they are.
        label_idx: (N,) their gestures. The thresholds also hold for many recordings of one gesture.
    """
    names, subject_idx = np.unique(subjects, return_inverse=True)
    if len(names) < MIN_SUBJECTS or len(features_NF) < MIN_SEQUENCES:
        return None
    fold_N = subject_idx % NUM_FOLDS
    log_odds_N = np.empty(len(features_NF))
    for fold in range(fold_N.max() + 1):
        is_train_N = fold_N != fold
        fitted = _fit(features_NF[is_train_N], subject_idx[is_train_N])
        log_odds_N[~is_train_N] = fitted.log_odds(features_NF[~is_train_N])
    order = np.lexsort((label_idx, subject_idx))
    by_subject = np.split(log_odds_N[order], np.cumsum(np.bincount(subject_idx))[:-1])
    means = [
        piece.mean()
        for values in by_subject
        for piece in np.array_split(values, max(1, len(values) // MANY))
    ]
    return dataclasses.replace(
        _fit(features_NF, subject_idx),
        threshold=_threshold(log_odds_N),
        threshold_of_many=_threshold(means),
    )


def decide_orientation(
    sequences: Sequences,
    turned_subjects: Collection[str],
    detector: OrientationDetector | None,
    as_worn: bool = False,
) -> Sequences:
    """Return recordings with the decision which of them to correct (``Sequences.turned_N``).

    Args:
        sequences: The recordings; a decision that they carry already is kept.
        turned_subjects: Subjects that were corrected in training; so they are here.
        detector: Decides for all others; None: they are not corrected.
        as_worn: Correct none.
    """
    if sequences.turned_N is not None:
        return sequences
    turned_N = np.zeros(sequences.num_sequences, dtype=bool)
    if detector is not None and not as_worn:
        turned_N = detector.find_rotated(sequences)
    if sequences.subjects is not None and not as_worn:
        turned_N |= np.isin(sequences.subjects, list(turned_subjects))
    return dataclasses.replace(sequences, turned_N=turned_N)


def note_turned(sequences: Sequences, action: str = CORRECTED) -> tuple[str, ...]:
    """Return a note where recordings are to be corrected.

    Args:
        sequences: With a decision.
        action: What is done about it, in words.
    """
    if sequences.turned_N is None or not sequences.turned_N.any():
        return ()
    count, total = int(sequences.turned_N.sum()), sequences.num_sequences
    which = "this recording" if total == 1 else f"{count:,} of {total:,} recordings"
    look = "looks" if count == 1 else "look"
    return (f"{which} {look} rotated by 180 degrees about z (device reversed): {action}",)


def odd_features(sequences: Sequences) -> Vectors:
    """Return features of the acceleration that change their sign with the rotation, (N, F).

    Left wrists are mirrored. A sequence without a complete row has zeros.
    """
    starts, lengths_N = sequences.offsets[:-1], sequences.lengths_N
    known_T = np.asarray(~np.isnan(sequences.acc_T3).any(axis=1))
    acc_T3 = np.where(known_T[:, None], sequences.acc_T3, 0.0).astype(np.float64) / GRAVITY_MPS2
    acc_T3[np.repeat(sequences.right_handed_N == 0, lengths_N), 0] *= -1.0
    first_T, length_T = np.repeat([starts, lengths_N], lengths_N, axis=1)
    place_T = (np.arange(len(acc_T3)) - first_T) / length_T

    def mean(values_T: Vectors, of_T: NDArray[np.bool_] = known_T) -> Vectors:
        counts_N = np.maximum(np.add.reduceat(of_T, starts, dtype=np.float64), 1.0)
        return np.asarray(np.add.reduceat(values_T * of_T, starts) / counts_N)

    def centred(values_T: Vectors) -> Vectors:
        return (values_T - np.repeat(mean(values_T), lengths_N)) * known_T

    def deviation(centred_T: Vectors) -> Vectors:
        return np.asarray(np.sqrt(mean(centred_T**2)) + _SMALL_G)

    def steps(values_T: Vectors) -> Vectors:
        steps_T = np.diff(values_T, prepend=0.0) * known_T
        steps_T[starts] = 0.0
        steps_T[1:] *= known_T[:-1]
        return np.asarray(steps_T)

    norm_T = np.linalg.norm(acc_T3, axis=1)
    x_N, y_N, z_N = (mean(acc_T3[:, axis]) for axis in range(3))
    z_T, size_T = centred(acc_T3[:, 2]), centred(norm_T)
    thirds = (place_T < 1 / 3, place_T >= 2 / 3)  # before and after the gesture, often
    features = []
    for axis, mean_N in enumerate((x_N, y_N)):
        odd_T, odd_steps_T = centred(acc_T3[:, axis]), steps(acc_T3[:, axis])
        with_z_N, with_size_N = mean(odd_T * z_T), mean(odd_T * size_T)
        features += [mean_N * even_N for even_N in (np.ones_like(x_N), z_N, x_N**2, y_N**2, z_N**2)]
        features += [mean(acc_T3[:, axis], known_T & of_T) for of_T in thirds]
        features += [with_z_N, with_z_N / deviation(odd_T) / deviation(z_T)]
        features += [with_size_N, with_size_N / deviation(odd_T) / deviation(size_T)]
        features += [mean(odd_T**3) / deviation(odd_T) ** 3]
        features += [mean(odd_steps_T * steps(norm_T)), mean(odd_steps_T**3)]
    return np.stack(features, axis=1)


def _fit(features_NF: Vectors, subject_idx: IntArray) -> OrientationDetector:
    """Fit the regression, each subject with the same weight; the thresholds are never reached.

    By Newton's method, with a ridge of 1. A recording and its rotated copy have the same loss, so
    the copies are left out. ``einsum`` has one thread: beside other work, several took 7 s for
    9,000 recordings, and scikit-learn 12 s.
    """
    scales_F = np.maximum(np.sqrt((features_NF**2).mean(axis=0)), 1e-6)
    scaled_NF = _scaled(features_NF, scales_F)
    cost_N = 1.0 / np.bincount(subject_idx)[subject_idx]
    cost_N *= len(cost_N) / cost_N.sum()
    weights_F = np.zeros(NUM_FEATURES)
    for _ in range(MAX_ITERATIONS):
        log_odds_N = np.einsum("nf,f->n", scaled_NF, weights_F)
        proba_N = 1.0 / (1.0 + np.exp(np.minimum(log_odds_N, 700.0)))  # of the rotated copy
        gradient_F = weights_F - np.einsum("nf,n->f", scaled_NF, cost_N * proba_N)
        curved_NF = scaled_NF * (cost_N * proba_N * (1.0 - proba_N))[:, None]
        hessian_FF = np.eye(NUM_FEATURES) + np.einsum("nf,ng->fg", curved_NF, scaled_NF)
        step_F = np.linalg.solve(hessian_FF, gradient_F)
        weights_F -= step_F
        if np.abs(step_F).max() < TOLERANCE:
            break
    return OrientationDetector(
        np.round(scales_F, _DECIMALS), np.round(weights_F, _DECIMALS), LARGEST, LARGEST
    )


def _scaled(features_NF: Vectors, scales_F: Vectors) -> Vectors:
    return np.clip(features_NF / scales_F, -CLIP, CLIP)


def _threshold(log_odds: Vectors | Sequence[float]) -> float:
    lowest = -MARGIN * float(np.quantile(log_odds, MAX_FALSE))
    return round(max(LEAST_LOG_ODDS, lowest), _DECIMALS)


def _numbers(packed: Mapping[str, Any], name: str, count: int, least: float) -> Vectors:
    values = list(packed[name]) if isinstance(packed.get(name), tuple) else part(packed, name, list)
    if len(values) != count:
        raise DamagedDataError(f"{name}: expected {count} numbers, got {len(values)}")
    return np.array([number({name: value}, name, least, LARGEST) for value in values])
