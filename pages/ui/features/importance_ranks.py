"""Ranks of features by importance, and how well folds or runs agree on them.

In: importance tables as ``feature_importance.csv``. Out: frames and numbers to show. Rank 1 is the
most important; a feature that is never used has no rank.

Shapes: M folds, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

NUM_TOP = 20  # features that count as the most important ones


@dataclass(frozen=True)
class Agreement:
    """How well two or more rankings of the same features agree.

    Attributes:
        num_shared: How many features are among the top ones of every ranking.
        num_top: How many features count as the top ones.
        correlation: Mean rank correlation (Spearman) over the pairs, -1 to 1; None where there is
            no pair, or nothing to rank.
    """

    num_shared: int
    num_top: int
    correlation: float | None


def fold_columns(table: pl.DataFrame, measure: str) -> list[str]:
    """Return the columns of single folds, in order."""
    return sorted(name for name in table.columns if name.startswith(f"{measure}_fold"))


def fold_ranks(table: pl.DataFrame, measure: str, limit: int) -> pl.DataFrame:
    """Return the rank in every fold of the features that are the most important on average.

    Returns:
        Columns feature, ``fold 0``, ``fold 1``, ..., worst; null where a fold does not use it.
    """
    columns = fold_columns(table, measure)
    names = [f"fold {int(name[-2:])}" for name in columns]
    ranked = table.select(
        "feature",
        pl.col(f"{measure}_mean").alias("mean"),
        *(_rank(column).alias(name) for column, name in zip(columns, names, strict=True)),
    )
    first = ranked.sort("mean", descending=True, maintain_order=True).head(limit)
    return first.select("feature", *names, pl.max_horizontal(names).alias("worst"))


def fold_agreement(table: pl.DataFrame, measure: str, limit: int) -> Agreement:
    """Return how well the folds agree on the ranking of the features."""
    values_MF = table.select(fold_columns(table, measure)).to_numpy().T
    return agreement(values_MF, limit)


def agreement(values_MF: np.ndarray, limit: int) -> Agreement:
    """Compare rankings of the same features.

    Args:
        values_MF: (M, F) importance, at least 0.
        limit: How many features of each ranking count as the top ones.
    """
    used_F = (values_MF > 0).any(axis=0)
    values_MF = values_MF[:, used_F]
    num_top = min(limit, values_MF.shape[1])
    order_MF = np.argsort(-values_MF, axis=1, kind="stable")[:, :num_top]
    shared = set(order_MF[0].tolist()) if len(order_MF) else set()
    for order_F in order_MF:
        shared &= set(order_F.tolist())
    return Agreement(len(shared), num_top, _mean_correlation(values_MF))


def compare(here: pl.DataFrame, there: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Return every feature of either run with its rank and share in both.

    Returns:
        Columns feature, rank_here, rank_there, share_here, share_there (percent of all importance),
        moved (rank there less rank here, positive: more important here); null where a run does not
        have or does not use the feature. The most important of this run first.
    """
    joined = (
        _shares(here, measure, "here")
        .join(_shares(there, measure, "there"), on="feature", how="full", coalesce=True)
        .sort("rank_here", "rank_there", "feature", nulls_last=True)
    )
    moved = pl.col("rank_there").cast(pl.Int64) - pl.col("rank_here").cast(pl.Int64)
    return joined.select(
        *("feature", "rank_here", "rank_there", "share_here", "share_there"), moved.alias("moved")
    )


def run_agreement(compared: pl.DataFrame, limit: int) -> Agreement:
    """Return how well two runs agree on the ranking of the features that both have."""
    both = compared.drop_nulls(["share_here", "share_there"])
    return agreement(both.select("share_here", "share_there").to_numpy().T, limit)


def compare_sums(here: pl.DataFrame, there: pl.DataFrame, column: str) -> pl.DataFrame:
    """Join the sums of two runs by sensor, signal or statistic: share_here, share_there, percent.

    Args:
        here: From ``importance.summed_by``.
        there: The same of the other run.
        column: What they are summed by.
    """
    left = here.select(column, pl.col("share").alias("share_here"))
    right = there.select(column, pl.col("share").alias("share_there"))
    joined = left.join(right, on=column, how="full", coalesce=True).fill_null(0.0)
    return joined.sort("share_here", "share_there", descending=True)


def _shares(table: pl.DataFrame, measure: str, name: str) -> pl.DataFrame:
    mean = f"{measure}_mean"
    total = float(table[mean].sum()) or 1.0
    return table.select(
        "feature",
        _rank(mean).alias(f"rank_{name}"),
        (pl.col(mean) * (100.0 / total)).alias(f"share_{name}"),
    )


def _rank(column: str) -> pl.Expr:
    value = pl.col(column).fill_nan(0.0).fill_null(0.0)
    return pl.when(value > 0).then(value.rank("min", descending=True))


def _mean_correlation(values_MF: np.ndarray) -> float | None:
    """Return the mean of Spearman's coefficient over the pairs of rows."""
    num_orders, num_features = values_MF.shape
    if num_orders < 2 or num_features < 2:
        return None
    ranks_MF = np.stack([pl.Series(row).rank("average").to_numpy() for row in values_MF])
    if (ranks_MF.std(axis=1) == 0).any():
        return None  # all equal: there is no ranking
    correlation_MM = np.corrcoef(ranks_MF)
    mean = float(correlation_MM[np.triu_indices(num_orders, 1)].mean())
    return round(mean, 2) + 0.0  # never -0.00
