"""Figures that several pages use: bars, grids, sensor traces; and the layout of bar charts.

In: a frame. Out: a Plotly figure without title (the page writes it above, where it wraps) and
without colours (they come from the theme, light or dark). No Streamlit.
"""

from __future__ import annotations

import textwrap

import numpy as np
import plotly.graph_objects as go
import polars as pl

ROW_PX = 26  # height of one bar with its gap
FRAME_PX = 76  # axis, its title and margins
MAX_LABEL = 24  # characters of a name on an axis; all of it on hover
MAX_NAME = 34  # the same on a wide axis
MAX_HOVER = 48  # characters of a line of it
MARGIN = {"l": 8, "r": 12, "t": 8, "b": 8}
SPREAD = {"type": "data", "thickness": 1.2, "width": 3, "color": "gray"}  # over the folds
LEGEND_ABOVE = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "title": None}
PANEL_PX = 210
LEGEND_PX = 50  # above each panel: on a narrow screen it takes two lines
PANEL_LEGEND = {
    "orientation": "h",
    "x": 0,
    "yanchor": "bottom",
    "title": None,
    "bgcolor": "rgba(0,0,0,0)",
}


def shorten(text: str, limit: int = MAX_LABEL) -> str:
    """Return a name that fits on an axis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def wrap(text: str) -> str:
    """Return a text in lines that fit under a finger on a narrow screen."""
    return "<br>".join(textwrap.wrap(text, MAX_HOVER))


def importance_figure(rows: pl.DataFrame, unit: str) -> go.Figure:
    """Draw mean importance with its spread over the folds, the most important at the top.

    Args:
        rows: Columns feature, meaning, mean, std.
        unit: What the horizontal axis measures.
    """
    names = rows["feature"].to_list()
    meanings = [wrap(meaning) for meaning in rows["meaning"]]
    spreads = rows["std"].round(3).cast(pl.String).to_list()
    figure = go.Figure(
        go.Bar(
            x=rows["mean"],
            y=list(range(len(names))),
            orientation="h",
            error_x=_spread(rows["mean"], rows["std"]),
            customdata=np.column_stack([names, meanings, spreads]),
            hovertemplate=(
                "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>mean %{x:.4g}, spread over folds "
                "%{customdata[2]}<extra></extra>"
            ),
        )
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(name, MAX_NAME) for name in names],
    )
    figure.update_xaxes(title=unit, rangemode="tozero", automargin=True)
    return lay_out_bars(figure, len(names))


def grid_figure(grid_88: np.ndarray, highest: float) -> go.Figure:
    """Draw one value per pixel of a time-of-flight sensor, 8 x 8, in the order of the schema."""
    axis = {"showgrid": False, "zeroline": False, "dtick": 1, "constrain": "domain"}
    heat = {
        "type": "heatmap",
        "z": grid_88,
        "zmin": 0,
        "zmax": highest,
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
        "hovertemplate": "row %{y}, column %{x}: %{z:.4g}<extra></extra>",
    }
    layout = {  # in one step: a page has five of them, and each update is validated again
        "xaxis": {**axis, "range": [-0.5, 7.5], "title": "Column"},
        "yaxis": {**axis, "range": [7.5, -0.5], "title": "Row", "scaleanchor": "x"},
        "height": 230,
        "margin": MARGIN,
    }
    return go.Figure([heat], layout)


def trace_figure(traces: pl.DataFrame, phases: pl.DataFrame, rate_hz: float) -> go.Figure:
    """Draw the traces of one sequence, one panel per kind of signal, on one time axis.

    Args:
        traces: From ``recordings.traces``.
        phases: From ``recordings.phase_bands``; may be empty.
        rate_hz: The rate that the time axis was labelled with.
    """
    panels = traces["panel"].unique(maintain_order=True).to_list()
    height = PANEL_PX * len(panels)
    layout: dict[str, object] = {
        "height": height + FRAME_PX,
        "margin": {**MARGIN, "t": LEGEND_PX},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "shapes": _phase_shapes(phases),
        "xaxis": {
            "title": f"Time, s (at {rate_hz:g} steps per second)",
            "anchor": "y" if len(panels) == 1 else f"y{len(panels)}",
            "showspikes": True,
            "spikemode": "across",
            "spikethickness": 1,
            "spikedash": "dot",
        },
    }
    lines = []
    bands = _bands(len(panels), LEGEND_PX / height)
    for number, (panel, (bottom, top)) in enumerate(zip(panels, bands, strict=True), start=1):
        suffix = "" if number == 1 else str(number)
        layout[f"yaxis{suffix}"] = {
            "domain": [bottom, top],
            "anchor": "x",
            "title": panel,
            "automargin": True,
            "zeroline": False,
        }
        layout[f"legend{suffix}"] = {**PANEL_LEGEND, "y": top}
        lines += _panel_lines(traces.filter(pl.col("panel") == panel), suffix)
    return go.Figure(lines, layout)  # in one step: each later update would be validated again


def count_figure(rows: pl.DataFrame, label: str, unit: str) -> go.Figure:
    """Draw one bar per row of a frame with columns ``label`` and ``count``."""
    return _named_bars(rows[label], rows["count"], [str(count) for count in rows["count"]], unit)


def share_figure(rows: pl.DataFrame, label: str, unit: str) -> go.Figure:
    """Draw one bar per row of a frame with columns ``label``, ``share`` and ``std``, in percent."""
    texts = [f"{share:.1f} %" for share in rows["share"]]
    figure = _named_bars(rows[label], rows["share"], texts, unit)
    if rows["std"].null_count() == 0:
        figure.data[0].error_x = _spread(rows["share"], rows["std"])
        figure.update_traces(text=None)  # the error bar would cover it
    return figure


def name_rows(figure: go.Figure, names: list[str]) -> go.Figure:
    """Name the rows, first at the top; rows are numbers, since shortened names can be equal."""
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


def lay_out_bars(figure: go.Figure, num_bars: int) -> go.Figure:
    """Put the first bar at the top, its text where it fits, and a row's height for each."""
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    if figure.data[0].text is not None:
        figure.update_traces(selector={"type": "bar"}, textposition="auto", cliponaxis=False)
    figure.update_layout(height=ROW_PX * num_bars + FRAME_PX, margin=MARGIN)
    return figure


