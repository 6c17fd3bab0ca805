"""Figures of one prediction and its explanations.

In: frames. Out: Plotly figures without title and without colours, as in ``charts_results``. No
Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from pages.ui.shared import words
from pages.ui.shared.charts_results import FRAME_PX, LEGEND_ABOVE, MARGIN, MAX_NAME, SPREAD, shorten
from trainer.models import registry

BAR_PX = 15  # height of one of several bars of a row
MARGIN_ABOVE = {**MARGIN, "t": 30}  # room for the legend


def probability_figure(gestures: pl.DataFrame, models: Sequence[str]) -> go.Figure:
    """Draw the probabilities of gestures, one bar per model.

    Args:
        gestures: Rows of ``prediction_panels.gesture_rows``.
        models: Names of the models, the blend among them.
    """
    labels = [
        f"{shorten(name, MAX_NAME)}<br><b>{100 * value:.1f} %</b>"
        for name, value in gestures.select("gesture", registry.BLEND).iter_rows()
    ]
    figure = go.Figure([_model_bars(gestures, model, labels) for model in models])
    figure.update_xaxes(title="Probability, %", range=[0, 104], automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_layout(
        barmode="group",
        bargap=0.3,
        bargroupgap=0.05,
        legend=LEGEND_ABOVE,
        margin=MARGIN_ABOVE,
        height=(BAR_PX * len(models) + 18) * len(gestures) + FRAME_PX,
    )
    return figure


def contribution_figure(rows: pl.DataFrame, unit: str) -> go.Figure:
    """Draw positive and negative contributions, the first row at the top.

    Args:
        rows: Columns name, difference, spread, and text for the hover.
        unit: Of the horizontal axis.
    """
    names = rows["name"].to_list()
    figure = go.Figure(
        go.Bar(
            x=rows["difference"],
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
    """Draw the decrease of a probability with each window hidden.

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
    figure.update_xaxes(title="Hidden window, s", automargin=True)
    figure.update_yaxes(title="Decrease, points", automargin=True)
    figure.update_layout(height=230, margin=MARGIN)
    return figure


def change_figure(rows: pl.DataFrame) -> go.Figure:
    """Draw the probability of the first predicted gesture before and after each change.

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
    figure.update_xaxes(title="Probability, %", range=[0, 104], automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_layout(
        barmode="group",
        bargroupgap=0.05,
        legend=LEGEND_ABOVE,
        margin=MARGIN_ABOVE,
        height=46 * len(names) + FRAME_PX,
    )
    return figure


def overlay_figure(traces: pl.DataFrame) -> go.Figure:
    """Draw the acceleration of this recording and of another, each over its own length.

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
    figure.update_xaxes(title="Share of its own length, %", anchor=f"y{len(axes)}")
    figure.update_layout(height=480, margin=MARGIN_ABOVE, legend=LEGEND_ABOVE)
    return figure


def _model_bars(gestures: pl.DataFrame, model: str, labels: list[str]) -> go.Bar:
    spread = gestures.get_column(f"{model}_spread", default=None)
    has_spread = spread is not None and bool((spread > 0).any())
    values = 100 * gestures[model]
    return go.Bar(
        x=values,
        y=labels,
        name=registry.title(model),
        orientation="h",
        error_x={
            **SPREAD,
            "array": 100 * spread,
            "arrayminus": np.minimum(values, 100 * spread),
            "symmetric": False,
        }
        if has_spread
        else None,
        hovertemplate="%{x:.2f} %<extra>" + registry.title(model) + "</extra>",
    )
