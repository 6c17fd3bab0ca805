"""Result tables: scores by fold, gesture, pair of gestures and subject.

In: out-of-fold probabilities. Out: frames to show.

Shapes: N sequences, M of them scored, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pages.ui.shared.results import Floats, Integers, OutOfFold
from trainer.metric import competition_score
from trainer.models import registry


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
