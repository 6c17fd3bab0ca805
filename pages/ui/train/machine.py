"""Machine: processor, memory, GPU memory and disk while the trainer ran.

In: the "beat" events of a run. Out: small charts over the minutes of one attempt, at first of the
newest that has readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl
import streamlit as st

from pages.ui.shared import charts, panels
from trainer.store.event_log import Event
from trainer.store.process import BEAT_EVENT, READING_S
from trainer.store.records import Status
from trainer.store.run_state import DerivedState

CHART_HEIGHT_PX = 150
ATTEMPT_HELP = "Every start of the trainer on this run, resumes included, is an attempt."


@dataclass(frozen=True)
class Meter:
    """One number that is read from the machine at intervals.

    Attributes:
        title: What it is.
        unit: Of the axis.
        newest: Format of the newest value.
        divisor: From the recorded unit to the axis' unit.
    """

    title: str
    unit: str
    newest: str
    divisor: float


METERS = {
    "trainer_cores": Meter("CPU of the trainer", "cores", "{:.1f} cores", 1),
    "used_memory_mb": Meter("Memory of the trainer", "GB", "{:.2f} GB", 1024),
    "free_memory_mb": Meter("Free memory", "GB", "{:.1f} GB", 1024),
    "free_disk_mb": Meter("Free disk space", "GB", "{:.1f} GB", 1024),
    "gpu_used_memory_mb": Meter("GPU memory in use", "GB", "{:.2f} GB", 1024),
}


def show(name: str, events: Sequence[Event], derived: DerivedState) -> None:
    """Show the resources that an attempt of the run of this name used."""
    st.subheader("Machine", anchor=False)
    attempts = recorded_attempts(events)
    if not attempts:
        st.caption(f"{_now_text(derived.status)}{_why_empty(derived)}")
        return
    attempt = attempts[0]
    if len(attempts) > 1:
        attempt = st.selectbox(
            "Attempt",
            attempts,
            key=f"machine_{name}_{attempt}",  # a new attempt is shown at once
            width=110,
            help=ATTEMPT_HELP,
        )
    table = resource_table(events, attempt)
    panels.head(
        f"Resources used since the start of attempt {attempt}, read every {READING_S:.0f} s",
        table,
        "machine",
    )
    shown = [
        column
        for column in METERS
        if column in table.columns and table[column].null_count() < table.height
    ]
    for place, column in zip(st.columns(len(shown), gap="medium"), shown, strict=True):
        meter = METERS[column]
        newest = meter.newest.format(table[column].drop_nulls()[-1] / meter.divisor)
        with place, st.container(gap="xsmall"):
            st.caption(f"**{meter.title}**: {newest}")
            st.vega_lite_chart(
                spec=_drawn((name, attempt, table.height, column), table),
                key=f"machine_{column}",
                alt=f"{meter.title} over the minutes of attempt {attempt}; newest: {newest}",
            )


def recorded_attempts(events: Sequence[Event]) -> list[int]:
    """Return the attempts that have readings, the newest first."""
    return sorted({event.attempt for event in events if _is_reading(event)}, reverse=True)


def resource_table(events: Sequence[Event], attempt: int) -> pl.DataFrame:
    """Return an attempt, minutes since its first event, and one column per number."""
    events = [event for event in events if event.attempt == attempt]
    began = min(event.time for event in events)
    rows = [
        {"attempt": attempt, "minutes": (event.time - began) / 60.0, **event.values}
        for event in events
        if _is_reading(event)
    ]
    return pl.DataFrame(rows, infer_schema_length=None).sort("minutes")


def _is_reading(event: Event) -> bool:
    return event.event == BEAT_EVENT and bool(METERS.keys() & event.values)


def meter_chart(table: pl.DataFrame, column: str, meter: Meter) -> charts.Spec:
    """Draw one number over the minutes since the attempt began.

    Args:
        table: Columns minutes and the meter's own.
        column: The meter's own.
        meter: What is drawn.
    """
    data = table.select(
        "minutes",
        pl.lit(0).alias("fold"),
        pl.col("minutes").alias("step"),
        (pl.col(column) / meter.divisor).alias("value"),
    ).drop_nulls()
    figure = (
        alt.Chart(alt.NamedData("readings"))
        .mark_area(line={"strokeWidth": 1.5}, opacity=0.25)
        .encode(
            x=alt.X(
                "minutes:Q",
                title="Minutes",
                axis=alt.Axis(tickCount=4, grid=False),
                scale=alt.Scale(nice=False),
            ),
            y=alt.Y("value:Q", title=meter.unit, axis=alt.Axis(tickCount=3, format=".2~f")),
            tooltip=[
                alt.Tooltip("minutes:Q", title="Minute", format=".1f"),
                alt.Tooltip("value:Q", title=f"{meter.title} ({meter.unit})", format=".3g"),
            ],
        )
        .properties(height=CHART_HEIGHT_PX)
    )
    readings = charts.thinned(data, charts.MAX_POINTS).select("minutes", "value")
    return charts.with_data(figure, readings=readings)


@st.cache_data(max_entries=32, show_spinner=False)
def _drawn(version: tuple[str, int, int, str], _table: pl.DataFrame) -> charts.Spec:
    """Return a meter's chart as Vega-Lite; drawn once for each version of its readings."""
    column = version[-1]
    return meter_chart(_table, column, METERS[column])


def _now_text(status: Status | None) -> str:
    """Describe the resources at the last heartbeat."""
    if status is None or status.used_memory_mb is None or status.free_disk_mb is None:
        return ""
    free_memory_mb = status.free_memory_mb or 0
    return (
        f"At its last heartbeat the trainer used {status.used_memory_mb:,} MB of memory; "
        f"{free_memory_mb:,} MB of memory and {status.free_disk_mb / 1024:,.1f} GB of disk space "
        f"were free. "
    )


def _why_empty(derived: DerivedState) -> str:
    if derived.is_active:
        return f"The first reading follows {READING_S:.0f} s after the start."
    return (
        f"There are no charts: a reading is recorded every {READING_S:.0f} s, and this run was "
        f"shorter or is from an earlier version."
    )
