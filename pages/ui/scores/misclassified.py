"""Mistakes: which gestures are taken for which, and the sequences behind a cell of the matrix.

In: a close-up of one model. Out: elements on the page. A click on a cell, a choice in the list
and a link to the page Predict all name the same thing: a cell, "true:predicted".
"""

from __future__ import annotations

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.scores import charts_confusion, figures, score_columns
from pages.ui.scores.scoreboard import CloseUp
from pages.ui.shared import frame, panels, words

ALL = "mistakes"  # the choice that is no cell
CELL = "scores_cell"
CHART = "scores_confusion"
SHARES, COUNTS = "Share of the true gesture, %", "Sequences"
NARROWING = ("predict_mode", "predict_kind", "predict_gesture")  # what may hide it on Predict
MAX_PAIRS = 12  # in the list; the CSV has all


def matrix(view: CloseUp, title: str, gestures: tuple[str, ...], num_targets: int) -> None:
    """Show the confusion matrix; a click on a cell chooses it."""
    unit = st.segmented_control(
        "Cells", [SHARES, COUNTS], required=True, key="scores_unit", default=SHARES
    )
    cells = pl.DataFrame(view.count_KK, schema=list(gestures))
    cells = cells.insert_column(0, pl.Series("true", gestures))
    caption = f"{title}: true gesture (rows) against predicted gesture (columns)"
    with st.container(gap="xsmall"):
        panels.head(
            caption,
            cells,
            "confusion",
            f"{view.num:,} sequences, out of fold. The lines part targets from non-targets. "
            "Click a cell to see its sequences.",
        )
        st.plotly_chart(
            figures.drawn(
                ("confusion", *view.key, unit),
                lambda: charts_confusion.confusion_figure(
                    view.count_KK, gestures, num_targets, unit == SHARES
                ),
            ),
            key=CHART,
            on_select=_choose_clicked,
            selection_mode="points",
            config=panels.PLOTLY_CONFIG,
            alt=f"{caption}. {confused_text(view.pairs)}",
        )


def pairs(view: CloseUp, title: str) -> None:
    """Show which gestures are confused most."""
    panels.table(
        f"{title}: {confused_text(view.pairs)}",
        view.pairs.head(MAX_PAIRS),
        "pairs",
        score_columns.PAIRS,
        f"The {MAX_PAIRS} most frequent of {len(view.pairs)} kinds of mistake."
        if len(view.pairs) > MAX_PAIRS
        else "",
        height="content",
    )


def sequences(view: CloseUp, title: str, gestures: tuple[str, ...]) -> None:
    """Show the sequences of the chosen cell, and lead to the page Predict."""
    texts = cell_texts(view, gestures)
    if st.session_state.get(CELL) not in texts:
        st.session_state[CELL] = ALL  # new answers may have emptied the cell
    chosen = st.selectbox(
        "Sequences to look at",
        list(texts),
        key=CELL,
        format_func=lambda cell: words.capital(texts.get(cell, cell)),
    )
    rows = of_cell(view.answers, chosen, gestures)
    if rows.is_empty():
        st.success(f"{title} makes no mistake on these sequences.", icon=":material/check:")
        return
    with st.container(gap="xsmall"):
        panels.head(f"{title}: {texts[chosen]}, the surest first", rows, "cell_sequences")
        event = st.dataframe(
            rows,
            hide_index=True,
            key="scores_sequences",
            on_select="rerun",
            selection_mode="single-row",
            column_config=score_columns.ANSWERS,
            height=260 if len(rows) > 6 else "content",
            alt=f"{title}: {texts[chosen]}",
        )
    picked = event["selection"]["rows"]
    sequence_id = rows["sequence_id"][picked[0] if picked and picked[0] < len(rows) else 0]
    if st.button(
        frame.escape(f"Look at {sequence_id} on the page Predict"),
        key="scores_to_predict",
        icon=":material/gesture:",
        help="Its traces, what each fold's models say, and why. Select a row for another one.",
    ):
        for key in NARROWING:
            st.session_state.pop(key, None)
        st.session_state["predict_sequence"] = sequence_id
        st.switch_page("pages/predict.py", query_params={})  # without, it would clear the bound run


def cell_texts(view: CloseUp, gestures: tuple[str, ...]) -> dict[str, str]:
    """Return every cell that holds a sequence, in words: mistakes first, frequent ones first."""
    count_KK = view.count_KK
    wrong = int(count_KK.sum() - np.trace(count_KK))
    texts = {ALL: f"all {wrong:,} mistakes"}
    filled = np.argwhere(count_KK)
    num = count_KK[filled[:, 0], filled[:, 1]]
    for true, guess in filled[np.lexsort((-num, filled[:, 0] == filled[:, 1]))].tolist():
        name, count = gestures[true], count_KK[true, guess]
        texts[f"{true}:{guess}"] = (
            f"{name}, right ({count})"
            if true == guess
            else f"{name}, taken for {gestures[guess]} ({count})"
        )
    return texts


def of_cell(answers: pl.DataFrame, cell: str, gestures: tuple[str, ...]) -> pl.DataFrame:
    """Return the sequences of a cell, or all mistakes, the surest first."""
    if cell == ALL:
        rows = answers.filter(pl.col("true") != pl.col("predicted"))
    else:
        true, guess = map(int, cell.split(":"))
        rows = answers.filter(true=gestures[true], predicted=gestures[guess])
    return rows.sort("probability", descending=True)


def clicked_cell(points: list[dict]) -> str:
    """Return the cell of a click on the matrix; a click beside it chooses all mistakes."""
    if not points:
        return ALL
    true, guess = points[0]["customdata"][:2]
    return f"{true}:{guess}"


def confused_text(table: pl.DataFrame) -> str:
    """Say which gestures are confused most."""
    if table.is_empty():
        return "no gesture is taken for another"
    row = table.row(0, named=True)
    return (
        f"{row['true']} is most often taken for {row['predicted']}, "
        f"{row['count']} times, {row['share']:.0f} % of it"
    )


def _choose_clicked() -> None:
    st.session_state[CELL] = clicked_cell(st.session_state[CHART]["selection"]["points"])
