"""Figures of blend weights: the score of two models by weight, of three over a triangle.

In: a frame. Out: a Plotly figure, as in ``score_figures``. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go
import polars as pl

from pages.ui.shared.charts_results import LEGEND_ABOVE, MARGIN, shorten
from trainer.models.base import Model

MAX_TITLE, TITLE_PX = 16, 64  # characters of a title at a corner; half of its width
FAINT = "rgba(128,128,128,0.3)"  # lines behind the points, on a light and on a dark background


def weight_figure(
    curve: pl.DataFrame, titles: tuple[str, str], used: tuple[float, float], best: int
) -> go.Figure:
    """Draw the score of the blend of two models against the first one's weight.

    Args:
        curve: From ``blend_weights.weight_curve``.
        titles: Of the two models.
        used: The weight in use, which is marked, and its score.
        best: The row of the curve's best score.
    """
    weights, scores = curve["weight"], curve["score"]
    figure = go.Figure()
    for name, x, y, look in (
        ("Any other weight", weights, scores, {"mode": "lines"}),
        (f"In use, {used[0]:g} : {1 - used[0]:g}", used[:1], used[1:], _mark("square")),
        (
            "Highest score",
            weights[best : best + 1],
            scores[best : best + 1],
            _mark("star"),
        ),
    ):
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            hovertemplate=titles[0] + " %{x:.3f}, score %{y:.4f}<extra></extra>",
            **look,
        )
    figure.add_vline(x=used[0], line={"dash": "dash", "width": 1.5, "color": "gray"})
    figure.update_xaxes(
        title=f"Weight of {titles[0]}; {titles[1]} has the rest",
        range=[-0.02, 1.02],
        automargin=True,
    )
    figure.update_yaxes(title="Out-of-fold score", tickformat=".3f", automargin=True)
    figure.update_layout(height=320, margin=MARGIN, legend=LEGEND_ABOVE)
    return figure


def triangle_figure(
    triangle: pl.DataFrame,
    models: Sequence[Model],
    used: tuple[Mapping[str, float], float],
    chosen: Mapping[int, Mapping[str, float]],
    best: int,
) -> go.Figure:
    """Draw the score of the blend of three models at every point of a triangle of weights.

    Args:
        triangle: From ``blend_weights.weight_triangle``.
        models: The three models.
        used: The weights in use, which are marked, and their score.
        chosen: Fold to the weights with the highest score on the other folds.
        best: The row of the highest score.
    """
    names = [model.name for model in models]
    folds_of: dict[tuple[float, ...], list[int]] = {}
    for fold, weights in chosen.items():
        folds_of.setdefault(tuple(weights[name] for name in names), []).append(fold)
    hover = "<br>".join(
        f"{model.title} %{{{corner}:.3f}}" for model, corner in zip(models, "abc", strict=True)
    )
    figure = go.Figure()
    for title, rows, texts, marker in (
        ("Any other weights", triangle.select(names).rows(), None, _dots(triangle["score"])),
        (
            f"In use, {ratio(used[0].values())}",
            [tuple(used[0][name] for name in names)],
            [f"in use, score {used[1]:.4f}"],
            {"symbol": "square-open"},
        ),
        (
            "Chosen on the other folds",
            list(folds_of),
            [f"chosen for fold {', '.join(map(str, folds))}" for folds in folds_of.values()],
            {"symbol": "diamond-open"},
        ),
        (
            "Highest score",
            triangle.select(names).rows()[best : best + 1],
            [f"highest score, {triangle['score'][best]:.4f}"],
            {"symbol": "star", "line": {"width": 0}},
        ),
    ):
        corners = dict(zip("abc", zip(*rows, strict=True), strict=True)) if rows else {}
        figure.add_scatterternary(
            **corners,
            name=title,
            mode="markers",
            text=texts or [f"score {score:.4f}" for score in triangle["score"]],
            marker={"size": 13, "line": {"width": 2}, **marker},
            hovertemplate=hover + "<br>%{text}<extra></extra>",
            showlegend=bool(rows),
            cliponaxis=False,  # else points on an edge are cut in half
        )
    return _lay_out_triangle(figure, models)


def ratio(weights: Iterable[float]) -> str:
    """Write weights as 0.4 : 0.6."""
    return " : ".join(f"{weight:.3g}" for weight in weights)


def _lay_out_triangle(figure: go.Figure, models: Sequence[Model]) -> go.Figure:
    lines = {"gridcolor": FAINT, "linecolor": "gray", "tickformat": ".1f", "nticks": 5}
    axes = {
        f"{corner}axis": {"title": {"text": shorten(model.title, MAX_TITLE)}, **lines}
        for model, corner in zip(models, "abc", strict=True)
    }
    return figure.update_layout(
        ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes},
        height=440,
        margin={"l": TITLE_PX, "r": 24, "t": 56, "b": 40},
        legend=LEGEND_ABOVE | {"y": 1.12},
    )


def _dots(scores: pl.Series) -> dict[str, object]:
    bar = {"title": {"text": "Score"}, "thickness": 12, "len": 0.7, "tickformat": ".3f"}
    line = {"width": 0.5, "color": "gray"}
    return {"symbol": "circle", "color": scores, "colorbar": bar, "showscale": True, "line": line}


def _mark(symbol: str) -> dict[str, object]:
    return {"mode": "markers", "marker": {"symbol": symbol, "size": 13}}
