"""Figures of results: confusion, scores by fold and subject, blend weights, importance, answers.

In: a frame. Out: a Plotly figure without title (the page writes it above, where it wraps) and
without colours (the theme gives them, in both its light and its dark form). No Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from pages.ui import words

ROW_PX = 26  # height of one bar with its gap
FRAME_PX = 76  # axis, its title and margins
MAX_LABEL = 24  # characters of a name on an axis; all of it on hover
MARGIN = {"l": 8, "r": 12, "t": 8, "b": 8}
SPREAD = {"type": "data", "thickness": 1.2, "width": 3, "color": "gray"}  # over the folds
LEGEND_ABOVE = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "title": None}


def shorten(text: str, limit: int = MAX_LABEL) -> str:
    """Return a name that fits on an axis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def numbered(gestures: Sequence[str]) -> list[str]:
    """Return the names with the number that stands for them on the other axis."""
    return [f"{shorten(name)}  {number}" for number, name in enumerate(gestures, start=1)]


def confusion_figure(
    count_KK: np.ndarray, gestures: Sequence[str], num_targets: int, as_shares: bool
) -> go.Figure:
    """Draw the confusion matrix; rows are the truth, columns the answer.

    Args:
        count_KK: (K, K) counts.
        gestures: K names, targets first.
        num_targets: Where the line between targets and non-targets runs.
        as_shares: Shares of each true gesture in percent instead of counts.
    """
    total_K1 = count_KK.sum(axis=1, keepdims=True)
    share_KK = 100.0 * count_KK / np.maximum(total_K1, 1)
    value_KK = share_KK if as_shares else count_KK
    num = len(gestures)
    hover = np.array([[[true, guess] for guess in gestures] for true in gestures])
    figure = go.Figure(
        go.Heatmap(
            z=value_KK,
            x=[str(number) for number in range(1, num + 1)],
            y=numbered(gestures),
            text=_cell_texts(count_KK, share_KK, as_shares),
            texttemplate="%{text}" if num <= 20 else None,
            customdata=np.concatenate(
                [hover, count_KK[..., None].astype(str), share_KK.round(1)[..., None].astype(str)],
                axis=2,
            ),
            hovertemplate=(
                "true: %{customdata[0]}<br>predicted: %{customdata[1]}<br>"
                "%{customdata[2]} sequences, %{customdata[3]} % of the true ones<extra></extra>"
            ),
            xgap=1,
            ygap=1,
            showscale=False,
        )
    )
    edge = num_targets - 0.5
    for line in (
        {"x0": edge, "x1": edge, "y0": -0.5, "y1": num - 0.5},
        {"x0": -0.5, "x1": num - 0.5, "y0": edge, "y1": edge},
    ):
        figure.add_shape(type="line", line={"width": 2, "color": "gray"}, **line)
    figure.update_xaxes(
        title="Predicted gesture, by number",
        type="category",
        showgrid=False,
        automargin=True,
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, automargin=True)
    figure.update_layout(height=max(300, 32 * num + FRAME_PX), margin=MARGIN)
    return figure


def fold_figure(fold_rows: pl.DataFrame) -> go.Figure:
    """Draw each fold's score, one marker per model; frame from ``results.fold_table``."""
    figure = go.Figure()
    symbols = {"LightGBM": "circle", "Network": "diamond", "Blend": "square"}
    for model, symbol in symbols.items():
        rows = fold_rows.filter(pl.col("model") == model)
        figure.add_scatter(
            x=[f"Fold {fold}" for fold in rows["fold"]],
            y=rows["score"],
            name=model,
            mode="markers",
            marker={"symbol": symbol, "size": 12},
            customdata=rows.select("accuracy", "sequences").to_numpy(),
            hovertemplate=(
                "%{x}: score %{y:.4f}<br>accuracy %{customdata[0]:.4f}, "
                "%{customdata[1]} sequences<extra>" + model + "</extra>"
            ),
            showlegend=len(rows) > 0,
        )
    figure.update_yaxes(title="Score (0 to 1)", tickformat=".2f", automargin=True)
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=[f"Fold {fold}" for fold in sorted(set(fold_rows["fold"].to_list()))],
    )
    figure.update_layout(height=300, margin=MARGIN, legend=LEGEND_ABOVE)
    return figure


