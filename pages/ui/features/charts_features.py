"""Figures of features: ranks over the folds, values by gesture, two runs side by side.

In: frames of ``ranks`` and ``distributions``. Out: Plotly figures without title and without
colours, as in ``charts_results``. No Streamlit.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.charts_results import FRAME_PX, LEGEND_ABOVE, MARGIN, MAX_NAME, ROW_PX, shorten

FAR_RANK = 200  # as pale as not used at all


def rank_figure(ranks: pl.DataFrame) -> go.Figure:
    """Draw the rank of each feature in each fold: a number, and darker the nearer to rank 1.

    Args:
        ranks: From ``ranks.fold_ranks``.
    """
    folds = [name for name in ranks.columns if name.startswith("fold ")]
    rank_FM = ranks.select(folds).to_numpy().astype(float)
    shade_FM = 1 - np.log(np.fmin(rank_FM, FAR_RANK)) / np.log(FAR_RANK)
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
    return _name_rows(figure, names)


def box_figure(rows: pl.DataFrame, unit: str) -> go.Figure:
    """Draw one box per gesture: the middle half, the median, and the middle nine tenths.

    Args:
        rows: From ``distributions.by_gesture``, or with the same quantiles.
        unit: What the horizontal axis measures.
    """
    there = rows.drop_nulls("median")
    names = there["gesture"].to_list()
    figure = go.Figure(
        go.Box(
            y=list(range(len(names))),
            lowerfence=there["low"].to_list(),
            q1=there["q1"].to_list(),
            median=there["median"].to_list(),
            q3=there["q3"].to_list(),
            upperfence=there["high"].to_list(),
            orientation="h",
            width=0.62,
            whiskerwidth=0.4,
            line={"width": 1.4},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    figure.add_scatter(  # the hover of a box cannot name its quantiles
        x=there["median"],
        y=list(range(len(names))),
        mode="markers",
        marker={"size": 16, "opacity": 0},
        customdata=there.select("gesture", "sequences", "low", "q1", "q3", "high").rows(),
        hovertemplate=(
            "%{customdata[0]}, %{customdata[1]} sequences<br>median %{x:.4g}<br>half within "
            "%{customdata[3]:.4g} to %{customdata[4]:.4g}<br>nine tenths within "
            "%{customdata[2]:.4g} to %{customdata[5]:.4g}<extra></extra>"
        ),
        showlegend=False,
    )
    figure.update_xaxes(title=unit, automargin=True, zeroline=False)
    return _name_rows(figure, names)


def share_pair_figure(rows: pl.DataFrame, label: str, here: str, there: str) -> go.Figure:
    """Draw the shares of two runs: a line from one to the other, a mark of its own for each.

    Args:
        rows: Columns ``label``, share_here, share_there, in percent; null counts as 0.
        label: The column that names a row.
        here: Name of this run.
        there: Name of the other.
    """
    shares = rows.with_columns(pl.col("share_here", "share_there").fill_null(0.0))
    return _pairs(shares, label, "share", (here, there), "Share of all importance, %", "%{x:.2f} %")


def rank_pair_figure(rows: pl.DataFrame, label: str, here: str, there: str) -> go.Figure:
    """Draw the ranks in two runs, 1 at the left; arguments as for shares."""
    figure = _pairs(rows, label, "rank", (here, there), "Rank (1 is the most important)", "%{x}")
    figure.update_xaxes(type="log", dtick="D2")
    return figure


def _pairs(
    rows: pl.DataFrame, label: str, what: str, runs: tuple[str, str], unit: str, hover: str
) -> go.Figure:
    names = rows[label].to_list()
    places = list(range(len(names)))
    both = rows.select(f"{what}_here", f"{what}_there").rows()
    lines_x = [value for a, b in both for value in (a, b, None)]
    lines_y = [value for place in places for value in (place, place, None)]
    figure = go.Figure()
    for run, side, symbol in zip(runs, ("here", "there"), ("circle", "diamond-open"), strict=True):
        figure.add_scatter(
            x=rows[f"{what}_{side}"],
            y=places,
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
    return _name_rows(figure, names)


def _name_rows(figure: go.Figure, names: list[str]) -> go.Figure:
    """Name the rows, first at the top; places are numbers, since shortened names can be equal."""
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(str(name), MAX_NAME) for name in names],
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_layout(height=ROW_PX * len(names) + FRAME_PX + 20, margin=MARGIN)
    return figure
