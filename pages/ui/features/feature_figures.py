"""Figures of features: ranks over the folds, shares and ranks in two runs.

In: frames of ``importance_ranks``. Out: Plotly figures without title and without colours, as in
``charts_results``. No Streamlit.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.charts_results import LEGEND_ABOVE, name_rows, shorten

MAX_RANK = 200  # from here on as pale as a feature that is not used


def rank_figure(ranks: pl.DataFrame) -> go.Figure:
    """Draw the rank of each feature in each fold: a number, and darker the nearer to rank 1.

    Args:
        ranks: From ``importance_ranks.fold_ranks``.
    """
    folds = [name for name in ranks.columns if name.startswith("fold ")]
    rank_FM = ranks.select(folds).to_numpy().astype(float)
    shade_FM = 1 - np.log(np.fmin(rank_FM, MAX_RANK)) / np.log(MAX_RANK)
    names = ranks["feature"].to_list()
    texts = [[words.NOTHING if np.isnan(r) else f"{r:.0f}" for r in row] for row in rank_FM]
    figure = go.Figure(
        go.Heatmap(
            z=np.nan_to_num(shade_FM),
            zmin=0,
            zmax=1,
            x=[name.capitalize() for name in folds],
            y=list(range(len(names))),
            text=texts,
            texttemplate="%{text}",
            customdata=np.array(
                [[[name, text] for text in row] for name, row in zip(names, texts, strict=True)]
            ),
            hovertemplate="%{customdata[0]}<br>%{x}: rank %{customdata[1]}<extra></extra>",
            xgap=1,
            ygap=1,
            showscale=False,
        )
    )
    figure.update_xaxes(side="top", showgrid=False, automargin=True)
    return name_rows(figure, names)


def share_pair_figure(rows: pl.DataFrame, label: str, here: str, there: str) -> go.Figure:
    """Draw the shares in two runs: one marker per run, joined by a line.

    Args:
        rows: Columns ``label``, share_here, share_there, in percent; null counts as 0.
        label: The column that names a row.
        here: Name of this run.
        there: Name of the other.
    """
    shares = rows.with_columns(pl.col("share_here", "share_there").fill_null(0.0))
    return _pairs(shares, label, "share", (here, there), "Share of all importance, %", "%{x:.2f} %")


def rank_pair_figure(rows: pl.DataFrame, label: str, here: str, there: str) -> go.Figure:
    """Draw the ranks in two runs, 1 at the left; arguments as for ``share_pair_figure``."""
    figure = _pairs(rows, label, "rank", (here, there), "Rank (1 is the most important)", "%{x}")
    figure.update_xaxes(type="log", dtick="D2")
    return figure


def _pairs(
    rows: pl.DataFrame, label: str, what: str, runs: tuple[str, str], unit: str, hover: str
) -> go.Figure:
    names = rows[label].to_list()
    row_numbers = list(range(len(names)))
    both = rows.select(f"{what}_here", f"{what}_there").rows()
    lines_x = [value for a, b in both for value in (a, b, None)]
    lines_y = [value for number in row_numbers for value in (number, number, None)]
    figure = go.Figure()
    for run, side, symbol in zip(runs, ("here", "there"), ("circle", "diamond-open"), strict=True):
        figure.add_scatter(
            x=rows[f"{what}_{side}"],
            y=row_numbers,
            mode="markers",
            name=shorten(run),
            marker={"symbol": symbol, "size": 11, "line": {"width": 2 * (side == "there")}},
            zorder=1,
            customdata=names,
            hovertemplate="%{customdata}: " + hover + f"<extra>{shorten(run)}</extra>",
        )
    figure.add_scatter(
        x=lines_x,
        y=lines_y,
        mode="lines",
        line={"width": 1.5, "color": "gray"},
        hoverinfo="skip",
        showlegend=False,
        connectgaps=False,
    )
    figure.update_xaxes(title=unit, automargin=True)
    figure.update_layout(legend=LEGEND_ABOVE)
    return name_rows(figure, names)
