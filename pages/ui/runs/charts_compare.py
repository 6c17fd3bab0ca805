"""Charts that compare runs: overlaid curves, differences by fold. A frame in, a figure out.

Altair, as the other curves; colours come from the theme. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from pages.ui.runs.comparison import PairedDifference
from pages.ui.shared.charts import CURVE_HEIGHT_PX, Curve

ROW_PX = 64  # one run's dots
FRAME_PX = 60  # axis and its title


def overlaid_points(
    curves: Sequence[tuple[str, pl.DataFrame]], model: str, column: str
) -> pl.DataFrame:
    """Return run, fold, step, value; fold "mean" for the steps that every fold of the run has.

    Args:
        curves: Name and curves of each run.
        model: Name of the model.
        column: The number to draw.
    """
    schema = {"run": pl.String, "fold": pl.String, "step": pl.Float64, "value": pl.Float64}
    parts = [pl.DataFrame(schema=schema)]
    for name, points in curves:
        if column not in points.columns:
            continue
        parts.append(
            points.filter(pl.col("model") == model)
            .select(
                pl.lit(name).alias("run"),
                pl.col("fold").cast(pl.String),
                pl.col("step").cast(pl.Float64),
                pl.col(column).cast(pl.Float64).alias("value"),
            )
            .drop_nulls()
        )
    lines = pl.concat(parts)
    num_folds = pl.col("fold").n_unique().over("run")
    means = (
        lines.with_columns(num_folds.alias("num_folds"))
        .group_by("run", "step", maintain_order=True)
        .agg(pl.col("value").mean(), pl.len() == pl.col("num_folds").first())
        .filter("len")
        .select("run", pl.lit("mean").alias("fold"), "step", "value")
    )
    return pl.concat([lines, means])


def overlaid_chart(
    points: pl.DataFrame, curve: Curve, step_title: str, names: Sequence[str]
) -> alt.LayerChart | alt.FacetChart:
    """Draw each run in its colour: the mean of its folds thick, each fold thin.

    Args:
        points: As ``overlaid_points`` returns them.
        curve: What is drawn.
        step_title: "round" or "epoch"; names the axis.
        names: Of the runs, in the order of their colours.
    """
    run = alt.Color("run:N", title="Run", sort=list(names), legend=_legend(len(names)))
    base = alt.Chart().encode(
        x=alt.X(
            "step:Q",
            title=step_title.capitalize(),
            scale=alt.Scale(domainMin=0),
            axis=alt.Axis(tickMinStep=1, tickCount=6, format="d"),
        ),
        y=alt.Y(
            "value:Q",
            title=curve.title,
            scale=alt.Scale(zero=False, nice=True),
            axis=alt.Axis(format=curve.number_format, tickCount=5),
        ),
        color=run,
        tooltip=[
            alt.Tooltip("run:N", title="Run"),
            alt.Tooltip("fold:N", title="Fold"),
            alt.Tooltip("step:Q", title=step_title.capitalize()),
            alt.Tooltip("value:Q", title=curve.title, format=".4g"),
        ],
    )
    is_mean = alt.datum.fold == "mean"
    folds = (
        base.mark_line(strokeWidth=1, opacity=0.4)
        .encode(detail="fold:N")
        .transform_filter(alt.datum.fold != "mean")
    )
    means = base.mark_line(strokeWidth=2.6).transform_filter(is_mean)
    return alt.layer(folds, means, data=points).properties(height=CURVE_HEIGHT_PX)


def difference_chart(differences: Sequence[PairedDifference]) -> alt.LayerChart | alt.FacetChart:
    """Draw each fold's difference as a dot, the mean with its 95 % interval, and the zero line."""
    dots = pl.DataFrame(
        [
            {"run": one.second, "fold": str(fold), "value": value}
            for one in differences
            for fold, value in zip(one.folds, one.differences, strict=True)
        ]
    )
    means = pl.DataFrame(
        [
            {
                "run": one.second,
                "mean": one.mean,
                "low": one.mean - (one.half_width or 0.0),
                "high": one.mean + (one.half_width or 0.0),
            }
            for one in differences
        ]
    )
    order = [one.second for one in differences]
    runs = alt.Y("run:N", title=None, sort=order)
    zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color="gray").encode(x="zero:Q")
    shared = alt.Chart(means).encode(y=runs)
    differences_axis = alt.X(
        "low:Q",
        title=f"Score minus that of {differences[0].first}, per fold",
        axis=alt.Axis(tickCount=6, format="+.3f"),
    )
    interval = shared.mark_rule(strokeWidth=2.5, color="gray").encode(
        x=differences_axis, x2="high:Q"
    )
    middle = shared.mark_tick(thickness=4, size=24).encode(
        x="mean:Q",
        tooltip=["run:N", *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in means.columns[1:])],
    )
    points = (
        alt.Chart(dots)
        .mark_circle(size=70, opacity=0.55)
        .encode(
            x="value:Q",
            y=runs,
            tooltip=["run:N", "fold:N", alt.Tooltip("value:Q", title="difference", format="+.4f")],
        )
    )
    height = FRAME_PX + ROW_PX * len(order)
    return alt.layer(zero, points, interval, middle).properties(height=height)


def _legend(num_runs: int) -> alt.Legend:
    return alt.Legend(
        orient="top",
        titleOrient="left",
        columns=min(num_runs, 3),
        labelLimit=260,
        symbolOpacity=1.0,
        symbolStrokeWidth=3,
    )