def _named_bars(names: pl.Series, values: pl.Series, texts: list[str], unit: str) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(names))),
            orientation="h",
            text=texts,
            customdata=[str(name) for name in names],
            hovertext=texts,
            hovertemplate="%{customdata}: %{hovertext}<extra></extra>",
        )
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(str(name)) for name in names],
    )
    figure.update_xaxes(title=unit, rangemode="tozero", automargin=True)
    return lay_out_bars(figure, len(names))


def _spread(mean: pl.Series, std: pl.Series) -> dict[str, object]:
    """Return error bars of one standard deviation that stop at 0, as importance does."""
    below = [min(low, high) for low, high in zip(mean, std, strict=True)]
    return {"array": std.to_list(), "arrayminus": below, "symmetric": False, **SPREAD}


def _bands(num_panels: int, gap: float) -> list[tuple[float, float]]:
    """Return bottom and top of each panel, the first at the top, as parts of the whole height."""
    share = (1 - gap * (num_panels - 1)) / num_panels
    tops = [1 - number * (share + gap) for number in range(num_panels)]
    return [(max(top - share, 0.0), top) for top in tops]


def _panel_lines(rows: pl.DataFrame, suffix: str) -> list[dict[str, object]]:
    """Return one line per channel of a panel."""
    return [
        {
            "type": "scatter",
            "x": trace["time_s"],
            "y": trace["value"],
            "name": channel,
            "mode": "lines",
            "line": {"width": 1.8},
            "yaxis": f"y{suffix}",
            "legend": f"legend{suffix}",
            "hovertemplate": "%{y:.3f}",
        }
        for (channel,), trace in rows.group_by("channel", maintain_order=True)
    ]


def _phase_shapes(phases: pl.DataFrame) -> list[dict[str, object]]:
    """Shade the time of the gesture itself; the page explains the shade."""
    return [
        {
            "type": "rect",
            "x0": start,
            "x1": stop,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "fillcolor": "gray",
            "opacity": 0.14,
            "line": {"width": 0},
            "layer": "below",
        }
        for start, stop in phases.filter(phase="gesture").select("from_s", "to_s").iter_rows()
    ]
