"""Input check on the page: properties of the recordings that may make a prediction unreliable.

In: findings of the input check. Out: elements on the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from pages.ui.shared import frame, panels, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.data.quality.findings import Finding

MAX_WARNINGS = 4  # listed above the table, which has all of them


def show(findings: Sequence[Finding]) -> None:
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


def _count(number: int, noun: str) -> str:
    return f"no {noun}s" if number == 0 else f"{number} {noun}{'' if number == 1 else 's'}"
