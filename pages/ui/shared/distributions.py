"""Distributions: the values of one number per sequence, gesture by gesture.

In: one value per sequence and its gesture. Out: a frame of quantiles, and its figure.

Shapes: N sequences, K gestures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared.charts_results import name_rows

QUANTILES = {"low": 0.05, "q1": 0.25, "median": 0.5, "q3": 0.75, "high": 0.95}


def by_gesture(
    values_N: NDArray[np.float32], label_idx: NDArray[np.int64], gestures: Sequence[str]
) -> pl.DataFrame:
    """Return the quantiles of every gesture.

    Args:
        values_N: One value per sequence, NaN missing.
        label_idx: (N,) the gesture of each sequence.
        gestures: K names.

    Returns:
        One row per gesture, in their order: gesture, sequences, missing, low (5 % are below), q1,
        median, q3, high (5 % are above); null quantiles where all values are missing.
    """
    rows = pl.DataFrame(
        {"k": label_idx, "value": values_N.astype(np.float64)}, schema_overrides={"k": pl.Int64}
    ).with_columns(pl.col("value").fill_nan(None))
    summary = rows.group_by("k").agg(
        pl.len().alias("sequences"),
        pl.col("value").null_count().alias("missing"),
        *(
            pl.col("value").quantile(share, "linear").alias(name)
            for name, share in QUANTILES.items()
        ),
    )
    names = pl.DataFrame({"k": range(len(gestures)), "gesture": list(gestures)})
    joined = names.join(summary, on="k", how="left", maintain_order="left")
    return joined.select("gesture", pl.col("sequences", "missing").fill_null(0), *QUANTILES)


def box_figure(rows: pl.DataFrame, unit: str) -> go.Figure:
    """Draw one box per gesture: median, 25th to 75th percentile, 5th to 95th percentile.

    Args:
        rows: From ``by_gesture``, or with the same quantiles.
        unit: What the horizontal axis measures.
    """
    known = rows.drop_nulls("median")
    names = known["gesture"].to_list()
    figure = go.Figure(
        go.Box(
            y=list(range(len(names))),
            lowerfence=known["low"].to_list(),
            q1=known["q1"].to_list(),
            median=known["median"].to_list(),
            q3=known["q3"].to_list(),
            upperfence=known["high"].to_list(),
            orientation="h",
            width=0.62,
            whiskerwidth=0.4,
            line={"width": 1.4},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    figure.add_scatter(  # the hover of a box cannot name its quantiles
        x=known["median"],
        y=list(range(len(names))),
        mode="markers",
        marker={"size": 16, "opacity": 0},
        customdata=known.select("gesture", "sequences", "low", "q1", "q3", "high").rows(),
        hovertemplate=(
            "%{customdata[0]}, %{customdata[1]} sequences<br>median %{x:.4g}<br>"
            "25th to 75th percentile: %{customdata[3]:.4g} to %{customdata[4]:.4g}<br>"
            "5th to 95th percentile: %{customdata[2]:.4g} to %{customdata[5]:.4g}<extra></extra>"
        ),
        showlegend=False,
    )
    figure.update_xaxes(title=unit, automargin=True, zeroline=False)
    return name_rows(figure, names)


def describe(rows: pl.DataFrame) -> str:
    """Name the gestures with the highest and the lowest median."""
    known = rows.drop_nulls("median").sort("median")
    if len(known) < 2:
        return "Fewer than two gestures have values."
    low, high = known.row(0, named=True), known.row(-1, named=True)
    return (
        f"Highest in {high['gesture']} (median {high['median']:.4g}), lowest in {low['gesture']} "
        f"({low['median']:.4g})."
    )


def explained_share(values_N: NDArray[np.float32], label_idx: NDArray[np.int64]) -> float:
    """Return the share of a feature's variance that the gestures explain, 0 to 1.

    It is the share of the variance of the ranks that lies between the gestures: the squared
    correlation ratio, on ranks, so that a few extreme values do not dominate.
    """
    known_N = ~np.isnan(values_N)
    rows = pl.DataFrame({"k": label_idx[known_N], "value": values_N[known_N]})
    ranks = rows.with_columns(pl.col("value").rank("average"))
    means = ranks.with_columns(pl.col("value").mean().over("k"))
    if ranks.is_empty() or (total := float(np.var(ranks["value"].to_numpy()))) == 0.0:
        return 0.0
    return float(np.var(means["value"].to_numpy())) / total
