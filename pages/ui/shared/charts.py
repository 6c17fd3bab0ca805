"""Live charts: a frame in, a figure out, no Streamlit.

They are Altair, because the browser rebuilds a Plotly figure at every change of its data. The
figures are returned as Vega-Lite with named data sets that stay frames: the browser puts new data
of the same name into the existing chart, and converting rows in Altair took a fifth of a refresh.
Colours come from the theme (``.streamlit/config.toml``), light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

Spec = dict[str, Any]  # Vega-Lite, the data as frames

CURVE_HEIGHT_PX = 300
MANY_FOLDS = 10  # beyond, the legend would be longer than the chart
MAX_POINTS = 600  # of one line: more than a chart has pixels to show them


@dataclass(frozen=True)
class Curve:
    """One number that is plotted while a model is trained.

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
    "Training loss": Curve("train_loss", "Training loss (log loss)", ".2f"),
    "Learning rate": Curve("learning_rate", "Learning rate", "~e"),
}


def curve_chart(
    points: pl.DataFrame,
    curve: Curve,
    step_title: str,
    last_step: int,
    resumed_at: Sequence[float],
    can_zoom: bool = False,
) -> Spec:
    """Draw one curve per fold of one model.

    Args:
        points: Columns fold, step and the curve's own.
        curve: What is drawn.
        step_title: "round" or "epoch"; names the axis.
        last_step: End of the axis, so that it does not move while points arrive.
        resumed_at: Steps at which a fold was resumed; each gets a dashed line.
        can_zoom: Whether it can be dragged and zoomed; new data would undo both.
    """
    data = points.select("fold", "step", pl.col(curve.column).alias("value")).drop_nulls()
    data = thinned(data, MAX_POINTS)
    steps = alt.X(
        "step:Q",
        title=step_title.capitalize(),
        scale=alt.Scale(domain=[0, max(last_step, 1)]),
        axis=alt.Axis(tickMinStep=1, tickCount=6, format="d"),
    )
    lines = _fold_lines(data, curve, steps, step_title)
    if can_zoom:  # with Shift, so that the wheel alone still scrolls the page
        lines = lines.add_params(
            alt.selection_interval(bind="scales", zoom="wheel![event.shiftKey]")
        )
    resumed = pl.DataFrame({"step": list(resumed_at)}, schema={"step": pl.Float64})
    figure = alt.layer(_resume_marks(steps, step_title), lines)
    figure = figure.properties(height=CURVE_HEIGHT_PX)
    return with_data(figure, points=data, resumed=resumed)


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


def no_points(curve: Curve) -> pl.DataFrame:
    """Return the points of a chart that has none yet."""
    return pl.DataFrame(schema={"fold": pl.Int64, "step": pl.Float64, curve.column: pl.Float64})


def newest_point(points: pl.DataFrame, curve: Curve, step_title: str) -> str:
    """Describe the newest point, also for readers who do not see the chart.

    Args:
        points: As for ``curve_chart``, with the column time.
        curve: What is drawn.
        step_title: "round" or "epoch".
    """
    row = points.sort("time").row(-1, named=True)
    place = f"fold {row['fold']}, {step_title} {row['step']:.0f}"
    value = row[curve.column]
    return place if value is None else f"{place}: {value:.4g}"


def with_data(figure: alt.TopLevelMixin, **datasets: pl.DataFrame) -> Spec:
    """Return a figure as Vega-Lite with its data.

    It is not validated here, which took half of the time; a test does.
    """
    return {**figure.to_dict(validate=False), "datasets": datasets}


def _fold_lines(data: pl.DataFrame, curve: Curve, steps: alt.X, step_title: str) -> alt.Chart:
    """Return the lines of the folds over the axis of the steps."""
    lines: alt.Chart = (
        alt.Chart(alt.NamedData("points"))
        .mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=steps,
            y=alt.Y(
                "value:Q",
                title=curve.title,
                scale=_value_scale(data),
                axis=alt.Axis(format=curve.number_format, tickCount=5),
            ),
            color=alt.Color("fold:N", title="Fold", legend=_legend(data["fold"].n_unique())),
            tooltip=[
                alt.Tooltip("fold:N", title="Fold"),
                alt.Tooltip("step:Q", title=step_title.capitalize()),
                alt.Tooltip("value:Q", title=curve.title, format=".4g"),
            ],
        )
    )
    return lines


def _resume_marks(steps: alt.X, step_title: str) -> alt.Chart:
    """Return a dashed line at each step at which a fold was resumed."""
    tooltip = alt.Tooltip("step:Q", title=f"Resumed at {step_title}", format=".4~")
    marks = alt.Chart(alt.NamedData("resumed")).encode(x=steps, tooltip=tooltip)
    look: alt.Chart = marks.mark_rule(strokeDash=[4, 4], opacity=0.6, color="gray", strokeWidth=1.5)
    return look


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
