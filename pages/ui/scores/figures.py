"""Figures that are drawn once per version of what they show: drawing costs more than the numbers.

In: what is drawn and of what, a function that draws it. Out: the figure. What is returned is
shared: never change it in place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

T = TypeVar("T")

MAX_FIGURES = 128  # of some 20 kB each


@st.cache_resource(max_entries=MAX_FIGURES, show_spinner=False)
def drawn(key: tuple[Hashable, ...], _draw: Callable[[], T]) -> T:
    """Return the figure of this key; draws it at the first call.

    Args:
        key: Names the figure and the version of everything it shows.
        _draw: Draws it.
    """
    return _draw()
