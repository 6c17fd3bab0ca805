"""Figures of a study: trials in their order, parallel coordinates, importance of the settings.

In: frames of ``study_results``. Out: Plotly figures without title; colours from the theme. No
Streamlit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from pages.ui.shared.charts_results import FRAME_PX, LEGEND_ABOVE, MARGIN, ROW_PX, shorten
from trainer.study.definition import SearchRange

HEIGHT_PX = 300
SYMBOLS = {"Complete": "circle", "Pruned": "x", "Running": "circle-open", "Failed": "cross-open"}
MAX_TICKS = 6
AXIS_COLOUR = "rgba(128, 140, 139, 0.6)"  # visible on light and on dark
FROM_LOW_TO_HIGH = ((0.0, "#d97706"), (1.0, "#0d9488"))  # both are visible on light and on dark


def history_figure(history: pl.DataFrame) -> go.Figure:
    """Draw the mean score of each trial, a symbol per state, and the best so far as a line.

    Args:
        history: From ``study_results.history``.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=history["Trial"],
        y=history["Best so far"],
        name="Best so far",
        mode="lines",
        line={"shape": "hv", "width": 2},
        hovertemplate="Best so far: %{y:.4f}<extra></extra>",
    )
    for title, symbol in SYMBOLS.items():
        part = history.filter(pl.col("State").str.starts_with(title), pl.col("Mean").is_not_null())
        if part.is_empty():
            continue
        figure.add_scatter(
            x=part["Trial"],
            y=part["Mean"],
            name=title,
            mode="markers",
            marker={"symbol": symbol, "size": 10},
            customdata=part["State"],
            hovertemplate="Trial %{x}: %{y:.4f}<br>%{customdata}<extra></extra>",
        )
    figure.update_layout(height=HEIGHT_PX, margin=MARGIN, legend=LEGEND_ABOVE)
    dtick = max(1, len(history) // MAX_TICKS)
    figure.update_xaxes(title="Trial", tickformat="d", dtick=dtick, automargin=True)
    figure.update_yaxes(title="Mean score (0 to 1)", tickformat=".3f", automargin=True)
    return figure


def parallel_figure(
    settings: Sequence[Mapping[str, str]],
    values: Sequence[float],
    search: Mapping[str, SearchRange],
) -> go.Figure:
    """Draw one line per complete trial through its settings to its score, coloured by the score.

    Args:
        settings: Of each trial, as text.
        values: Score of each trial.
        search: The ranges of a search: one of choices has ticks, a logarithmic one such an axis.
    """
    dimensions = [
        _dimension(name, [trial[name] for trial in settings], search.get(name))
        for name in settings[0]
    ]
    dimensions.append({"label": "Score", "values": list(values), **_ticks(_evenly(values), ".3f")})
    figure = go.Figure(
        go.Parcoords(
            line={"color": list(values), "colorscale": FROM_LOW_TO_HIGH, "showscale": False},
            dimensions=dimensions,
            labelangle=-12,
            labelside="top",
        )
    )
    figure.update_layout(height=HEIGHT_PX + 60, margin={"l": 56, "r": 40, "t": 72, "b": 24})
    for number in range(len(dimensions)):  # Plotly's own lines are black, also on a dark page
        place = number / (len(dimensions) - 1)
        line = {"color": AXIS_COLOUR, "width": 1}
        figure.add_shape(type="line", xref="paper", yref="paper", line=line)
        figure.layout.shapes[-1].update(x0=place, x1=place, y0=0, y1=1)
    return figure


def importance_figure(shares: pl.DataFrame) -> go.Figure:
    """Draw the share of the scores' variance that each setting explains.

    Args:
        shares: From ``study_results.importance``.
    """
    names = [shorten(name, 34) for name in shares["Setting"]]
    figure = go.Figure(
        go.Bar(
            x=shares["Share"],
            y=names,
            orientation="h",
            customdata=shares["Setting"],
            hovertemplate="%{customdata}: %{x:.0%}<extra></extra>",
        )
    )
    figure.update_layout(height=FRAME_PX + ROW_PX * len(names), margin=MARGIN)
    figure.update_xaxes(
        title="Share of the scores' variance", tickformat=".0%", range=[0, 1], automargin=True
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _dimension(name: str, texts: Sequence[str], found: SearchRange | None) -> dict[str, Any]:
    """Return one axis: numbers on a scale, other values as ticks."""
    label = shorten(name.rpartition(".")[2].replace("_", " ").capitalize(), 18)
    numbers = _numbers(texts)
    if numbers is None or (found is not None and found.choices is not None):
        known = list(found.choices if found and found.choices else dict.fromkeys(texts))
        places = [known.index(text) for text in texts]
        return {
            "label": label,
            "values": places,
            "tickvals": list(range(len(known))),
            "ticktext": known,
            "range": [-0.2, len(known) - 0.8],
        }
    if found is None or not found.log:
        few = sorted(set(numbers))  # such as those of a grid
        ticks = few if len(few) <= MAX_TICKS else _evenly(numbers)
        return {"label": label, "values": numbers, **_ticks(ticks, ".4g")}
    powers = [math.log10(number) for number in numbers]
    ticks = _evenly(powers)
    return {
        "label": label,
        "values": powers,
        "tickvals": ticks,
        "ticktext": [f"{10**tick:.2g}" for tick in ticks],
    }


def _ticks(ticks: Sequence[float], text_format: str) -> dict[str, Any]:
    return {"tickvals": ticks, "ticktext": [f"{tick:{text_format}}" for tick in ticks]}


def _evenly(numbers: Sequence[float]) -> list[float]:
    low, high = min(numbers), max(numbers)
    return [low + (high - low) * place / (MAX_TICKS - 1) for place in range(MAX_TICKS)]


def _numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None
