"""Figures of traces with marks on them, and of time-of-flight images.

In: frames of ``recordings``, a mark, pixels. Out: Plotly figures. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared.charts_results import trace_figure

ATTENTION = "Attention, %"
MEAN = "mean of the folds"
FAINT = 0.3  # opacity of the channels that are not marked
MARK_COLOUR = "#D55E00"  # one of the theme's colours; visible on both backgrounds
FARTHEST = 254  # of the time-of-flight sensors
NOTHING_IN_RANGE = "/"
NAMES = {"acc": "Acceleration", "rot": "Orientation", "thm": "Temperature", "tof": "Time of flight"}


@dataclass(frozen=True)
class Mark:
    """The mark of a feature on the traces.

    Attributes:
        title: Title of the panel with the feature's preprocessed signals.
        sensor: Such as "acc" or "tof_3".
        channels: Marked channels of the sensor's panel; empty means all of them.
        from_s: Start of the time window.
        to_s: End of the time window.
        is_whole: Whether the time window is the whole recording, which is not shaded.
        lines: Columns channel, time_s, value: the preprocessed signals.
    """

    title: str
    sensor: str
    channels: tuple[str, ...]
    from_s: float
    to_s: float
    is_whole: bool
    lines: pl.DataFrame


def marked_figure(
    traces: pl.DataFrame,
    phases: pl.DataFrame,
    rate_hz: float,
    bin_bounds_s: Sequence[float] = (),
    mark: Mark | None = None,
    time_s: float | None = None,
) -> go.Figure:
    """Draw traces with time bins as dotted lines, and a mark on its time window and channel.

    Args:
        traces: From ``recordings.traces``; further panels may follow.
        phases: From ``recordings.phase_bands``; may be empty.
        rate_hz: What the time axis was labelled with.
        bin_bounds_s: Bounds of the time bins.
        mark: The mark; None draws none.
        time_s: Time of a vertical line across all panels; None draws none.
    """
    if mark is not None and len(mark.lines):
        own = mark.lines.with_columns(panel=pl.lit(mark.title))
        columns = ["panel", "channel", "time_s", "value"]
        traces = pl.concat([own.select(columns), traces.select(columns)])
    figure = trace_figure(traces, phases, rate_hz)
    shapes = [_line(at_s) for at_s in bin_bounds_s[1:-1]]
    if mark is not None:
        shapes += [] if mark.is_whole else [_window(mark)]
        _fade_others(figure, mark)
        _draw_last(figure, mark.title)
    shapes += [] if time_s is None else [_time_line(time_s)]
    figure.layout.shapes = (*figure.layout.shapes, *shapes)
    _fill_attention(figure)
    return figure


def image_figure(pixels_88: NDArray[np.float32], region: tuple[int, int, int] | None) -> go.Figure:
    """Draw the image of one time-of-flight sensor at a time step.

    Args:
        pixels_88: (8, 8), -1 nothing in range, NaN missing.
        region: First row, first column and side of a marked square.
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
    strokes = {  # the heat map itself draws no text on pixels without a value
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


def _fade_others(figure: go.Figure, mark: Mark) -> None:
    """Make the other channels of the marked sensor's panel faint."""
    panel = NAMES[mark.sensor.partition("_")[0]]
    for trace in figure.data:
        if panel_of(figure, trace).startswith(panel) and mark.channels:
            is_marked = trace.name in mark.channels
            trace.update(opacity=1.0 if is_marked else FAINT)
            trace.line.width = 3.0 if is_marked else 1.4


def _draw_last(figure: go.Figure, title: str) -> None:
    """Draw a panel's lines after all others, so that the others keep their colours."""
    lines = sorted(figure.data, key=lambda trace: panel_of(figure, trace) == title)
    figure.data = ()
    figure.add_traces(lines)
    figure.update_layout(showlegend=True)  # by default, a single line has none


def panel_of(figure: go.Figure, trace: go.Scatter) -> str:
    """Return the title of the panel of a line."""
    return str(figure.layout[f"yaxis{(trace.yaxis or 'y')[1:]}"].title.text)


def _fill_attention(figure: go.Figure) -> None:
    for trace in figure.data:
        if panel_of(figure, trace) == ATTENTION and trace.name == MEAN:
            trace.update(fill="tozeroy")
            trace.line.shape = "hvh"


def _line(at_s: float) -> dict[str, object]:
    return {
        "type": "line",
        "x0": at_s,
        "x1": at_s,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"width": 1, "dash": "dot", "color": "gray"},
        "layer": "below",
    }


def _time_line(at_s: float) -> dict[str, object]:
    line = {"width": 2, "color": MARK_COLOUR}
    return {**_line(at_s), "line": line, "layer": "above", "name": "instant"}


def _window(mark: Mark) -> dict[str, object]:
    return {
        "type": "rect",
        "x0": mark.from_s,
        "x1": mark.to_s,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": MARK_COLOUR,
        "opacity": 0.16,
        "line": {"width": 1.5, "color": MARK_COLOUR},
        "layer": "below",
        "name": "mark",
    }


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
        "line": {"width": 2.5, "color": MARK_COLOUR},
    }
