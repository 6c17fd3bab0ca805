"""Curves: loss, score and learning rate of every fold while it trains, live or held still.

In: the points of a run. Out: one chart per model under its newest point, with its CSV. "Paused"
freezes the charts, to drag and zoom, while the rest of the page is updated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui.shared import charts, frame, panels, words
from pages.ui.shared.readers import RunView
from trainer.models import registry

LIVE, PAUSED = "Live", "Paused"
ZOOM_HINT = "Drag to move, Shift and mouse wheel to zoom, double-click to reset."
MIN_COLUMNS = 2  # a single chart across a wide page would be flat

_HELD = "curves_held"


@dataclass(frozen=True)
class Held:
    """The data of the charts when they were paused.

    Attributes:
        run: Of which run.
        at: When, in seconds since 1970.
        points: Of all curves.
        resumed_at: Per model.
    """

    run: str
    at: float
    points: pl.DataFrame
    resumed_at: dict[str, list[float]]


def show(run: RunView, is_active: bool) -> None:
    """Show the curves of each model of a run.

    Args:
        run: The content of its files.
        is_active: Whether new points are expected; if not, there is nothing to pause.
    """
    st.subheader("Curves", anchor=False)
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    with line:
        name = pick("curve", persist_state="session")
        if is_active:
            _switch()
    held = _hold(run) if is_active and st.session_state.get("curves_mode") == PAUSED else None
    if held is None:
        st.session_state.pop(_HELD, None)
    now = held or Held(run.reader.name, time.time(), run.points, run.resumed_at)
    st.caption(_state_text(held, is_active))
    for place, model in zip(columns(len(run.models)), run.models, strict=False):
        with place, st.container(gap="xsmall"):
            _chart(run, now, model, name, can_zoom=held is not None or not is_active)


def columns(num_models: int) -> list[DeltaGenerator]:
    """Return a column of the page for each model's chart; perhaps one more."""
    return st.columns(max(num_models, MIN_COLUMNS), gap="large")


def pick(key: str, **options: Any) -> str:  # noqa: ANN401 - the widget's own
    """Show the choice of the curve; return its name in ``charts.CURVES``."""
    choice: str = st.segmented_control(
        "Curve",
        list(charts.CURVES),
        default="Score",
        required=True,
        key=key,
        label_visibility="collapsed",
        **options,
    )
    return choice


def _switch() -> None:
    st.segmented_control(
        "Charts",
        [LIVE, PAUSED],
        default=LIVE,
        required=True,
        key="curves_mode",
        label_visibility="collapsed",
        help="Paused freezes the charts, to zoom into them; the run and the page continue.",
    )


def _hold(run: RunView) -> Held:
    """Return the paused charts; after a change to another run, those of that run as of now."""
    held: Held | None = st.session_state.get(_HELD)
    if held is None or held.run != run.reader.name:
        held = Held(run.reader.name, time.time(), run.points, run.resumed_at)
        st.session_state[_HELD] = held
    return held


def _state_text(held: Held | None, is_active: bool) -> str:
    if held is not None:
        return f"Charts paused at {words.clock(held.at)}; the run continues. {ZOOM_HINT}"
    if is_active:
        return "Updated with every new point. Choose Paused to zoom."
    return ZOOM_HINT


def _chart(run: RunView, held: Held, model: str, name: str, can_zoom: bool) -> None:
    """Show one model's chart; that of an active run is drawn before its first point."""
    curve, step_title = charts.CURVES[name], words.step_title(model)
    title = registry.title(model)
    points = held.points.filter(model=model)
    is_empty = points.is_empty() or curve.column not in points.columns
    newest = "none yet" if is_empty else charts.newest_point(points, curve, step_title)
    with st.container(gap="xsmall"):
        if is_empty:
            st.markdown(f"**{frame.escape(title)}**")
            st.caption(_why_empty(run, model, name))
        else:
            panels.head(f"{title}, newest: {newest}", points, f"curve_{model}")
    if is_empty and can_zoom:
        return
    version = (run.reader.name, model, name, points.height, _last_time(points))
    marks = (run.last_step(model), tuple(held.resumed_at.get(model, ())), can_zoom)
    spec = _drawn(version, marks, charts.no_points(curve) if is_empty else points)
    text = f"{name} of {title} by {step_title}, one line per fold; newest: {newest}"
    st.vega_lite_chart(spec=spec, key=f"curve_{model}", alt=text)


def _last_time(points: pl.DataFrame) -> float:
    return 0.0 if points.is_empty() else max(points["time"].to_list())


@st.cache_data(max_entries=32, show_spinner=False)
def _drawn(
    version: tuple[str, str, str, int, float],
    marks: tuple[int, tuple[float, ...], bool],
    _points: pl.DataFrame,
) -> charts.Spec:
    """Return the chart as Vega-Lite; drawn once for each version of its points."""
    _, model, name, *_ = version
    return charts.curve_chart(_points, charts.CURVES[name], words.step_title(model), *marks)


def _why_empty(run: RunView, model: str, name: str) -> str:
    if run.points.filter(model=model).is_empty():
        return f"No {words.step_title(model)} has been scored yet."
    return f"This run has no {name.lower()} of {registry.get(model).phrase}."
