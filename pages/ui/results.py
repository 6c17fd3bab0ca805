"""Results: what the out-of-fold table of a run says.

In: ``oof.parquet`` as a frame, and the label table. Out: ``OutOfFold``, and frames to show.
A fold that a model has not done is null in its columns; those sequences are left out of that
model's numbers, never counted as wrong.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui import words
from trainer.blend import blend_probabilities
from trainer.metric import competition_score
from trainer.store.records import Scores

NUM_WEIGHTS = 41  # points of the blend-weight curve: steps of 0.025

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities, each from the one model that did not see the sequence's subject.

    Attributes:
        sequence_ids: (N,) names.
        subjects: (N,) names.
        fold_N: (N,) the fold that validates the sequence.
        true_N: (N,) class indices, targets first.
        by_model: Model to (N, K) probabilities, NaN rows where its fold is not done.
        gestures: K names.
        num_targets: How many of the first gestures are targets.
    """

    sequence_ids: list[str]
    subjects: list[str]
    fold_N: Integers
    true_N: Integers
    by_model: dict[str, Floats]
    gestures: tuple[str, ...]
    num_targets: int

    def done_mask(self, model: str) -> Mask:
        """Return which sequences a model, or for "blend" every model, has scored."""
        models = list(self.by_model) if model == "blend" else [model]
        return np.logical_and.reduce([~np.isnan(self.by_model[name][:, 0]) for name in models])

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the models with at least one fold, and "blend" where two share a fold."""
        models = tuple(name for name in self.by_model if self.done_mask(name).any())
        can_blend = len(self.by_model) > 1 and self.done_mask("blend").any()
        return (*(("blend",) if can_blend else ()), *models)

    def probabilities(self, model: str, weights: Mapping[str, float]) -> tuple[Mask, Floats]:
        """Return which sequences are scored, and their (M, K) probabilities.

        Args:
            model: One of ``choices``.
            weights: Model to weight; used for "blend" only.
        """
        mask = self.done_mask(model)
        if model != "blend":
            return mask, self.by_model[model][mask]
        parts = {name: proba_NK[mask] for name, proba_NK in self.by_model.items()}
        return mask, blend_probabilities(parts, dict(weights))[0]


def read_oof(frame: pl.DataFrame, gestures: tuple[str, ...], num_targets: int) -> OutOfFold:
    """Read the out-of-fold table.

    Raises:
        ValueError: It lacks a column, or holds a gesture that the run does not know.
    """
    missing = [name for name in ("sequence_id", "subject", "gesture", "fold") if name not in frame]
    unknown = [] if missing else sorted(set(frame["gesture"].to_list()) - set(gestures))
    if missing or unknown:
        what = f"column {missing[0]!r} is missing" if missing else f"gesture {unknown[0]!r} is new"
        raise ValueError(f"oof.parquet does not fit this run: {what}")
    position = {gesture: index for index, gesture in enumerate(gestures)}
    by_model = {}
    for model in ("lgbm", "torch"):
        columns = [f"{model}:{gesture}" for gesture in gestures]
        if all(column in frame.columns for column in columns):
            by_model[model] = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    return OutOfFold(
        sequence_ids=frame["sequence_id"].cast(pl.String).to_list(),
        subjects=frame["subject"].cast(pl.String).to_list(),
        fold_N=frame["fold"].to_numpy().astype(np.int64),
        true_N=np.array([position[gesture] for gesture in frame["gesture"]], dtype=np.int64),
        by_model=by_model,
        gestures=gestures,
        num_targets=num_targets,
    )


def fold_table(oof: OutOfFold, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per fold and model: score, its halves, accuracy, sequences."""
    rows = []
    for model in oof.choices:
        mask, proba_MK = oof.probabilities(model, weights)
        true_M, guess_M, fold_M = oof.true_N[mask], proba_MK.argmax(axis=1), oof.fold_N[mask]
        for fold in np.unique(fold_M):
            here = fold_M == fold
            scores = _scores(true_M[here], guess_M[here], oof.num_targets)
            rows.append({"fold": int(fold), "model": words.MODELS[model], **scores})
    return pl.DataFrame(rows).sort("fold", maintain_order=True)


