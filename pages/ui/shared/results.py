"""Results: the out-of-fold table of a run.

In: ``oof.parquet`` as a frame, and the label table. Out: ``OutOfFold``, and frames to show. The
columns of a model are null for folds that it has not done; those sequences are excluded from its
numbers, not counted as errors.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.blend import blend_probabilities
from trainer.metric import competition_score
from trainer.models import registry

SENSORS = {"all": "", "imu": "_imu"}  # choice of sensors to the suffix of the model's columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities, each from the fold that was not trained on the subject.

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
        """Return which sequences a model, or for the blend every model, has scored."""
        models = list(self.by_model) if model == registry.BLEND else [model]
        masks = [~np.isnan(self.by_model[name][:, 0]) for name in models]
        is_done_N: Mask = np.logical_and.reduce(masks)
        return is_done_N

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the models with at least one fold, and the blend where all share a fold."""
        models = tuple(name for name in self.by_model if self.done_mask(name).any())
        can_blend = len(self.by_model) > 1 and self.done_mask(registry.BLEND).any()
        return (*((registry.BLEND,) if can_blend else ()), *models)

    def probabilities(self, model: str, weights: Mapping[str, float]) -> tuple[Mask, Floats]:
        """Return which sequences are scored, and their (M, K) probabilities.

        Args:
            model: One of ``choices``.
            weights: Model to weight; used for the blend only.
        """
        mask = self.done_mask(model)
        if model != registry.BLEND:
            return mask, self.by_model[model][mask]
        parts = {name: proba_NK[mask] for name, proba_NK in self.by_model.items()}
        return mask, blend_probabilities(parts, dict(weights))[0]


def has_imu_only(frame: pl.DataFrame) -> bool:
    """Return whether the models also predicted without thermopiles and time of flight."""
    return any(name.partition(":")[0].endswith(SENSORS["imu"]) for name in frame.columns)


def read_oof(
    frame: pl.DataFrame, gestures: tuple[str, ...], num_targets: int, sensors: str = "all"
) -> OutOfFold:
    """Read the out-of-fold table.

    Args:
        frame: ``oof.parquet``.
        gestures: K names, targets first.
        num_targets: How many of the first gestures are targets.
        sensors: The models' inputs: one of SENSORS.

    Raises:
        ValueError: A column is missing, or a gesture is not one of the run's.
    """
    missing = [name for name in ("sequence_id", "subject", "gesture", "fold") if name not in frame]
    unknown = [] if missing else sorted(set(frame["gesture"].to_list()) - set(gestures))
    if missing or unknown:
        what = (
            f"column {missing[0]!r} is missing" if missing else f"gesture {unknown[0]!r} is unknown"
        )
        raise ValueError(f"oof.parquet does not fit this run: {what}")
    position = {gesture: index for index, gesture in enumerate(gestures)}
    by_model = {}
    for model in registry.all_models():
        columns = [f"{model.name}{SENSORS[sensors]}:{gesture}" for gesture in gestures]
        if all(column in frame.columns for column in columns):
            by_model[model.name] = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
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
    """Return one row per fold and model: rank (1 is the model's best), score, its parts, ..."""
    rows = []
    for model in oof.choices:
        mask, proba_MK = oof.probabilities(model, weights)
        true_M, guess_M, fold_M = oof.true_N[mask], proba_MK.argmax(axis=1), oof.fold_N[mask]
        for fold in np.unique(fold_M):
            here = fold_M == fold
            scores = score_parts(true_M[here], guess_M[here], oof.num_targets)
            rows.append({"fold": int(fold), "model": registry.title(model), **scores})
    rank = pl.col("score").rank("min", descending=True).over("model").cast(pl.Int64)
    table = pl.DataFrame(rows).with_columns(rank=rank)
    columns = ["fold", "model", "rank", *table.columns[2:-1]]
    return table.select(columns).sort("fold", maintain_order=True)


