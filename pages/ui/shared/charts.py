"""Charts: a frame in, a figure out, no Streamlit.

Live curves are Altair: Plotly figures are rebuilt in the browser at every change of their data.
They come out as Vega-Lite whose data have names of their own and stay frames: under a name that
stays, the browser takes new data into the chart that stands there; and rows made by Altair took a
fifth of a refresh of the Scores page.
Colours come from the theme (``.streamlit/config.toml``), so both themes keep theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

Spec = dict[str, Any]  # Vega-Lite, the data as frames

CURVE_HEIGHT_PX = 300
METER_HEIGHT_PX = 150
MANY_FOLDS = 10  # beyond, the legend would be longer than the chart
MAX_POINTS = 600  # of one line: more than a chart has pixels to show them


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


@dataclass(frozen=True)
class Meter:
    """One number that is read from the machine now and then.

    Attributes:
        title: What it is.
        unit: Of the axis.
        newest: How the newest value is said.
        divisor: From the recorded unit to the axis' unit.
    """

    title: str
    unit: str
    newest: str
    divisor: float


CURVES = {
    "Score": Curve("score", "Score of the fold (0 to 1)", ".2f"),
    "Validation loss": Curve("valid_loss", "Validation loss (log loss)", ".2f"),
    "Training loss": Curve("train_loss", "Training loss (log loss)", ".2f"),
    "Learning rate": Curve("learning_rate", "Learning rate", "~e"),
}


def curve_chart(
    points: pl.DataFrame,
    curve: Curve,
    step_name: str,
    last_step: int,
    resumed_at: Sequence[float],
    can_zoom: bool = False,
) -> Spec:
    """Draw one curve per fold of one model.

    Args:
        points: Columns fold, step and the curve's own.
        curve: What is drawn.
        step_name: "round" or "epoch"; names the axis.
        last_step: End of the axis, so that it stands still while points arrive.
        resumed_at: Steps at which a fold was resumed; each gets a dashed line.
        can_zoom: Whether it can be dragged and zoomed; new data would undo both.
    """
    data = points.select("fold", "step", pl.col(curve.column).alias("value")).drop_nulls()
    data = thinned(data, MAX_POINTS)
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
        scale=_value_scale(data),
        axis=alt.Axis(format=curve.number_format, tickCount=5),
    )
    lines = (
        alt.Chart(alt.NamedData("points"))
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
        alt.Chart(alt.NamedData("resumed"))
        .mark_rule(strokeDash=[4, 4], opacity=0.6, color="gray", strokeWidth=1.5)
        .encode(
            x=steps, tooltip=alt.Tooltip("step:Q", title=f"Resumed at {step_name}", format=".4~")
        )
    )
    if can_zoom:  # with Shift, so that the wheel alone still scrolls the page
        lines = lines.add_params(
            alt.selection_interval(bind="scales", zoom="wheel![event.shiftKey]")
        )
    resumed = pl.DataFrame({"step": list(resumed_at)}, schema={"step": pl.Float64})
    figure = alt.layer(marks, lines).properties(height=CURVE_HEIGHT_PX)
    return _spec(figure, points=data, resumed=resumed)


def thinned(data: pl.DataFrame, max_points: int) -> pl.DataFrame:
    """Return at most about so many points per fold: the lowest and the highest of each stretch.

    Args:
        data: Columns fold, step, value, in the order of the steps.
        max_points: Lines that have no more stay whole.
    """
    place, num = pl.int_range(pl.len()).over("fold"), pl.len().over("fold")
    stretch = pl.when(num > max_points).then(place * (max_points // 2) // num).otherwise(place)
    within = ["fold", stretch]
    value = pl.col("value")
    is_kept = (value == value.min().over(within)) | (value == value.max().over(within))
    is_end = (place == 0) | (place == num - 1)
    return data.filter(is_kept | is_end)


def meter_chart(table: pl.DataFrame, column: str, meter: Meter) -> Spec:
    """Draw one number over the minutes since the attempt began.

    Args:
        table: Columns minutes and the meter's own.
        column: The meter's own.
        meter: What is drawn.
    """
    data = table.select(
        "minutes",
        pl.lit(0).alias("fold"),
        pl.col("minutes").alias("step"),
        (pl.col(column) / meter.divisor).alias("value"),
    ).drop_nulls()
    figure = (
        alt.Chart(alt.NamedData("readings"))
        .mark_area(line={"strokeWidth": 1.5}, opacity=0.25)
        .encode(
            x=alt.X(
                "minutes:Q",
                title="Minutes",
                axis=alt.Axis(tickCount=4, grid=False),
                scale=alt.Scale(nice=False),
            ),
            y=alt.Y("value:Q", title=meter.unit, axis=alt.Axis(tickCount=3, format=".2~f")),
            tooltip=[
                alt.Tooltip("minutes:Q", title="Minute", format=".1f"),
                alt.Tooltip("value:Q", title=f"{meter.title} ({meter.unit})", format=".3g"),
            ],
        )
        .properties(height=METER_HEIGHT_PX)
    )
    return _spec(figure, readings=thinned(data, MAX_POINTS).select("minutes", "value"))


def no_points(curve: Curve) -> pl.DataFrame:
    """Return the frame of a chart that waits for its first point."""
    return pl.DataFrame(schema={"fold": pl.Int64, "step": pl.Float64, curve.column: pl.Float64})


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


def _spec(figure: alt.TopLevelMixin, **datasets: pl.DataFrame) -> Spec:
    """Return a figure as Vega-Lite with its data; a test checks what is not checked here.

    The check took half of the time.
    """
    return {**figure.to_dict(validate=False), "datasets": datasets}


def _value_scale(data: pl.DataFrame) -> alt.Scale:
    """Return the scale of the values; without any, Vega could not place the axis."""
    return alt.Scale(domain=[0, 1]) if data.is_empty() else alt.Scale(zero=False, nice=True)


def _legend(num_folds: int) -> alt.Legend | None:
    if not 0 < num_folds <= MANY_FOLDS:  # Vega cannot place one without entries either
        return None
    return alt.Legend(
        orient="top",
        titleOrient="left",
        columns=MANY_FOLDS,  # not their number: a chart that stays the same is not drawn anew
        offset=4,
        columnPadding=6,  # five folds fit into a third of a small screen
        symbolSize=60,
        titlePadding=6,
    )
