"""Figures of recordings: lengths, missing values, sequences by subject, quaternions.

In: frames of ``recordings``. Out: Plotly figures without title and without colours, as in
``charts_results``. No Streamlit.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.charts_results import FRAME_PX, MARGIN, ROW_PX, shorten

MAX_BINS = 30
MAX_CELLS = 30  # across; with more their numbers would overlap


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
    if counts.size == 1:  # one bar across the whole chart would look wrong
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


def pair_figure(table: pl.DataFrame) -> go.Figure:
    """Draw how many sequences each subject has of each gesture; frame from ``recordings.pairs``."""
    subjects = table.drop("gesture").columns
    counts = table.drop("gesture").to_numpy()
    figure = go.Figure(
        go.Heatmap(
            z=counts,
            x=[str(number) for number in range(1, len(subjects) + 1)],
            y=[shorten(name) for name in table["gesture"]],
            zmin=0,
            text=[
                [words.NOTHING if count == 0 else str(count) for count in row]
                for row in counts.tolist()
            ],
            texttemplate="%{text}" if len(subjects) <= MAX_CELLS else None,
            customdata=[[[name, who] for who in subjects] for name in table["gesture"]],
            hovertemplate="%{customdata[0]}, %{customdata[1]}: %{z} sequences<extra></extra>",
            xgap=1,
            ygap=1,
            showscale=False,
        )
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, automargin=True)
    figure.update_xaxes(
        title="Subject, in the order of their names", type="category", showgrid=False, nticks=20
    )
    figure.update_layout(height=ROW_PX * len(table) + FRAME_PX, margin=MARGIN)
    return figure


def norm_figure(counts: pl.DataFrame) -> go.Figure:
    """Draw how long the quaternions are; frame of the check "norms"."""
    edges = counts.select("from", "to").to_numpy()
    figure = go.Figure(
        go.Bar(
            x=edges.mean(axis=1),
            y=counts["time_steps"],
            width=np.diff(edges, axis=1)[:, 0],
            customdata=edges,
            hovertemplate=(
                "length %{customdata[0]:.2f} to %{customdata[1]:.2f}: %{y} time steps"
                "<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(title="Length of the quaternion (1 is a rotation)", automargin=True)
    figure.update_yaxes(title="Time steps", automargin=True)
    figure.update_layout(height=260, margin=MARGIN)
    return figure


def _whole_bins(steps: np.ndarray) -> np.ndarray:
    low, high = int(steps.min()), int(steps.max())
    width = max(1, -(-(high - low + 1) // MAX_BINS))
    return np.arange(low, high + width + 1, width)
