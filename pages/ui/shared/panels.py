"""Panels: a chart or a table under a title that states what it shows, with its CSV download.

In: a title, a figure, the frame it was drawn from. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from pages.ui.shared import frame

if TYPE_CHECKING:
    import altair as alt

    LayeredChart = alt.LayerChart | alt.FacetChart

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
        st.plotly_chart(figure, key=f"chart_{name}", config=PLOTLY_CONFIG, alt=title)


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
        data=lambda: data.write_csv().encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"download_{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        width="content",
        help=f"Download: {title}",
    )
    if note:
        st.caption(frame.escape(note))