def hardest_fold(fold_rows: pl.DataFrame) -> str:
    """Name the hardest fold, and for which models it is; "" with fewer than two folds."""
    ranked = fold_rows.filter(pl.len().over("model") > 1)
    if ranked.is_empty():
        return ""
    worst = ranked.filter(pl.col("score") == pl.col("score").min().over("model"))
    by_fold = worst.group_by("fold").agg(pl.col("model").sort()).sort(pl.col("model").list.len())
    fold, models = by_fold.row(-1)
    is_all = 1 < len(models) == ranked["model"].n_unique()
    return f"fold {fold} is the hardest for {'every model' if is_all else ' and '.join(models)}"


def confusion(true_N: Integers, guess_N: Integers, num_classes: int) -> Integers:
    """Return (K, K) counts, rows the true gesture, columns the predicted one."""
    cells = np.bincount(true_N * num_classes + guess_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def gesture_table(count_KK: Integers, gestures: tuple[str, ...], num_targets: int) -> pl.DataFrame:
    """Return F1, precision and recall of every gesture; null where they are not defined."""
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


def pair_table(count_KK: Integers, gestures: tuple[str, ...]) -> pl.DataFrame:
    """Return one row per true and wrongly predicted gesture, the most frequent first.

    Returns:
        Columns true, predicted, count, share (of the true gesture, percent), back (how often
        it is the other way round).
    """
    total_K = count_KK.sum(axis=1)
    rows = [
        {
            "true": gestures[true],
            "predicted": gestures[guess],
            "count": int(count_KK[true, guess]),
            "share": 100.0 * float(count_KK[true, guess] / total_K[true]),
            "back": int(count_KK[guess, true]),
        }
        for true, guess in np.argwhere(count_KK)
        if true != guess
    ]
    schema = dict.fromkeys(("true", "predicted"), pl.String) | {"count": pl.Int64}
    table = pl.DataFrame(rows, schema=schema | {"share": pl.Float64, "back": pl.Int64})
    return table.sort("count", "share", descending=True, maintain_order=True)


def subject_table(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per subject, the hardest first."""
    mask, proba_MK = oof.probabilities(model, weights)
    subject_M = np.array(oof.subjects)[mask]
    true_M, guess_M, fold_M = oof.true_N[mask], proba_MK.argmax(axis=1), oof.fold_N[mask]
    rows = []
    for subject in np.unique(subject_M):
        here = subject_M == subject
        scores = score_parts(true_M[here], guess_M[here], oof.num_targets)
        rows.append({"subject": str(subject), "fold": int(fold_M[here][0]), **scores})
    return pl.DataFrame(rows).sort("score", "accuracy")


def prediction_table(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per scored sequence: truth, prediction, its probability and margin.

    For the blend also the prediction of each model.
    """
    mask, proba_MK = oof.probabilities(model, weights)
    kept = np.flatnonzero(mask)
    ordered_MK = np.sort(proba_MK, axis=1)
    gestures = np.array(oof.gestures)
    parts = oof.by_model if model == registry.BLEND else {}
    return pl.DataFrame(
        {
            "sequence_id": [oof.sequence_ids[row] for row in kept],
            "subject": [oof.subjects[row] for row in kept],
            "fold": oof.fold_N[mask],
            "true": gestures[oof.true_N[mask]],
            "predicted": gestures[proba_MK.argmax(axis=1)],
            "probability": ordered_MK[:, -1],
            "margin": ordered_MK[:, -1] - ordered_MK[:, -2],
            "p_true": proba_MK[np.arange(len(kept)), oof.true_N[mask]],
            **{name: gestures[part_NK[mask].argmax(axis=1)] for name, part_NK in parts.items()},
        }
    )


def score_parts(true_N: Integers, guess_N: Integers, num_targets: int) -> dict[str, float | int]:
    """Return the competition's score, its parts, accuracy and the number of sequences."""
    score = competition_score(true_N, guess_N, num_targets)
    return {
        "score": score.score,
        "binary_f1": score.binary_f1,
        "macro_f1": score.macro_f1,
        "accuracy": float(np.mean(true_N == guess_N)),
        "sequences": len(true_N),
    }


def _share(part_K: Floats, whole_K: Integers) -> Floats:
    share_K: Floats = np.full(len(part_K), np.nan)
    return np.divide(part_K, whole_K, out=share_K, where=whole_K > 0)
