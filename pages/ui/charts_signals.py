"""Figures of recordings: sensor traces, lengths, missing sensors.

In: frames of ``pages.ui.recordings``. Out: Plotly figures without title and without colours, as in
``charts_results``. No Streamlit.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from pages.ui.charts_results import FRAME_PX, MARGIN, ROW_PX, shorten

PANEL_PX = 210
LEGEND_PX = 50  # above each panel: on a narrow screen it takes two lines
MAX_BINS = 30
NORM_BIN = 0.04


def trace_figure(traces: pl.DataFrame, phases: pl.DataFrame, rate_hz: float) -> go.Figure:
    """Draw the traces of one sequence, one panel per kind of signal, on one time axis.

    Args:
        traces: From ``recordings.traces``.
        phases: From ``recordings.phase_bands``; may be empty.
        rate_hz: What the time axis was labelled with.
    """
    panels = traces["panel"].unique(maintain_order=True).to_list()
    height = PANEL_PX * len(panels)
    figure = make_subplots(
        rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=LEGEND_PX / height
    )
    for row, panel in enumerate(panels, start=1):
        _draw_panel(figure, traces.filter(pl.col("panel") == panel), row)
        figure.update_yaxes(title=panel, row=row, automargin=True)
    _draw_phases(figure, phases)
    figure.update_xaxes(title=f"Time, s (at {rate_hz:g} steps per second)", row=len(panels))
    figure.update_xaxes(showspikes=True, spikemode="across", spikethickness=1, spikedash="dot")
    figure.update_layout(
        height=height + FRAME_PX,
        margin={**MARGIN, "t": LEGEND_PX},
        hovermode="x unified",
        hoversubplots="axis",
    )
    return figure


def length_figure(rows: pl.DataFrame) -> go.Figure:
    """Draw how many sequences have how many time steps."""
    counts, edges = np.histogram(rows["steps"], bins=_whole_bins(rows["steps"].to_numpy()))
    width = edges[1] - edges[0]
    figure = go.Figure(
        go.Bar(
            x=edges[:-1] + (width - 1) / 2,
            y=counts,
            width=width * 0.94,
            customdata=np.column_stack([edges[:-1], edges[1:] - 1]),
            hovertemplate="%{customdata[0]} to %{customdata[1]} steps: %{y}<extra></extra>",
        )
    )
    figure.update_xaxes(title="Time steps", automargin=True)
    figure.update_yaxes(title="Sequences", automargin=True)
    if counts.size == 1:  # one bar across the whole chart would look like a mistake
        figure.update_xaxes(range=[edges[0] - 10, edges[0] + 10])
    figure.update_layout(height=260, margin=MARGIN)
    return figure


def missing_figure(table: pl.DataFrame) -> go.Figure:
    """Draw the share of missing values by subject and sensor group, in percent."""
    groups = [name for name in table.columns if name != "subject"]
    percent = 100.0 * table.select(groups).to_numpy()
    figure = go.Figure(
        go.Heatmap(
            z=percent,
            x=groups,
            y=[shorten(str(name)) for name in table["subject"]],
            zmin=0,
            zmax=100,
            text=[[f"{value:.0f}" for value in row] for row in percent.tolist()],
            texttemplate="%{text}" if len(table) <= 60 else None,
            hovertemplate="%{y}, %{x}: %{z:.1f} % missing<extra></extra>",
            xgap=1,
            ygap=1,
            showscale=False,
        )
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, automargin=True)
    figure.update_xaxes(showgrid=False, side="top", automargin=True)
    figure.update_layout(height=ROW_PX * len(table) + FRAME_PX, margin=MARGIN)
    return figure


def norm_figure(norms: np.ndarray) -> go.Figure:
    """Draw how long the quaternions are; a rotation has length 1."""
    last = max(1.2, float(norms.max()))
    edges = np.arange(-0.5, last / NORM_BIN + 1) * NORM_BIN  # one bin has 1 at its centre
    counts, _ = np.histogram(norms, bins=edges)
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            hovertemplate="length %{x:.2f}: %{y} time steps<extra></extra>",
        )
    )
    figure.update_xaxes(title="Length of the quaternion (1 is a rotation)", automargin=True)
    figure.update_yaxes(title="Time steps", automargin=True)
    figure.update_layout(height=260, margin=MARGIN)
    return figure


def _draw_panel(figure: go.Figure, rows: pl.DataFrame, row: int) -> None:
    legend = "legend" if row == 1 else f"legend{row}"
    for channel in rows["channel"].unique(maintain_order=True):
        trace = rows.filter(pl.col("channel") == channel)
        figure.add_scatter(
            x=trace["time_s"],
            y=trace["value"],
            name=channel,
            mode="lines",
            line={"width": 1.8},
            legend=legend,
            hovertemplate="%{y:.3f}",
            row=row,
            col=1,
        )
    top = figure.layout["yaxis" if row == 1 else f"yaxis{row}"].domain[1]
    place = {"orientation": "h", "x": 0, "y": top, "yanchor": "bottom", "title": None}
    figure.update_layout({legend: {**place, "bgcolor": "rgba(0,0,0,0)"}})


def _draw_phases(figure: go.Figure, phases: pl.DataFrame) -> None:
    """Shade the stretch of the gesture itself; the page says what the shade means."""
    for start, stop in phases.filter(phase="gesture").select("from_s", "to_s").iter_rows():
        figure.add_vrect(
            x0=start, x1=stop, fillcolor="gray", opacity=0.14, line_width=0, layer="below"
        )


def _whole_bins(steps: np.ndarray) -> np.ndarray:
    low, high = int(steps.min()), int(steps.max())
    width = max(1, -(-(high - low + 1) // MAX_BINS))
    return np.arange(low, high + width + 1, width)
