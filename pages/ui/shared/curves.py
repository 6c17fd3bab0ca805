"""Curves: loss, score and learning rate of every fold while it trains, live or held still.

In: what the files of a run say. Out: one chart per model under its newest point, with its CSV.
Paused holds the charts as they are, to drag and zoom, while the rest of the page goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from pages.ui.shared import charts, panels, words
from pages.ui.shared.status import RunView

LIVE, PAUSED = "Live", "Paused"
ZOOM_HINT = "Drag to move, Shift and wheel to zoom, double-click to reset."

_HELD = "curves_held"


@dataclass(frozen=True)
class Held:
    """The charts as they were when somebody paused them.

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
    """Show the curves of both models.

    Args:
        run: What its files say.
        is_active: Whether new points are to be expected; without, there is nothing to hold.
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
    for place, model in zip(st.columns(2, gap="large"), words.STEP_NAMES, strict=True):
        with place, st.container(gap="xsmall"):
            _chart(run, now, model, name, can_zoom=held is not None or not is_active)


def pick(key: str, **options: Any) -> str:  # noqa: ANN401 - the widget's own
    """Let people pick a curve; return its name in ``charts.CURVES``."""
    return st.segmented_control(
        "Curve",
        list(charts.CURVES),
        default="Score",
        required=True,
        key=key,
        label_visibility="collapsed",
        **options,
    )


def _switch() -> None:
    st.segmented_control(
        "Charts",
        [LIVE, PAUSED],
        default=LIVE,
        required=True,
        key="curves_mode",
        label_visibility="collapsed",
        help="Paused holds the charts still, so that you can zoom; the run and the page go on.",
    )


def _hold(run: RunView) -> Held:
    """Return the charts as they were when they were paused; of another run, as they are now."""
    held: Held | None = st.session_state.get(_HELD)
    if held is None or held.run != run.reader.name:
        held = Held(run.reader.name, time.time(), run.points, run.resumed_at)
        st.session_state[_HELD] = held
    return held


def _state_text(held: Held | None, is_active: bool) -> str:
    if held is not None:
        return f"Charts paused at {words.clock(held.at)}; the run goes on. {ZOOM_HINT}"
    if is_active:
        return "New points appear by themselves. Paused holds the charts still, to zoom."
    return ZOOM_HINT


def _chart(run: RunView, held: Held, model: str, name: str, can_zoom: bool) -> None:
    """Show one model's chart; of a run at work it stands there before its first point comes."""
    curve, step_name = charts.CURVES[name], words.STEP_NAMES[model]
    points = held.points.filter(model=model)
    is_empty = points.is_empty() or curve.column not in points.columns
    newest = "none yet" if is_empty else charts.newest_point(points, curve, step_name)
    with st.container(gap="xsmall"):
        if is_empty:
            st.markdown(f"**{words.MODELS[model]}**")
            st.caption(_why_empty(run, model, name))
        else:
            panels.head(f"{words.MODELS[model]}, newest: {newest}", points, f"curve_{model}")
    if is_empty and (can_zoom or not _is_part(run, model)):
        return
    version = (run.reader.name, model, name, points.height, _last_time(points))
    marks = (run.last_step(model), tuple(held.resumed_at[model]), can_zoom)
    spec = _drawn(version, marks, charts.no_points(curve) if is_empty else points)
    text = f"{name} of {words.MODELS[model]} by {step_name}, one line per fold; newest: {newest}"
    st.vega_lite_chart(spec=spec, key=f"curve_{model}", alt=text)


def _is_part(run: RunView, model: str) -> bool:
    """Return whether the run has this model; before its configuration is written, it may."""
    return run.run_file is None or model in run.run_file.models


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
    step_name = words.STEP_NAMES[model]
    return charts.curve_chart(_points, charts.CURVES[name], step_name, *marks)


def _why_empty(run: RunView, model: str, name: str) -> str:
    if not _is_part(run, model):
        return f"{words.MODELS[model]} is not part of this run."
    if run.points.filter(model=model).is_empty():
        return f"No {words.STEP_NAMES[model]} has been scored yet."
    return f"This run has no {name.lower()} of {words.MODELS[model]}."
