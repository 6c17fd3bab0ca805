"""Confusion matrix: which gestures are misclassified as which, and the sequences of each cell.

In: the evaluation of one model. Out: elements on the page. A click on a cell, a choice in the list
and a link to the page Predict all name the same thing: a cell, "true:predicted".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
import streamlit as st

from pages.ui.scores import score_columns
from pages.ui.scores.evaluation import ModelEvaluation, cached
from pages.ui.shared import frame, panels, words
from pages.ui.shared.charts_results import FRAME_PX, MARGIN, shorten
from pages.ui.shared.results import Floats, Integers

ALL = "misclassified"  # the choice that is not a cell
CELL = "scores_cell"
CHART = "scores_confusion"
SHARES, COUNTS = "Share of the true gesture, %", "Sequences"
NARROWING = ("predict_mode", "predict_kind", "predict_gesture")  # what may hide it on Predict
MAX_PAIRS = 12  # in the list; the CSV has all
NAMES_PX = 130  # turned names under the matrix
MAX_TEXT_CLASSES = 20  # with more the cells are too small for a number


def show_matrix(
    evaluation: ModelEvaluation, title: str, gestures: tuple[str, ...], num_targets: int
) -> None:
    """Show the confusion matrix; a click on a cell chooses it."""
    values = st.segmented_control(
        "Cells", [SHARES, COUNTS], required=True, key="scores_unit", default=SHARES
    )
    cells = pl.DataFrame(evaluation.count_KK, schema=list(gestures))
    cells = cells.insert_column(0, pl.Series("true", gestures))
    caption = f"{title}: true gesture (rows) against predicted gesture (columns)"
    with st.container(gap="xsmall"):
        panels.head(
            caption,
            cells,
            "confusion",
            f"{evaluation.num:,} sequences, out of fold. Lines separate targets from non-targets. "
            "Click a cell to list its sequences.",
        )
        st.plotly_chart(
            cached(
                ("confusion", *evaluation.key, values),
                lambda: panels.without_links(
                    confusion_figure(evaluation.count_KK, gestures, num_targets, values == SHARES)
                ),
            ),
            key=CHART,
            on_select=_choose_clicked,
            selection_mode="points",
            config=panels.PLOTLY_CONFIG,
            alt=f"{caption}. {describe(evaluation.pairs)}",
        )


def show_pairs(evaluation: ModelEvaluation, title: str) -> None:
    """Show which gestures are confused most."""
    panels.table(
        f"{title}: {describe(evaluation.pairs)}",
        evaluation.pairs.head(MAX_PAIRS),
        "pairs",
        score_columns.PAIRS,
        f"The {MAX_PAIRS} most frequent of {len(evaluation.pairs)} pairs of true and predicted "
        "gesture."
        if len(evaluation.pairs) > MAX_PAIRS
        else "",
        height="content",
    )


def show_sequences(
    evaluation: ModelEvaluation, title: str, gestures: tuple[str, ...], models: Sequence[str]
) -> None:
    """Show the sequences of the chosen cell, and lead to the page Predict."""
    texts = cell_texts(evaluation.count_KK, gestures)
    if st.session_state.get(CELL) not in texts:
        st.session_state[CELL] = ALL  # new predictions may have emptied the cell
    chosen = st.selectbox(
        "Sequences to list",
        list(texts),
        key=CELL,
        format_func=lambda cell: words.capital(texts.get(str(cell), str(cell))),
    )
    rows = of_cell(evaluation.predictions, chosen, gestures)
    if rows.is_empty():
        st.success(f"{title} classifies every sequence correctly.", icon=":material/check:")
        return
    with st.container(gap="xsmall"):
        panels.head(f"{title}: {texts[chosen]}, by probability", rows, "cell_sequences")
        event = st.dataframe(
            rows,
            hide_index=True,
            key="scores_sequences",
            on_select="rerun",
            selection_mode="single-row",
            column_config=score_columns.predictions(models),
            height=260 if len(rows) > 6 else "content",
            alt=f"{title}: {texts[chosen]}",
        )
    picked = event["selection"]["rows"]
    sequence_id = rows["sequence_id"][picked[0] if picked and picked[0] < len(rows) else 0]
    if st.button(
        frame.escape(f"Open {sequence_id} on the page Predict"),
        key="scores_to_predict",
        icon=":material/gesture:",
        help="Its signals, the prediction of each fold, and what explains it. Select a row to open "
        "another sequence.",
    ):
        for key in NARROWING:
            st.session_state.pop(key, None)
        st.session_state["predict_sequence"] = sequence_id
        st.switch_page("pages/predict.py", query_params={})  # without, it would clear the bound run


def cell_texts(count_KK: Integers, gestures: tuple[str, ...]) -> dict[str, str]:
    """Return the text of every cell with a sequence: misclassified first, frequent ones first."""
    num_wrong = int(count_KK.sum() - np.trace(count_KK))
    texts = {ALL: f"all {num_wrong:,} misclassified sequences"}
    filled = np.argwhere(count_KK)
    num = count_KK[filled[:, 0], filled[:, 1]]
    for true, predicted in filled[np.lexsort((-num, filled[:, 0] == filled[:, 1]))].tolist():
        name, count = gestures[true], count_KK[true, predicted]
        texts[f"{true}:{predicted}"] = (
            f"{name}, correct ({count})"
            if true == predicted
            else f"{name}, misclassified as {gestures[predicted]} ({count})"
        )
    return texts


def of_cell(predictions: pl.DataFrame, cell: str, gestures: tuple[str, ...]) -> pl.DataFrame:
    """Return the sequences of a cell, or all misclassified ones, the most probable first."""
    if cell == ALL:
        rows = predictions.filter(pl.col("true") != pl.col("predicted"))
    else:
        true, predicted = map(int, cell.split(":"))
        rows = predictions.filter(true=gestures[true], predicted=gestures[predicted])
    return rows.sort("probability", descending=True)


def clicked_cell(points: list[dict[str, Any]]) -> str:
    """Return the cell of a click on the matrix; a click beside it chooses all misclassified."""
    if not points:
        return ALL
    true, predicted = points[0]["customdata"][:2]
    return f"{true}:{predicted}"


def describe(pairs: pl.DataFrame) -> str:
    """Return in words which gestures are confused most."""
    if pairs.is_empty():
        return "no gesture is misclassified"
    row = pairs.row(0, named=True)
    return (
        f"{row['true']} is most often misclassified as {row['predicted']}, "
        f"{row['count']} times ({row['share']:.0f}{words.NO_BREAK}% of its sequences)"
    )


def confusion_figure(
    count_KK: Integers, gestures: Sequence[str], num_targets: int, as_shares: bool
) -> go.Figure:
    """Draw the confusion matrix; rows are the true class, columns the predicted one.

    Streamlit reports clicks on points only, not on cells: an invisible point lies on each cell that
    has a sequence. The clicked one is framed; its customdata is true and predicted class.

    Args:
        count_KK: (K, K) counts.
        gestures: K names, targets first.
        num_targets: Where the line between targets and non-targets runs.
        as_shares: Shares of each true gesture in percent instead of counts.
    """
    share_KK = 100.0 * count_KK / np.maximum(count_KK.sum(axis=1, keepdims=True), 1)
    num = len(gestures)
    figure = go.Figure(
        go.Heatmap(
            z=share_KK if as_shares else count_KK,
            text=_cell_numbers(count_KK, share_KK, as_shares),
            texttemplate="%{text}" if num <= MAX_TEXT_CLASSES else None,
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
    axis |= {"ticktext": [shorten(name) for name in gestures], "tickfont": {"size": 11}}
    figure.update_xaxes(title="Predicted gesture", range=[-0.5, num - 0.5], tickangle=-90, **axis)
    figure.update_yaxes(range=[num - 0.5, -0.5], **axis)
    height = max(300, 28 * num + NAMES_PX + FRAME_PX)
    figure.update_layout(height=height, margin=MARGIN, dragmode=False, showlegend=False)
    return figure


def _click_points(count_KK: Integers, share_KK: Floats, gestures: Sequence[str]) -> go.Scatter:
    cells = np.argwhere(count_KK)
    return go.Scatter(
        x=cells[:, 1],
        y=cells[:, 0],
        mode="markers",
        marker={"symbol": "square-open", "size": 24, "opacity": 0, "line": {"width": 3}},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        customdata=[
            [int(true), int(predicted), gestures[true], gestures[predicted]]
            for true, predicted in cells
        ],
        hovertext=[
            f"{count_KK[true, predicted]} sequences, "
            f"{share_KK[true, predicted]:.1f} % of the true gesture"
            for true, predicted in cells
        ],
        hovertemplate=(
            "true: %{customdata[2]}<br>predicted: %{customdata[3]}<br>%{hovertext}<extra></extra>"
        ),
    )


def _cell_numbers(count_KK: Integers, share_KK: Floats, as_shares: bool) -> list[list[str]]:
    """Return the text in each cell; none in empty ones, so that confusions stand out."""
    return [
        [
            "" if count == 0 else _share_text(share) if as_shares else str(count)
            for count, share in zip(counts, shares, strict=True)
        ]
        for counts, shares in zip(count_KK.tolist(), share_KK.tolist(), strict=True)
    ]


def _share_text(share: float) -> str:
    return f"{share:.0f}" if share >= 0.5 else "<1"


def _choose_clicked() -> None:
    st.session_state[CELL] = clicked_cell(st.session_state[CHART]["selection"]["points"])
