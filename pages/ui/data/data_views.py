"""Data views: counts, the checks with their evidence, one sequence's traces.

In: frames of ``recordings``, ``Check``s, ``Sequences``. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from pages.ui.data import chart_titles, recording_figures
from pages.ui.data.checks import Check, DerivedState
from pages.ui.shared import charts_results, frame, panels, recordings
from pages.ui.shared.words import BadgeColour

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences

ANY = "Any"
MAX_DRAWN = 64  # sequences with their figures, some 200 kB each
VERDICTS: dict[DerivedState, tuple[str, str, BadgeColour]] = {
    "look": ("Look at this", ":material/search:", "orange"),
    "unknown": ("Cannot be told", ":material/question_mark:", "gray"),
    "fine": ("Fine", ":material/check:", "green"),
}
UNITS = {"mps2": "m/s²", "deg": "°"}  # last parts of column names


@dataclass(frozen=True)
class Drawn:
    """One sequence as it is shown.

    Attributes:
        traces: From ``recordings.traces``.
        figure: Of the traces.
        phase_note: When the gesture itself happens.
        images: Sensor to how often each pixel saw something, (8, 8), and its figure.
    """

    traces: pl.DataFrame
    figure: go.Figure
    phase_note: str
    images: dict[str, tuple[NDArray[np.float64], go.Figure]]


def counts(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return how many sequences each gesture or subject has, most first: label, count."""
    return rows.group_by(label).agg(count=pl.len()).sort("count", label, descending=[True, False])


@st.cache_resource(max_entries=MAX_DRAWN, show_spinner=False)
def drawn_once(fingerprint: str, what: str, _draw: Callable[[], go.Figure]) -> go.Figure:
    """Return a figure of the recordings, drawn once: drawing takes most of a rerun's time.

    Args:
        fingerprint: Of the recordings.
        what: Tells this figure from their others.
        _draw: Draws it, from nothing but the recordings.
    """
    return _draw()


def show_counts(by_gesture: pl.DataFrame, by_subject: pl.DataFrame, max_bars: int) -> None:
    """Show how many sequences there are of every gesture and every subject."""
    for box, rows, label in zip(
        st.columns(2, gap="large"), (by_gesture, by_subject), ("gesture", "subject"), strict=True
    ):
        with box:
            panels.chart(
                chart_titles.counts(rows, label),
                charts_results.count_figure(rows.head(max_bars), label, "Sequences"),
                rows,
                f"by_{label}",
                f"The {max_bars} with most." if len(rows) > max_bars else "",
            )


def show_verdict(checks: Sequence[Check]) -> None:
    """Say in one line how many checks ask for a second look, and which."""
    odd = [check.title for check in checks if check.derived == "look"]
    line = st.container(horizontal=True, vertical_alignment="center")
    if not odd:
        line.badge("Nothing odd found", icon=":material/check:", color="green", width="content")
        line.markdown(f"{len(checks)} checks, each with its evidence under Checks.")
        return
    text, icon, color = VERDICTS["look"]
    line.badge(f"{len(odd)} of {len(checks)} checks", icon=icon, color=color, width="content")
    line.markdown(frame.escape(f"{text}: {'; '.join(odd)}. The evidence is under Checks."))


def urgency(check: Check) -> int:
    """Return where a check is shown: those to look at first."""
    return list(VERDICTS).index(check.derived)


def show_check(check: Check) -> None:
    """Show one check: verdict, finding, how it was decided, evidence."""
    text, icon, color = VERDICTS[check.derived]
    with st.container(border=True, gap="small"):
        line = st.container(horizontal=True, vertical_alignment="center")
        line.markdown(f"**{frame.escape(check.title)}**", width="content")
        line.badge(text, icon=icon, color=color, width="content")
        st.markdown(frame.escape(check.finding))
        with st.expander(
            "How this was decided, and the evidence",
            expanded=check.derived == "look",
            key=f"evidence_{check.name}",
        ):
            st.caption(frame.escape(check.method))
            if len(check.table):
                _show_evidence(check)


