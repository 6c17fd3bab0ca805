"""Figures of one answer and its reasons.

In: frames. Out: Plotly figures without title and without colours, as in ``charts_results``. No
Streamlit.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared import words
from pages.ui.shared.charts_results import FRAME_PX, LEGEND_ABOVE, MARGIN, MAX_NAME, SPREAD, shorten

BAR_PX = 15  # height of one of several bars of a row
FARTHEST = 254  # of the time-of-flight sensors
NOTHING_IN_RANGE = "/"
MARGIN_ABOVE = {**MARGIN, "t": 30}  # room for the legend


def answer_figure(ranking: pl.DataFrame) -> go.Figure:
    """Draw the most probable gestures: a bar for the blend and one for each model.

    Args:
        ranking: From ``answers.ranking``, its first rows.
    """
    models = [name for name in ("blend", "lgbm", "torch") if name in ranking.columns]
    labels = [
        f"{shorten(name, MAX_NAME)}<br><b>{100 * value:.1f} %</b>"
        for name, value in ranking.select("gesture", "blend").iter_rows()
    ]
    figure = go.Figure([_model_bars(ranking, model, labels) for model in models])
    figure.update_xaxes(title="Probability, %", range=[0, 104], automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_layout(
        barmode="group",
        bargap=0.3,
        bargroupgap=0.05,
        legend=LEGEND_ABOVE,
        margin=MARGIN_ABOVE,
        height=(BAR_PX * len(models) + 18) * len(ranking) + FRAME_PX,
    )
    return figure


def share_figure(rows: pl.DataFrame, unit: str) -> go.Figure:
    """Draw what added to a score and what took from it, the largest at the top.

    Args:
        rows: Columns name, against, spread, and text for the hover.
        unit: Of the horizontal axis.
    """
    names = rows["name"].to_list()
    figure = go.Figure(
        go.Bar(
            x=rows["against"],
            y=list(range(len(names))),
            orientation="h",
            error_x={**SPREAD, "array": rows["spread"]},
            customdata=rows.select("name", "text").rows(),
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(name, MAX_NAME) for name in names],
        autorange="reversed",
        automargin=True,
        showgrid=False,
    )
    figure.update_xaxes(title=unit, zeroline=True, zerolinewidth=1.5, automargin=True)
    figure.update_layout(height=24 * len(names) + FRAME_PX, margin=MARGIN)
    return figure


def occlusion_figure(rows: pl.DataFrame) -> go.Figure:
    """Draw what the answer loses when each stretch is hidden.

    Args:
        rows: Columns from_s, to_s, drop (percentage points).
    """
    figure = go.Figure(
        go.Bar(
            x=(rows["from_s"] + rows["to_s"]) / 2,
            y=rows["drop"],
            width=(rows["to_s"] - rows["from_s"]) * 0.94,
            customdata=rows.select("from_s", "to_s").rows(),
            hovertemplate="%{customdata[0]:.1f} to %{customdata[1]:.1f} s hidden: "
            "%{y:+.1f} points<extra></extra>",
        )
    )
    figure.update_xaxes(title="Hidden stretch, s", automargin=True)
    figure.update_yaxes(title="Lost, points", automargin=True)
    figure.update_layout(height=230, margin=MARGIN)
    return figure


def change_figure(rows: pl.DataFrame) -> go.Figure:
    """Draw the answer's probability before and after each change.

    Args:
        rows: From ``what_if.flip_table``.
    """
    names = [shorten(words.capital(name), MAX_NAME) for name in rows["what_if"]]
    parts = {"As recorded": rows["p_before"], "Changed": rows["p_after"]}
    figure = go.Figure(
        [
            go.Bar(
                x=100 * values,
                y=names,
                name=name,
                orientation="h",
                hovertemplate="%{x:.1f} %<extra>" + name + "</extra>",
            )
            for name, values in parts.items()
        ]
    )
    figure.update_xaxes(title="Probability of the answer, %", range=[0, 104], automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_layout(
        barmode="group",
        bargroupgap=0.05,
        legend=LEGEND_ABOVE,
        margin=MARGIN_ABOVE,
        height=46 * len(names) + FRAME_PX,
    )
    return figure


def image_figure(pixels_88: NDArray[np.float32], region: tuple[int, int, int] | None) -> go.Figure:
    """Draw what one time-of-flight sensor sees at an instant; the nearer the darker.

    Args:
        pixels_88: (8, 8), -1 nothing in range, NaN missing.
        region: First row, first column and side of a square to frame.
    """
    seen_88 = np.where(pixels_88 >= 0, pixels_88, np.nan)
    rows, columns = np.nonzero(pixels_88 < 0)
    axis = {"showgrid": False, "zeroline": False, "showticklabels": False, "constrain": "domain"}
    heat = {
        "type": "heatmap",
        "z": FARTHEST - seen_88,
        "zmin": 0,
        "zmax": FARTHEST,
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
        "customdata": _cell_texts(pixels_88),
        "hovertemplate": "row %{y}, column %{x}: %{customdata}<extra></extra>",
    }
    strokes = {  # not the heat map's own texts: where nothing is in range it would draw none
        "type": "scatter",
        "mode": "text",
        "x": columns,
        "y": rows,
        "text": [NOTHING_IN_RANGE] * len(rows),
        "textfont": {"color": "gray", "size": 11},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    layout = {
        "xaxis": {**axis, "range": [-0.5, 7.5]},
        "yaxis": {**axis, "range": [7.5, -0.5], "scaleanchor": "x"},
        "height": 190,
        "margin": {"l": 2, "r": 2, "t": 2, "b": 2},
        "shapes": [] if region is None else [_square(*region)],
    }
    return go.Figure([heat, strokes], layout)


def overlay_figure(traces: pl.DataFrame) -> go.Figure:
    """Draw the acceleration of this recording and of another over their own share of time.

    Args:
        traces: Columns axis, which ("this" or the other's id), share (0 to 100), value.
    """
    axes = traces["axis"].unique(maintain_order=True).to_list()
    figure = go.Figure()
    first = axes[0]
    for axis, which in traces.select("axis", "which").unique(maintain_order=True).iter_rows():
        line = traces.filter(axis=axis, which=which)
        figure.add_scatter(
            x=line["share"],
            y=line["value"],
            name=which.capitalize() if which == "this" else which,
            mode="lines",
            line={"width": 1.8, "dash": "solid" if which == "this" else "dot"},
            xaxis="x",
            yaxis=f"y{axes.index(axis) + 1}" if axes.index(axis) else "y",
            showlegend=axis == first,
            hovertemplate="%{y:.2f}",
        )
    share = 1 / len(axes)
    for number, axis in enumerate(axes):
        top = 1 - number * share
        figure.layout[f"yaxis{number + 1 if number else ''}"] = {
            "domain": [max(0.0, top - 0.86 * share), top],
            "title": axis,
            "automargin": True,
            "zeroline": False,
        }
    figure.update_xaxes(title="Share of its own time, %", anchor=f"y{len(axes)}")
    figure.update_layout(height=480, margin=MARGIN_ABOVE, legend=LEGEND_ABOVE)
    return figure


def _model_bars(ranking: pl.DataFrame, model: str, labels: list[str]) -> go.Bar:
    spread = ranking.get_column(f"{model}_spread", default=None)
    has_spread = spread is not None and bool((spread > 0).any())
    values = 100 * ranking[model]
    return go.Bar(
        x=values,
        y=labels,
        name=words.MODELS[model],
        orientation="h",
        error_x={
            **SPREAD,
            "array": 100 * spread,
            "arrayminus": np.minimum(values, 100 * spread),
            "symmetric": False,
        }
        if has_spread
        else None,
        hovertemplate="%{x:.2f} %<extra>" + words.MODELS[model] + "</extra>",
    )


def _cell_texts(pixels_88: NDArray[np.float32]) -> list[list[str]]:
    return [
        [
            "missing" if np.isnan(v) else "nothing in range" if v < 0 else f"range {v:.0f}"
            for v in row
        ]
        for row in pixels_88
    ]


def _square(row: int, column: int, side: int) -> dict[str, object]:
    return {
        "type": "rect",
        "x0": column - 0.5,
        "x1": column + side - 0.5,
        "y0": row - 0.5,
        "y1": row + side - 0.5,
        "line": {"width": 2.5, "color": "#D55E00"},
    }
