"""Machine: processor, memory, graphics memory and disk while the trainer worked.

In: the "beat" lines of a run's history. Out: small charts over the minutes of the newest attempt
that has any; nothing is drawn for a time that was not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.shared import charts, panels
from trainer.store.event_log import Event
from trainer.store.process import BEAT_EVENT, READING_S
from trainer.store.records import Status
from trainer.store.run_state import DerivedState

METERS = {
    "trainer_cores": charts.Meter("Processor of the trainer", "cores", "{:.1f} cores", 1),
    "used_memory_mb": charts.Meter("Memory of the trainer", "GB", "{:.2f} GB", 1024),
    "free_memory_mb": charts.Meter("Free memory", "GB", "{:.1f} GB", 1024),
    "free_disk_mb": charts.Meter("Disk left", "GB", "{:.1f} GB", 1024),
    "gpu_used_memory_mb": charts.Meter("GPU memory in use", "GB", "{:.2f} GB", 1024),
}


def show(name: str, events: Sequence[Event], derived: DerivedState) -> None:
    """Show what the newest recorded attempt of the run of this name used."""
    st.subheader("Machine", anchor=False)
    table = resource_table(events)
    if table.is_empty():
        st.caption(f"{_now_text(derived.status)}{_why_empty(derived)}")
        return
    attempt = table["attempt"][0]
    panels.head(
        f"What the trainer used, read every {READING_S:.0f} s since the start of attempt {attempt}",
        table,
        "machine",
    )
    shown = [column for column in METERS if column in table.columns]
    for place, column in zip(st.columns(len(shown), gap="medium"), shown, strict=True):
        meter = METERS[column]
        newest = meter.newest.format(table[column][-1] / meter.divisor)
        with place, st.container(gap="xsmall"):
            st.caption(f"**{meter.title}**: {newest}")
            st.vega_lite_chart(
                spec=_drawn((name, attempt, table.height, column), table),
                key=f"machine_{column}",
                alt=f"{meter.title} over the minutes of attempt {attempt}; newest: {newest}",
            )


def resource_table(events: Sequence[Event]) -> pl.DataFrame:
    """Return attempt, minutes since its first line of history, and one column per number."""
    beats = [event for event in events if event.event == BEAT_EVENT and event.values]
    if not beats:
        return pl.DataFrame(schema={"attempt": pl.Int64, "minutes": pl.Float64})
    attempt = max(event.attempt for event in beats)
    began = min(event.time for event in events if event.attempt == attempt)
    rows = [
        {"attempt": attempt, "minutes": (event.time - began) / 60.0, **event.values}
        for event in beats
        if event.attempt == attempt
    ]
    return pl.DataFrame(rows, infer_schema_length=None).sort("minutes")


@st.cache_data(max_entries=32, show_spinner=False)
def _drawn(version: tuple[str, int, int, str], _table: pl.DataFrame) -> charts.Spec:
    """Return a meter's chart as Vega-Lite; drawn once for each version of its readings."""
    column = version[-1]
    return charts.meter_chart(_table, column, METERS[column])


def _now_text(status: Status | None) -> str:
    """Say what the last sign of life knows."""
    if status is None or status.used_memory_mb is None or status.free_disk_mb is None:
        return ""
    free_memory_mb = status.free_memory_mb or 0
    return (
        f"At its last sign of life the trainer used {status.used_memory_mb:,} MB of memory, "
        f"{free_memory_mb:,} MB were free, and {status.free_disk_mb / 1024:,.1f} GB of disk left. "
    )


def _why_empty(derived: DerivedState) -> str:
    if derived.is_active:
        return f"The first reading comes {READING_S:.0f} s after its start."
    return (
        f"There are no curves: the trainer keeps a reading every {READING_S:.0f} s, and this run "
        f"was shorter or made before it did."
    )