def show_sequence(
    fingerprint: str, sequences: Sequences, rows: pl.DataFrame, rate_hz: float
) -> None:
    """Let one sequence be chosen; show its traces with its phases, and what its images saw.

    Args:
        fingerprint: Of the recordings.
        sequences: The recordings.
        rows: Their overview.
        rate_hz: Labels the time axis only.
    """
    row = _choose(rows.with_row_index("index"))
    drawn = _draw(fingerprint, row["index"], rate_hz, sequences)
    panels.chart(
        f"{row['sequence_id']}: {row['gesture'] or 'unlabelled'}, subject "
        f"{row['subject'] or 'unknown'}",
        drawn.figure,
        drawn.traces,
        "traces",
        f"{row['steps']} time steps, {row['steps'] / rate_hz:.1f} s. " + drawn.phase_note,
    )
    if not drawn.images:
        return
    st.caption(
        "Time of flight: in how many of the steps each pixel saw something in range, on average "
        "in the titles; full colour is always, none is never. Row 0 is the top of the image."
        + ("" if len(drawn.images) == recordings.NUM_TOF else " The other sensors are missing.")
    )
    cells = st.grid(columns=5, min_column_width=170)
    for sensor, (share_88, figure) in drawn.images.items():
        with cells.container():
            panels.chart(
                f"{sensor}: {100 * share_88.mean():.0f} %",
                figure,
                pl.DataFrame(share_88, schema=[f"column_{i}" for i in range(8)]),
                f"seen_{sensor}",
            )


@st.cache_resource(max_entries=MAX_DRAWN, show_spinner=False)
def _draw(fingerprint: str, index: int, rate_hz: float, _sequences: Sequences) -> Drawn:
    """Draw one sequence once: its figures take most of a rerun's time."""
    traces = recordings.traces(_sequences, index, rate_hz)
    phases = recordings.phase_bands(_sequences, index, rate_hz)
    images = recordings.seen_shares(_sequences, index)
    return Drawn(
        traces,
        charts_results.trace_figure(traces, phases, rate_hz),
        chart_titles.phase_note(phases),
        {
            sensor: (share_88, charts_results.grid_figure(share_88, 1.0))
            for sensor, share_88 in images.items()
        },
    )


def _choose(chosen: pl.DataFrame) -> dict[str, object]:
    """Return the row of the sequence that is looked at."""
    line = st.container(horizontal=True, vertical_alignment="bottom")
    gestures = chosen["gesture"].drop_nulls().unique().sort()
    gesture = line.selectbox("Gesture", [ANY, *gestures], key="data_gesture")
    if gesture != ANY:
        chosen = chosen.filter(gesture=gesture)
    subjects = chosen["subject"].drop_nulls().unique().sort()
    subject = line.selectbox("Subject", [ANY, *subjects], key="data_subject")
    if subject != ANY:
        chosen = chosen.filter(subject=subject)
    sequence_id = line.selectbox("Sequence", chosen["sequence_id"].to_list(), key="data_sequence")
    return chosen.filter(sequence_id=sequence_id).row(0, named=True)


def _show_evidence(check: Check) -> None:
    if check.name == "norms":
        panels.chart(
            "How long the quaternions are",
            recording_figures.norm_figure(check.table),
            check.table,
            "check_norms",
        )
        return
    panels.table(
        "Evidence",
        check.table,
        f"check_{check.name}",
        {name: _column(name, check.table[name].dtype) for name in check.table.columns},
    )


def _column(name: str, dtype: pl.DataType) -> object:
    """Return how a column of evidence is titled and written."""
    words = name.split("_")
    unit = UNITS.get(words[-1])
    title = " ".join(words if unit is None else words[:-1]).capitalize()
    title += f", {unit}" if unit else ""
    if not dtype.is_float():
        return title
    is_share = name in ("missing", "outside")
    return st.column_config.NumberColumn(title, format="percent" if is_share else "%.2f")