def subject_figure(subjects: pl.DataFrame) -> go.Figure:
    """Draw the score of every subject, the hardest at the top."""
    figure = go.Figure(
        go.Bar(
            x=subjects["score"],
            y=[shorten(name) for name in subjects["subject"]],
            orientation="h",
            text=[f"{score:.2f}" for score in subjects["score"]],
            customdata=subjects.select("accuracy", "sequences", "fold").to_numpy(),
            hovertemplate=(
                "%{y}: score %{x:.4f}<br>accuracy %{customdata[0]:.4f}<br>"
                "%{customdata[1]:.0f} sequences, fold %{customdata[2]:.0f}<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(title="Score (0 to 1)", range=[0, 1.02], automargin=True)
    return _lay_out_bars(figure, len(subjects))


def weight_figure(curve: pl.DataFrame, used_weight: float) -> go.Figure:
    """Draw the score against LightGBM's share of the blend, with the share in use marked."""
    figure = go.Figure(
        go.Scatter(
            x=curve["lgbm_weight"],
            y=curve["score"],
            mode="lines",
            customdata=curve.select("accuracy").to_numpy(),
            hovertemplate=(
                "LightGBM %{x:.3f}<br>score %{y:.4f}<br>accuracy %{customdata[0]:.4f}"
                "<extra></extra>"
            ),
        )
    )
    figure.add_vline(
        x=used_weight,
        line={"dash": "dash", "width": 1.5, "color": "gray"},
        annotation_text=f"in use: {used_weight:g}",
        annotation_position="bottom right",
    )
    figure.update_xaxes(
        title="Weight of LightGBM, the rest is the network's",
        range=[-0.01, 1.01],
        automargin=True,
    )
    figure.update_yaxes(title="Out-of-fold score", tickformat=".3f", automargin=True)
    figure.update_layout(height=320, margin=MARGIN, showlegend=False)
    return figure


def importance_figure(rows: pl.DataFrame, label: str, unit: str) -> go.Figure:
    """Draw mean importance with its spread over the folds, the most important at the top.

    Args:
        rows: Columns ``label``, ``mean``, ``std``.
        label: The column that names a bar.
        unit: What the horizontal axis measures.
    """
    names = rows[label].to_list()
    figure = go.Figure(
        go.Bar(
            x=rows["mean"],
            y=list(range(len(names))),
            orientation="h",
            error_x=_spread(rows["mean"], rows["std"]),
            customdata=np.column_stack([names, rows["std"].round(3).cast(pl.String).to_list()]),
            hovertemplate=(
                "%{customdata[0]}<br>mean %{x:.4g}, spread over folds %{customdata[1]}"
                "<extra></extra>"
            ),
        )
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(name, 34) for name in names],
    )
    figure.update_xaxes(title=unit, rangemode="tozero", automargin=True)
    return _lay_out_bars(figure, len(names))


def grid_figure(grid_88: np.ndarray, highest: float) -> go.Figure:
    """Draw one time-of-flight sensor's importance, 8 x 8 pixels seen as in the schema."""
    figure = go.Figure(
        go.Heatmap(
            z=grid_88,
            zmin=0,
            zmax=highest,
            xgap=1,
            ygap=1,
            showscale=False,
            x=list(range(8)),
            y=list(range(8)),
            hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", scaleanchor="x", title="Row", showgrid=False, dtick=1)
    figure.update_xaxes(title="Column", showgrid=False, dtick=1, constrain="domain")
    figure.update_layout(height=230, margin=MARGIN)
    return figure


def answer_figure(answer: pl.DataFrame) -> go.Figure:
    """Draw the most probable gestures: a bar for the blend, a mark for each model.

    Args:
        answer: Columns gesture, blend, and one per model that answered.
    """
    percent = answer.with_columns(pl.exclude("gesture") * 100)
    labels = [
        f"{shorten(name)}  <b>{value:.1f} %</b>"
        for name, value in percent.select("gesture", "blend").iter_rows()
    ]
    figure = go.Figure(
        go.Bar(
            x=percent["blend"],
            y=labels,
            orientation="h",
            name="Blend",
            hovertemplate="%{x:.2f} %<extra>Blend</extra>",
        )
    )
    for model, symbol in (("lgbm", "circle"), ("torch", "diamond")):
        if model in percent.columns:
            title = words.MODELS[model]
            figure.add_scatter(
                x=percent[model],
                y=labels,
                mode="markers",
                name=title,
                marker={"symbol": symbol, "size": 11, "line": {"width": 1.5, "color": "white"}},
                hovertemplate="%{x:.2f} %<extra>" + title + "</extra>",
            )
    figure.update_xaxes(title="Probability, %", range=[0, 104], automargin=True)
    figure.update_layout(legend=LEGEND_ABOVE, barmode="overlay")
    return _lay_out_bars(figure, len(labels) + 1)


def count_figure(rows: pl.DataFrame, label: str, unit: str) -> go.Figure:
    """Draw one bar per row of a frame with columns ``label`` and ``count``."""
    return _named_bars(rows[label], rows["count"], [str(count) for count in rows["count"]], unit)


def share_figure(rows: pl.DataFrame, label: str, unit: str) -> go.Figure:
    """Draw one bar per row of a frame with columns ``label``, ``share`` and ``std``, in percent."""
    texts = [f"{share:.1f} %" for share in rows["share"]]
    figure = _named_bars(rows[label], rows["share"], texts, unit)
    if rows["std"].null_count() == 0:
        figure.data[0].error_x = _spread(rows["share"], rows["std"])
        figure.update_traces(text=None)  # it would lie under the spread
    return figure


def _named_bars(names: pl.Series, values: pl.Series, texts: list[str], unit: str) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(names))),
            orientation="h",
            text=texts,
            customdata=[str(name) for name in names],
            hovertext=texts,
            hovertemplate="%{customdata}: %{hovertext}<extra></extra>",
        )
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[shorten(str(name)) for name in names],
    )
    figure.update_xaxes(title=unit, rangemode="tozero", automargin=True)
    return _lay_out_bars(figure, len(names))


def _spread(mean: pl.Series, std: pl.Series) -> dict[str, object]:
    """Return error bars of one standard deviation that stop at 0, as importance does."""
    below = [min(low, high) for low, high in zip(mean, std, strict=True)]
    return {"array": std.to_list(), "arrayminus": below, "symmetric": False, **SPREAD}


def _cell_texts(count_KK: np.ndarray, share_KK: np.ndarray, as_shares: bool) -> list[list[str]]:
    """Return what stands in the cells; nothing in empty ones, so that mistakes stand out."""
    return [
        [
            "" if count == 0 else f"{share:.0f}" if as_shares else str(count)
            for count, share in zip(counts, shares, strict=True)
        ]
        for counts, shares in zip(count_KK.tolist(), share_KK.tolist(), strict=True)
    ]


def _lay_out_bars(figure: go.Figure, num_bars: int) -> go.Figure:
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    if figure.data[0].text is not None:
        figure.update_traces(selector={"type": "bar"}, textposition="auto", cliponaxis=False)
    figure.update_layout(height=ROW_PX * num_bars + FRAME_PX, margin=MARGIN)
    return figure
