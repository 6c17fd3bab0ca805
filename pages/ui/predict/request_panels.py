"""All recordings of a request on the page: input check, table of predictions, downloads.

In: findings; ``Prediction``. Out: frames, and elements on the page.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from pages.ui.shared import frame, panels, words
from trainer.data.spreadsheet import spreadsheet_csv

if TYPE_CHECKING:
    from trainer.data.quality.findings import Finding
    from trainer.predict.predictor import Prediction

MAX_WARNINGS = 4  # listed above the table, which has all of them
ROWS = "predict_rows"
SEQUENCE_COLUMNS: dict[str, Any] = {
    "sequence_id": "Sequence",
    "gesture": "Predicted gesture",
    "probability": st.column_config.ProgressColumn(
        "Probability", format="%.3f", min_value=0, max_value=1
    ),
    "margin": st.column_config.NumberColumn(
        "Margin", format="%.3f", help="Probability minus that of the second gesture."
    ),
    "p_target": st.column_config.NumberColumn(
        "Any target", format="%.3f", help="Sum over all target gestures."
    ),
    "entropy": st.column_config.NumberColumn(
        "Entropy", format="%.3f", help="0 if one gesture is certain, 1 if all are equal."
    ),
    "models_agree": st.column_config.CheckboxColumn("Models agree"),
    "seen": st.column_config.CheckboxColumn("Seen in training"),
    "steps": "Steps",
}


def input_check(findings: Sequence[Finding]) -> None:
    """Show the warnings as text, and all findings as a table on demand."""
    warnings = [each for each in findings if each.severity == "warning"]
    if warnings:
        named = [f"- {frame.escape(each.line)}" for each in warnings[:MAX_WARNINGS]]
        more = len(warnings) - len(named)
        rest = [f"- and {more} more, in the table below"] if more else []
        st.warning(
            "\n".join(["Input check: the prediction may be unreliable.", *named, *rest]),
            icon=":material/stethoscope:",
        )
    table = finding_rows(findings)
    title = f"Input check: {_count(len(warnings), 'warning')}, {len(table) - len(warnings)} notes"
    with st.expander(title, icon=":material/stethoscope:", key="predict_check"):
        panels.table(
            "Findings",
            table,
            "input_check",
            {
                "kind": st.column_config.TextColumn("", width="small"),
                "about": st.column_config.TextColumn("About", width="small"),
                "finding": st.column_config.TextColumn("Finding", width="large"),
                "expected": st.column_config.TextColumn("Expected", width="medium"),
                "got": st.column_config.TextColumn("Found", width="medium"),
            },
            height="content" if len(table) <= 12 else 420,
        )


def choose_row(table: pl.DataFrame, prediction: Prediction) -> int:
    """Show the predictions of several sequences; return the position of the selected one."""
    with st.container(gap="xsmall"):
        title = f"Predictions of {len(table):,} sequences"
        st.markdown(f"**{title}**")
        st.caption("Sort by any column; select a row to see that sequence below.")
        _downloads(prediction)
        event = st.dataframe(
            table,
            hide_index=True,
            key=ROWS,
            on_select="rerun",
            selection_mode="single-row",
            column_config=SEQUENCE_COLUMNS,
            height="content" if len(table) <= 8 else 320,
            alt=title,
        )
    selected = event["selection"]["rows"]
    return selected[0] if selected and selected[0] < len(table) else 0


def finding_rows(findings: Sequence[Finding]) -> pl.DataFrame:
    """Return one row per finding, warnings first."""
    rows = [
        {
            "kind": each.severity.capitalize(),
            "about": ", ".join(part for part in (each.sequence_id, each.channel) if part),
            "finding": words.capital(each.what),
            "expected": each.expected,
            "got": each.got,
        }
        for each in sorted(findings, key=lambda each: each.severity != "warning")
    ]
    columns = ("kind", "about", "finding", "expected", "got")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def download_rows(prediction: Prediction) -> pl.DataFrame:
    """Return the table that ``python -m trainer predict --by-model`` writes."""
    from trainer.predict.prediction_table import prediction_frame

    return prediction_frame(prediction, by_model=True)


def as_parquet(rows: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    return buffer.getvalue()


def _downloads(prediction: Prediction) -> None:
    """Offer the predictions of all sequences in three formats, each written when clicked."""
    formats: tuple[tuple[str, str, str, Callable[[], bytes]], ...] = (
        ("CSV", "csv", "text/csv", lambda: spreadsheet_csv(download_rows(prediction)).encode()),
        (
            *("Parquet", "parquet", "application/vnd.apache.parquet"),
            lambda: as_parquet(download_rows(prediction)),
        ),
        (
            "JSON",
            "json",
            "application/json",
            lambda: download_rows(prediction).write_json().encode(),
        ),
    )
    line = st.container(horizontal=True)
    for name, ending, mime, write in formats:
        line.download_button(
            name,
            data=write,
            file_name=f"predictions.{ending}",
            mime=mime,
            key=f"download_predictions_{ending}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help=f"Download: the predictions of all sequences as {name}, also by model",
        )


def _count(number: int, noun: str) -> str:
    return f"no {noun}s" if number == 0 else f"{number} {noun}{'' if number == 1 else 's'}"
