"""Panels: a chart or a table under a title that states what it shows, with its CSV download.

In: a title, a figure, the frame it was drawn from. Out: elements on the page.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl
import streamlit as st
from plotly.basedatatypes import BasePlotlyType

from pages.ui.shared import frame
from trainer.data.spreadsheet import spreadsheet_csv

if TYPE_CHECKING:
    import altair as alt

    LayeredChart = alt.LayerChart | alt.FacetChart

_TAG = re.compile(r"<(?!/?(?:br|b|extra)>)")
_FIGURE_TEXTS = (
    *("x", "y", "text", "hovertext", "customdata", "name", "hovertemplate", "texttemplate"),
    *("ticktext", "categoryarray"),
)
CHART_AND_TABLE = (2, 3)  # widths beside each other: a table of several numbers needs more
PLOTLY_CONFIG = {"displayModeBar": False, "displaylogo": False}


def chart(title: str, figure: go.Figure, data: pl.DataFrame, name: str, note: str = "") -> None:
    """Show a figure under its title.

    Args:
        title: States what the figure shows.
        figure: Without a title of its own: this one wraps on a narrow screen.
        data: The data of the figure, for the download.
        name: Of the download's file and of the element, unique on the page.
        note: One sentence under the title, or "".
    """
    with st.container(gap="xsmall"):
        head(title, data, name, note)
        st.plotly_chart(without_links(figure), key=f"chart_{name}", config=PLOTLY_CONFIG, alt=title)


def altair_chart(
    title: str, figure: LayeredChart, data: pl.DataFrame, name: str, note: str = ""
) -> None:
    """Show an Altair figure under its title; arguments as for ``chart``."""
    with st.container(gap="xsmall"):
        head(title, data, name, note)
        st.altair_chart(figure, key=f"chart_{name}", alt=title)


def table(
    title: str,
    data: pl.DataFrame,
    name: str,
    columns: Mapping[str, Any],
    note: str = "",
    height: int | Literal["content", "auto"] = "auto",
) -> None:
    """Show a table under its title; arguments as for ``chart``, ``columns`` as column_config."""
    with st.container(gap="xsmall"):
        head(title, data, name, note)
        st.dataframe(
            data,
            hide_index=True,
            column_config=dict(columns),
            height=height,
            alt=title,
            placeholder="",
        )


def without_links(figure: go.Figure) -> go.Figure:
    """Return a figure in whose texts only line breaks and bold type are markup.

    Plotly reads a few HTML tags in every text, links and styles among them, and names come from
    files.
    """

    def change(part: BasePlotlyType) -> None:
        for name in _FIGURE_TEXTS:
            if name in part and (value := part[name]) is not None:
                plain = _without_tags(value)
                if plain is not value:
                    part[name] = plain

    figure.for_each_trace(change)
    figure.for_each_xaxis(change)
    figure.for_each_yaxis(change)
    return figure


def _without_tags(value: object) -> object:
    """Return a text, or texts in lists or arrays; the value itself where it has no such tag."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value) if "<" in value else value
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        items = value.tolist()
        return plain if (plain := _without_tags(items)) is not items else value
    if isinstance(value, list | tuple):
        plain = [_without_tags(item) for item in value]
        return plain if any(map(operator.is_not, plain, value)) else value
    return value


def head(title: str, data: pl.DataFrame, name: str, note: str = "") -> None:
    """Show the title line: the title on the left, the download on the right."""
    line = st.container(
        horizontal=True,
        wrap=False,  # a long title wraps, not its button
        horizontal_alignment="distribute",
        vertical_alignment="center",
    )
    line.markdown(f"**{frame.escape(title)}**")
    line.download_button(
        "CSV",
        data=lambda: spreadsheet_csv(data).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"download_{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        width="content",
        help=frame.escape(f"Download: {title}"),
    )
    if note:
        st.caption(frame.escape(note))
