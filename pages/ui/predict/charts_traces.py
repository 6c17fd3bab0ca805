"""Figures of traces with marks on them: attention below, time bins, where a feature comes from.

In: frames of ``recordings`` and what is to be marked. Out: a Plotly figure. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import polars as pl

from pages.ui.shared.charts_signals import trace_figure

ATTENTION = "Attention, % of the whole"
FAINT = 0.3  # opacity of the channels that a mark is not about
MARK_COLOUR = "#D55E00"  # of the theme's colours; visible on both backgrounds
NAMES = {"acc": "Acceleration", "rot": "Orientation", "thm": "Temperature", "tof": "Time of flight"}


@dataclass(frozen=True)
class Mark:
    """What is marked on the traces.

    Attributes:
        title: Of the panel with its own signals.
        sensor: Such as "acc" or "tof_3".
        channels: Of the sensor's panel; none means all of them.
        from_s: Start of its stretch.
        to_s: End of its stretch.
        is_whole: Whether its stretch is the whole recording; then no stretch stands out.
        lines: Columns channel, time_s, value: its own signals.
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
    instant_s: float | None = None,
) -> go.Figure:
    """Draw traces with time bins as dotted lines, and a mark over its stretch and its channel.

    Args:
        traces: From ``recordings.traces``; further panels may follow.
        phases: From ``recordings.phase_bands``; may be empty.
        rate_hz: What the time axis was labelled with.
        bin_bounds_s: Where the time bins of the features begin and end.
        mark: What to mark.
        instant_s: Where a rule stands across all panels; None draws none.
    """
    if mark is not None and len(mark.lines):
        own = mark.lines.with_columns(panel=pl.lit(mark.title))
        columns = ["panel", "channel", "time_s", "value"]
        traces = pl.concat([own.select(columns), traces.select(columns)])
    figure = trace_figure(traces, phases, rate_hz)
    shapes = [_line(at_s) for at_s in bin_bounds_s[1:-1]]
    if mark is not None:
        shapes += [] if mark.is_whole else [_stretch(mark)]
        _fade_others(figure, mark)
        _last(figure, mark.title)
    shapes += [] if instant_s is None else [_rule(instant_s)]
    figure.layout.shapes = (*figure.layout.shapes, *shapes)
    _fill_attention(figure)
    return figure


def _fade_others(figure: go.Figure, mark: Mark) -> None:
    """Let the marked channel stand out among those of its sensor's panel."""
    panel = NAMES[mark.sensor.partition("_")[0]]
    for trace in figure.data:
        if panel_of(figure, trace).startswith(panel) and mark.channels:
            is_marked = trace.name in mark.channels
            trace.update(opacity=1.0 if is_marked else FAINT)
            trace.line.width = 3.0 if is_marked else 1.4


def _last(figure: go.Figure, title: str) -> None:
    """Draw a panel's lines after all others, so that those keep their colours."""
    lines = sorted(figure.data, key=lambda trace: panel_of(figure, trace) == title)
    figure.data = ()
    figure.add_traces(lines)
    figure.update_layout(showlegend=True)  # a single line has none otherwise


def panel_of(figure: go.Figure, trace: go.Scatter) -> str:
    """Return the title of the panel that a line is in."""
    return str(figure.layout[f"yaxis{(trace.yaxis or 'y')[1:]}"].title.text)


def _fill_attention(figure: go.Figure) -> None:
    for trace in figure.data:
        if panel_of(figure, trace) == ATTENTION and trace.name == "mean of the folds":
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


def _rule(at_s: float) -> dict[str, object]:
    line = {"width": 2, "color": MARK_COLOUR}
    return {**_line(at_s), "line": line, "layer": "above", "name": "instant"}


def _stretch(mark: Mark) -> dict[str, object]:
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