def confusion(true_N: Integers, guess_N: Integers, num_classes: int) -> Integers:
    """Return (K, K) counts, rows the true gesture, columns the predicted one."""
    cells = np.bincount(true_N * num_classes + guess_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def gesture_table(count_KK: Integers, gestures: tuple[str, ...], num_targets: int) -> pl.DataFrame:
    """Return F1, precision and recall of every gesture; null where there is no case."""
    hits_K = np.diag(count_KK).astype(np.float64)
    true_K, guess_K = count_KK.sum(axis=1), count_KK.sum(axis=0)
    confused_KK = count_KK - np.diag(np.diag(count_KK))
    worst_K = confused_KK.argmax(axis=1)
    return pl.DataFrame(
        {
            "gesture": gestures,
            "f1": _share(2 * hits_K, true_K + guess_K),
            "precision": _share(hits_K, guess_K),
            "recall": _share(hits_K, true_K),
            "sequences": true_K,
            "most_taken_for": [
                gestures[worst] if confused_KK[k, worst] else None
                for k, worst in enumerate(worst_K)
            ],
            "kind": ["target" if k < num_targets else "non-target" for k in range(len(gestures))],
        }
    ).with_columns(pl.col("precision", "recall", "f1").fill_nan(None))


def subject_table(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per subject, the hardest first."""
    mask, proba_MK = oof.probabilities(model, weights)
    subject_M = np.array(oof.subjects)[mask]
    true_M, guess_M, fold_M = oof.true_N[mask], proba_MK.argmax(axis=1), oof.fold_N[mask]
    rows = []
    for subject in np.unique(subject_M):
        here = subject_M == subject
        scores = _scores(true_M[here], guess_M[here], oof.num_targets)
        rows.append({"subject": str(subject), "fold": int(fold_M[here][0]), **scores})
    return pl.DataFrame(rows).sort("score", "accuracy")


def weight_curve(oof: OutOfFold) -> pl.DataFrame:
    """Return the blend's score against LightGBM's weight, over the sequences both have scored."""
    mask = oof.done_mask("blend")
    parts = {name: proba_NK[mask] for name, proba_NK in oof.by_model.items()}
    rows = []
    for weight in np.linspace(0.0, 1.0, NUM_WEIGHTS).round(3).tolist():
        proba_MK, _ = blend_probabilities(parts, {"lgbm": weight, "torch": 1.0 - weight})
        scores = _scores(oof.true_N[mask], proba_MK.argmax(axis=1), oof.num_targets)
        rows.append({"lgbm_weight": weight, **scores})
    return pl.DataFrame(rows)


def answer_table(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per scored sequence: truth, answer, its probability, lead over the next."""
    mask, proba_MK = oof.probabilities(model, weights)
    kept = np.flatnonzero(mask)
    ordered_MK = np.sort(proba_MK, axis=1)
    return pl.DataFrame(
        {
            "sequence_id": [oof.sequence_ids[row] for row in kept],
            "subject": [oof.subjects[row] for row in kept],
            "fold": oof.fold_N[mask],
            "true": [oof.gestures[k] for k in oof.true_N[mask]],
            "predicted": [oof.gestures[k] for k in proba_MK.argmax(axis=1)],
            "probability": ordered_MK[:, -1],
            "margin": ordered_MK[:, -1] - ordered_MK[:, -2],
        }
    )


def headline_table(scores: Scores) -> pl.DataFrame:
    """Return one row per model and choice of sensors, of what ``scores.json`` records."""
    rows = []
    for model, entry in scores.models.items():
        for sensors, part in (("all", entry.all_sensors), ("IMU only", entry.imu_only)):
            if part is None:
                continue
            whole = part.oof
            rows.append(
                {
                    "model": words.MODELS.get(model, model),
                    "sensors": sensors,
                    "mean": part.mean,
                    "std": part.std,
                    "folds": sum(fold is not None for fold in part.folds),
                    "out_of_fold": whole and whole.score,
                    "binary_f1": whole and whole.binary_f1,
                    "macro_f1": whole and whole.macro_f1,
                    "accuracy": whole and whole.accuracy,
                    "sequences": whole and whole.num_sequences,
                    "half_and_half": entry.half_and_half,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _scores(true_N: Integers, guess_N: Integers, num_targets: int) -> dict[str, float | int]:
    score = competition_score(true_N, guess_N, num_targets)
    return {
        "score": score.score,
        "binary_f1": score.binary_f1,
        "macro_f1": score.macro_f1,
        "accuracy": float(np.mean(true_N == guess_N)),
        "sequences": len(true_N),
    }


def _share(part_K: Floats, whole_K: Integers) -> Floats:
    return np.divide(part_K, whole_K, out=np.full(len(part_K), np.nan), where=whole_K > 0)
