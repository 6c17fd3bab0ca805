"""Charts: a frame in, a figure out, no Streamlit.

Live curves are Altair: Plotly figures are rebuilt in the browser at every change of their data.
Colours come from the theme (``.streamlit/config.toml``), so both themes keep theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

CURVE_HEIGHT_PX = 300
MANY_FOLDS = 10  # beyond, the legend would be longer than the chart


@dataclass(frozen=True)
class Curve:
    """One number that is followed while a model trains.

    Attributes:
        column: Of the curves' frame.
        title: Of the axis, with its unit.
        number_format: Of the axis labels, as d3 writes it.
    """

    column: str
    title: str
    number_format: str


CURVES = {
    "Score": Curve("score", "Score of the fold (0 to 1)", ".2f"),
    "Validation loss": Curve("valid_loss", "Validation loss (log loss)", ".2f"),
    "Learning rate": Curve("learning_rate", "Learning rate", "~e"),
}


def curve_chart(
    points: pl.DataFrame, curve: Curve, step_name: str, last_step: int, resumed_at: Sequence[float]
) -> alt.LayerChart:
    """Draw one curve per fold of one model.

    Args:
        points: Columns fold, step and the curve's own.
        curve: What is drawn.
        step_name: "round" or "epoch"; names the axis.
        last_step: End of the axis, so that it stands still while points arrive.
        resumed_at: Steps at which a fold was resumed; each gets a dashed line.
    """
    data = points.select("fold", "step", pl.col(curve.column).alias("value")).drop_nulls()
    num_folds = data["fold"].n_unique()
    fold = alt.Color("fold:N", title="Fold", legend=_legend(num_folds))
    steps = alt.X(
        "step:Q",
        title=step_name.capitalize(),
        scale=alt.Scale(domain=[0, max(last_step, 1)]),
        axis=alt.Axis(tickMinStep=1, tickCount=6, format="d"),
    )
    values = alt.Y(
        "value:Q",
        title=curve.title,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(format=curve.number_format, tickCount=5),
    )
    lines = (
        alt.Chart(data)
        .mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=steps,
            y=values,
            color=fold,
            tooltip=[
                alt.Tooltip("fold:N", title="Fold"),
                alt.Tooltip("step:Q", title=step_name.capitalize()),
                alt.Tooltip("value:Q", title=curve.title, format=".4g"),
            ],
        )
    )
    marks = (
        alt.Chart(pl.DataFrame({"step": list(resumed_at)}, schema={"step": pl.Float64}))
        .mark_rule(strokeDash=[4, 4], opacity=0.5, color="gray")
        .encode(x=steps)
    )
    return alt.layer(marks, lines).properties(height=CURVE_HEIGHT_PX)


def newest_point(points: pl.DataFrame, curve: Curve, step_name: str) -> str:
    """Say in words what arrived last: the curves' text alternative, and what moves on the page.

    Args:
        points: As for ``curve_chart``, with the column time.
        curve: What is drawn.
        step_name: "round" or "epoch".
    """
    row = points.sort("time").row(-1, named=True)
    place = f"fold {row['fold']}, {step_name} {row['step']:.0f}"
    value = row[curve.column]
    return place if value is None else f"{place}: {value:.4g}"


def _legend(num_folds: int) -> alt.Legend | None:
    if num_folds > MANY_FOLDS:
        return None
    return alt.Legend(orient="top", titleOrient="left", columns=num_folds, offset=4)
