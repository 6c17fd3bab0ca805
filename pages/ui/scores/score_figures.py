"""Figures of scores: means, folds, gestures, subjects, calibration.

In: a frame. Out: a Plotly figure without title (the page writes it above, where it wraps) and
without colours (the theme gives them, in both its light and its dark form); marks differ by shape
too. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from pages.ui.shared.charts_results import (
    FRAME_PX,
    LEGEND_ABOVE,
    MARGIN,
    ROW_PX,
    SPREAD,
    shorten,
)
from trainer.models import registry
from trainer.models.registry import BLEND

LEGEND_PX = 36  # height of the legend above
SYMBOLS = ("circle", "diamond", "triangle-up", "cross", "star", "pentagon", "hexagon", "x")


def model_symbols(models: Sequence[str]) -> dict[str, str]:
    """Return the symbol of the blend and of each model of a run; the same on every chart.

    The blend comes first, as on the Predict page, so that its colour is the same there.
    """
    return {BLEND: "square"} | dict(zip(models, cycle(SYMBOLS), strict=False))


def mean_figure(means: pl.DataFrame) -> go.Figure:
    """Draw the score and its two parts, mean and spread; a row per model and sensors.

    Args:
        means: From ``mean_scores.mean_table``.
    """
    figure = go.Figure()
    has_choice = means["sensors"].n_unique() > 1
    names = [
        f"{model} · {sensors}" if has_choice else model
        for model, sensors in means.select("model", "sensors").iter_rows()
    ]
    for title, symbol, mean, std in (
        ("Score", "square", "mean", "std"),
        ("Binary F1", "triangle-right", "binary_f1_mean", "binary_f1_std"),
        ("Macro F1", "triangle-left", "macro_f1_mean", "macro_f1_std"),
    ):
        figure.add_scatter(
            x=means[mean],
            y=names,
            name=title,
            mode="markers",
            marker={"symbol": symbol, "size": 11},
            error_x={"type": "data", "array": means[std], "thickness": 1.2, "width": 4},
            customdata=means.select(std, "folds").to_numpy(),
            hovertemplate=(
                "%{y}<br>" + title + " %{x:.4f} ± %{customdata[0]:.4f} over "
                "%{customdata[1]:.0f} folds<extra></extra>"
            ),
        )
    figure.update_xaxes(title="Mean over the folds (0 to 1)", tickformat=".2f", automargin=True)
    return _lay_out_rows(figure, len(names))


def fold_figure(fold_rows: pl.DataFrame, models: Sequence[str]) -> go.Figure:
    """Draw each fold's score, one marker per model.

    Args:
        fold_rows: From ``result_tables.fold_table``.
        models: Those of the run.
    """
    figure = go.Figure()
    for model, symbol in model_symbols(models).items():
        title = registry.title(model)
        rows = fold_rows.filter(pl.col("model") == title)
        figure.add_scatter(
            x=[f"Fold {fold}" for fold in rows["fold"]],
            y=rows["score"],
            name=title,
            mode="markers",
            marker={"symbol": symbol, "size": 12},
            zorder=int(model == BLEND),  # above the others
            customdata=rows.select("accuracy", "sequences", "rank").to_numpy(),
            hovertemplate=(
                "%{x}: score %{y:.4f}, rank %{customdata[2]:.0f}<br>"
                "accuracy %{customdata[0]:.4f}, %{customdata[1]:.0f} sequences<extra>"
                + title
                + "</extra>"
            ),
            showlegend=len(rows) > 0,
        )
    figure.update_yaxes(title="Score (0 to 1)", tickformat=".3~f", automargin=True)
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=[f"Fold {fold}" for fold in sorted(set(fold_rows["fold"].to_list()))],
    )
    figure.update_layout(height=300, margin=MARGIN, legend=LEGEND_ABOVE)
    return figure


def gesture_figure(gestures: pl.DataFrame) -> go.Figure:
    """Draw F1, precision and recall of every gesture, the lowest F1 at the top.

    Args:
        gestures: From ``result_tables.gesture_table``.
    """
    rows = gestures.drop_nulls("f1").sort("f1")
    figure = go.Figure()
    for title, symbol, column in (
        ("F1", "square", "f1"),
        ("Precision", "triangle-right", "precision"),
        ("Recall", "triangle-left", "recall"),
    ):
        figure.add_scatter(
            x=rows[column],
            y=[shorten(name) for name in rows["gesture"]],
            mode="markers",
            name=title,
            marker={"symbol": symbol, "size": 11},
            customdata=rows.select("gesture", "sequences").rows(),
            hovertemplate=(
                f"%{{customdata[0]}}: {title} %{{x:.3f}}<br>%{{customdata[1]}} sequences"
                "<extra></extra>"
            ),
        )
    figure.update_xaxes(title="F1, precision, recall (0 to 1)", automargin=True)
    return _lay_out_rows(figure, len(rows))


def subject_figure(
    subjects: pl.DataFrame, models: Sequence[str], columns: Mapping[str, str]
) -> go.Figure:
    """Draw the score of every subject, the lowest at the top, with a mark for each model.

    Args:
        subjects: From ``result_tables.subject_table``, and one column of scores per further model.
        models: Those of the run.
        columns: Model, or the blend, to its column of scores; the others are not drawn.
    """
    figure = go.Figure()
    for model, symbol in model_symbols(models).items():
        column, title = columns.get(model), registry.title(model)
        figure.add_scatter(
            x=[] if column is None else subjects[column],
            y=[] if column is None else [shorten(name) for name in subjects["subject"]],
            mode="markers",
            name=title,
            marker={"symbol": symbol, "size": 11},
            zorder=int(model == BLEND),
            customdata=subjects.select("fold", "sequences").to_numpy(),
            hovertemplate=(
                "%{y}: score %{x:.4f}<br>%{customdata[1]} sequences, fold %{customdata[0]}"
                "<extra>" + title + "</extra>"
            ),
            showlegend=column is not None,
        )
    figure.update_xaxes(title="Score (0 to 1)", automargin=True)
    return _lay_out_rows(figure, len(subjects))


def reliability_figure(bins: pl.DataFrame) -> go.Figure:
    """Draw accuracy against the predicted probability, and the number of sequences per bin.

    Args:
        bins: From ``calibration.reliability_table``.
    """
    percent = bins.with_columns(pl.exclude("sequences") * 100)
    accuracy = percent["accuracy"]
    figure = make_subplots(
        rows=2, shared_xaxes=True, row_heights=[0.74, 0.26], vertical_spacing=0.05
    )
    figure.add_scatter(
        x=percent["mean_probability"],
        y=accuracy,
        mode="lines+markers",
        name="Accuracy, with 95 % interval",
        marker={"size": 9},
        error_y={
            "array": percent["interval_high"] - accuracy,
            "arrayminus": accuracy - percent["interval_low"],
            **SPREAD,
        },
        customdata=percent.select("bin_low", "bin_high", "sequences").to_numpy(),
        hovertemplate=(
            "%{customdata[0]:.0f} to %{customdata[1]:.0f} %: mean probability %{x:.1f} %, "
            "accuracy %{y:.1f} %<br>%{customdata[2]:.0f} sequences<extra></extra>"
        ),
    )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name="Perfectly calibrated",
        line={"dash": "dash", "width": 1.5, "color": "gray"},
        hoverinfo="skip",
    )
    figure.add_bar(
        x=(percent["bin_low"] + percent["bin_high"]) / 2,
        y=percent["sequences"],
        width=9,
        showlegend=False,
        text=percent["sequences"],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x:.0f} ± 5 %: %{y} sequences<extra></extra>",
        row=2,
        col=1,
    )
    figure.update_xaxes(range=[0, 102], automargin=True)
    figure.update_xaxes(title="Probability of the predicted gesture, %", row=2, col=1)
    figure.update_yaxes(title="Accuracy, %", range=[0, 104], automargin=True, row=1, col=1)
    most = max(percent["sequences"].to_list())
    figure.update_yaxes(title="Sequences", range=[0, 1.35 * most], nticks=3, row=2, col=1)
    figure.update_layout(height=420, margin=MARGIN, legend=LEGEND_ABOVE)
    return figure


def _lay_out_rows(figure: go.Figure, num_rows: int) -> go.Figure:
    """Put the first row at the top, and a line under the marks of each."""
    rows = [num_rows - 0.5, -0.5]
    figure.update_yaxes(type="category", range=rows, automargin=True, showgrid=True)
    figure.update_xaxes(tickformat=".2~f")
    height = max(210, ROW_PX * num_rows + FRAME_PX + LEGEND_PX)
    legend = LEGEND_ABOVE | {"y": 1 + 6 / height}  # 6 pixels above, however many rows
    figure.update_layout(height=height, margin=MARGIN, legend=legend)
    return figure
