"""Alike panels: the training sequences that are most like a recording, and the report of it all.

In: one sequence with its answer. Out: elements on the page, worked out when they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.predict import charts_prediction, warm_predictor
from pages.ui.predict.explanation_panels import or_say
from pages.ui.shared import panels, source
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from pages.ui.predict.requests import Single
    from trainer.data.sequences import Sequences
    from trainer.explain.findings import Finding

T = TypeVar("T")

NUM_SHARES = 101  # points of an overlay: percent of each recording's own time


def alike(single: Single, run_file: RunFile, known: dict[str, Any]) -> None:
    """Show the training sequences that are nearest, and one of them beside this recording."""
    but_not = (str(known["sequence_id"]),) if known else ()
    found = or_say(lambda: warm_predictor.neighbours(single, but_not))
    if not found:
        return
    rows = pl.DataFrame([vars(each) for each in found])
    same = int((rows["gesture"] == single.prediction.answers[single.index]).sum())
    left, right = st.columns(2, gap="large")
    with left, st.container(gap="xsmall"):
        panels.head(
            f"{same} of the {len(rows)} nearest training sequences are the answer's gesture",
            rows,
            "nearest",
            "By the features that LightGBM splits on most. Select a row to lay it over this one.",
        )
        event = st.dataframe(
            rows,
            hide_index=True,
            key="predict_nearest",
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "sequence_id": "Sequence",
                "gesture": "Gesture",
                "subject": "Subject",
                "distance": st.column_config.NumberColumn(
                    "Distance, standard deviations", format="%.2f"
                ),
            },
            height="content",
            alt="The nearest training sequences",
        )
    picked = event["selection"]["rows"]
    other = found[picked[0] if picked and picked[0] < len(found) else 0]
    with right:
        recorded = or_say(lambda: source.recordings(run_file))
        if recorded is not None:
            there = recorded.select(np.flatnonzero(recorded.sequence_ids == other.sequence_id)[:1])
            lines = overlay_rows(single.sequence, there, other.sequence_id)
            panels.chart(
                f"This recording and {other.sequence_id}, {other.gesture}",
                charts_prediction.overlay_figure(lines),
                lines,
                "overlay",
                "Acceleration, m/s², each over its own whole length.",
            )


def report(
    single: Single,
    run_name: str,
    findings: Sequence[Finding],
    known: dict[str, Any],
    remarks: Sequence[str],
) -> None:
    """Show the report of this one answer, and offer it as one HTML file that loads nothing."""
    from trainer.explain.report import Report, render

    with st.spinner("Writing the report"):
        html = render(
            Report(
                run=run_name,
                sequence=single.sequence,
                prediction=single.alone,
                rate_hz=single.question.rate_hz,
                remarks=tuple(remarks),
                findings=tuple(findings),
                contributions=_or_nothing(lambda: warm_predictor.contributions(single)),
                attention=_or_nothing(lambda: warm_predictor.attention(single)),
                occlusion=_or_nothing(lambda: warm_predictor.occlusion(single)),
                outcomes=_or_nothing(lambda: warm_predictor.outcomes(single)) or (),
                neighbours=tuple(
                    _or_nothing(
                        lambda: warm_predictor.neighbours(
                            single, (str(known["sequence_id"]),) if known else ()
                        )
                    )
                    or ()
                ),
            )
        )
    st.download_button(
        "Download the report (HTML)",
        data=html.encode(),
        file_name="report.html",
        mime="text/html",
        key="download_report",
        icon=":material/download:",
        on_click="ignore",
    )
    st.iframe(html, height=700)


def overlay_rows(here: Sequences, there: Sequences, name: str) -> pl.DataFrame:
    """Return the acceleration of two sequences, each brought to 101 points of its own time.

    Returns:
        Columns axis, which ("this" or name), share (0 to 100), value.
    """
    share = np.linspace(0, 100, NUM_SHARES)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "axis": axis,
                    "which": which,
                    "share": share,
                    "value": _stretched(one.acc_T3[:, number]),
                }
            )
            for number, axis in enumerate("xyz")
            for which, one in (("this", here), (name, there))
        ]
    )


def _stretched(values_T: np.ndarray) -> np.ndarray:
    """Return a series at so many points of its own time, missing values left out."""
    known_idx = np.flatnonzero(~np.isnan(values_T))
    if not len(known_idx):
        return np.full(NUM_SHARES, np.nan)
    at = np.linspace(0, len(values_T) - 1, NUM_SHARES)
    return np.interp(at, known_idx, values_T[known_idx])


def _or_nothing(work: Callable[[], T]) -> T | None:
    try:
        return work()
    except warm_predictor.AnswerError:
        return None
