"""Data views: counts, the checks with their evidence, the traces of one sequence.

In: frames of ``recordings``, ``Check``s, ``Sequences``. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from pages.ui.data import chart_titles, recording_figures
from pages.ui.shared import charts_results, frame, panels, recordings, words
from pages.ui.shared.words import BadgeColour
from trainer.data.quality.findings import Check, CheckState, Finding, warnings

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences

ANY = "Any"
MAX_DRAWN = 64  # sequences with their figures, some 200 kB each
MAX_FINDINGS = 4  # shown of one check; the evidence has the rest
STATES: dict[CheckState, tuple[str, str, BadgeColour]] = {
    "look": ("Look at this", ":material/search:", "orange"),
    "unknown": ("Not known", ":material/question_mark:", "gray"),
    "fine": ("Fine", ":material/check:", "green"),
}
UNITS = {"mps2": "m/s²", "deg": "°"}  # last parts of column names


@dataclass(frozen=True)
class Drawn:
    """The figures of one sequence.

    Attributes:
        traces: From ``recordings.traces``.
        figure: Of the traces.
        phase_note: The time of the gesture itself.
        images: Sensor to the share of steps with something in range, (8, 8), and its figure.
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
        what: Name of the figure.
        _draw: Draws it from the recordings alone.
    """
    return _draw()


def show_totals(rows: pl.DataFrame, num_cards: int) -> DeltaGenerator:
    """Show how many sequences, subjects and gestures there are, and return the grid of cards.

    Args:
        rows: One per sequence, with its subject and gesture.
        num_cards: How many cards the grid is to have.
    """
    cards = st.grid(columns=num_cards, min_column_width=140)
    cards.metric("Sequences", f"{len(rows):,}", border=True, height="stretch")
    for title, label in (("Subjects", "subject"), ("Gestures", "gesture")):
        number = rows[label].drop_nulls().n_unique()
        cards.metric(title, f"{number:,}", border=True, height="stretch")
    return cards


def show_counts(rows: pl.DataFrame, max_bars: int) -> None:
    """Show the number of sequences of every gesture and every subject.

    Args:
        rows: One per sequence, with its subject and gesture.
        max_bars: Bars of one chart.
    """
    for box, label in zip(st.columns(2, gap="large"), ("gesture", "subject"), strict=True):
        by_label = counts(rows, label)
        with box:
            panels.chart(
                chart_titles.counts(by_label, label),
                charts_results.count_figure(by_label.head(max_bars), label, "Sequences"),
                by_label,
                f"by_{label}",
                f"The {max_bars} with the most." if len(by_label) > max_bars else "",
            )


def show_summary(checks: Sequence[Check]) -> None:
    """Show in one line how many checks found something to look at, and which."""
    odd = [check.title for check in checks if check.state == "look"]
    line = st.container(horizontal=True, vertical_alignment="center")
    if not odd:
        line.badge("Nothing unusual found", icon=":material/check:", color="green", width="content")
        line.markdown(f"{len(checks)} checks, each with its evidence under Checks.")
        return
    text, icon, color = STATES["look"]
    line.badge(f"{len(odd)} of {len(checks)} checks", icon=icon, color=color, width="content")
    line.markdown(frame.escape(f"{text}: {'; '.join(odd)}. The evidence is under Checks."))


def urgency(check: Check) -> int:
    """Return where a check is shown: those to look at first."""
    return list(STATES).index(check.state)


def show_check(check: Check) -> None:
    """Show one check: state, findings, method, evidence."""
    text, icon, color = STATES[check.state]
    with st.container(border=True, gap="small"):
        line = st.container(horizontal=True, vertical_alignment="center")
        line.markdown(f"**{frame.escape(check.title)}**", width="content")
        line.badge(text, icon=icon, color=color, width="content")
        st.markdown(_finding_list(check))
        with st.expander(
            "Method and evidence",
            expanded=check.state == "look",
            key=f"evidence_{check.name}",
        ):
            st.caption(frame.escape(check.method))
            if len(check.table):
                _show_evidence(check)


def _finding_list(check: Check) -> str:
    """Return the warnings of a check, or its notes where there are none, as a list."""
    shown = warnings(check.findings) or check.findings
    more = len(shown) - MAX_FINDINGS
    lines = [_finding_text(finding) for finding in shown[:MAX_FINDINGS]]
    lines += [f"and {more} more"] if more > 0 else []
    return "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else lines[0]


def _finding_text(finding: Finding) -> str:
    """Return the line of a finding; the name of a channel or a sequence keeps its first letter."""
    is_named = bool(finding.channel or finding.sequence_id)
    return frame.escape(finding.line if is_named else words.capital(finding.line))


def show_sequence(
    fingerprint: str, sequences: Sequences, rows: pl.DataFrame, rate_hz: float
) -> None:
    """Show the choice of a sequence, its traces with its phases, and its images.

    Args:
        fingerprint: Of the recordings.
        sequences: The recordings.
        rows: Their overview.
        rate_hz: For the labels of the time axis.
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
        "Time of flight: the share of steps in which each pixel has something in range; the mean "
        "is in the title. Full colour is always, none is never. Row 0 is the top of the image."
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


def _choose(chosen: pl.DataFrame) -> dict[str, Any]:
    """Return the row of the chosen sequence."""
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
            "Lengths of the quaternions",
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
    """Return title and format of a column of evidence."""
    parts = name.split("_")
    unit = UNITS.get(parts[-1])
    title = " ".join(parts if unit is None else parts[:-1]).capitalize()
    title += f", {unit}" if unit else ""
    if not dtype.is_float():
        return title
    is_share = name in ("missing", "outside")
    return st.column_config.NumberColumn(title, format="percent" if is_share else "%.2f")
