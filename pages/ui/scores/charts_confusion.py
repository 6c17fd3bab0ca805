"""Figure of the confusion: which gestures are taken for which, with cells that can be clicked.

In: counts. Out: a Plotly figure without title, its colours left to the theme. No Streamlit.

Shapes: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from pages.ui.shared.charts_results import FRAME_PX, MARGIN, shorten


def numbered(gestures: Sequence[str]) -> list[str]:
    """Return the names with the number that stands for them on the other axis."""
    return [f"{shorten(name)}  {number}" for number, name in enumerate(gestures, start=1)]


def confusion_figure(
    count_KK: np.ndarray, gestures: Sequence[str], num_targets: int, as_shares: bool
) -> go.Figure:
    """Draw the confusion matrix; rows are the truth, columns the answer.

    Streamlit tells of clicks on points only, not on cells: an unseen point lies on each cell that
    holds a sequence. The clicked one is framed; its customdata is true and predicted class.

    Args:
        count_KK: (K, K) counts.
        gestures: K names, targets first.
        num_targets: Where the line between targets and non-targets runs.
        as_shares: Shares of each true gesture in percent instead of counts.
    """
    total_K1 = count_KK.sum(axis=1, keepdims=True)
    share_KK = 100.0 * count_KK / np.maximum(total_K1, 1)
    num = len(gestures)
    figure = go.Figure(
        go.Heatmap(
            z=share_KK if as_shares else count_KK,
            text=_cell_texts(count_KK, share_KK, as_shares),
            texttemplate="%{text}" if num <= 20 else None,
            hoverinfo="skip",
            xgap=1,
            ygap=1,
            showscale=False,
        )
    )
    figure.add_trace(_click_points(count_KK, share_KK, gestures))
    edge = num_targets - 0.5
    for line in (
        {"x0": edge, "x1": edge, "y0": -0.5, "y1": num - 0.5},
        {"x0": -0.5, "x1": num - 0.5, "y0": edge, "y1": edge},
    ):
        figure.add_shape(type="line", line={"width": 2, "color": "gray"}, **line)
    axis = {"tickmode": "array", "tickvals": list(range(num)), "showgrid": False}
    axis |= {"zeroline": False, "automargin": True, "fixedrange": True}
    figure.update_xaxes(
        title="Predicted gesture, by number",
        ticktext=[str(number) for number in range(1, num + 1)],
        range=[-0.5, num - 0.5],
        **axis,
    )
    figure.update_yaxes(ticktext=numbered(gestures), range=[num - 0.5, -0.5], **axis)
    height = max(300, 32 * num + FRAME_PX)
    figure.update_layout(height=height, margin=MARGIN, dragmode=False, showlegend=False)
    return figure


def _click_points(
    count_KK: np.ndarray, share_KK: np.ndarray, gestures: Sequence[str]
) -> go.Scatter:
    cells = np.argwhere(count_KK)
    return go.Scatter(
        x=cells[:, 1],
        y=cells[:, 0],
        mode="markers",
        marker={"symbol": "square-open", "size": 24, "opacity": 0, "line": {"width": 3}},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        customdata=[
            [int(true), int(guess), gestures[true], gestures[guess]] for true, guess in cells
        ],
        hovertext=[
            f"{count_KK[true, guess]} sequences, {share_KK[true, guess]:.1f} % of the true ones"
            for true, guess in cells
        ],
        hovertemplate=(
            "true: %{customdata[2]}<br>predicted: %{customdata[3]}<br>%{hovertext}<extra></extra>"
        ),
    )


def _cell_texts(count_KK: np.ndarray, share_KK: np.ndarray, as_shares: bool) -> list[list[str]]:
    """Return what stands in the cells; nothing in empty ones, so that mistakes stand out."""
    return [
        [
            "" if count == 0 else _share_text(share) if as_shares else str(count)
            for count, share in zip(counts, shares, strict=True)
        ]
        for counts, shares in zip(count_KK.tolist(), share_KK.tolist(), strict=True)
    ]


def _share_text(share: float) -> str:
    return f"{share:.0f}" if share >= 0.5 else "<1"
