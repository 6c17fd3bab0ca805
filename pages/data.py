"""Data: the recordings that the run was made from.

In: the run's source where it still exists, else folds.parquet. Out: the page.
"""

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.data import chart_titles, data_views, recording_figures
from pages.ui.shared import (
    distributions,
    frame,
    live,
    panels,
    readers,
    recordings,
    source,
)
from trainer.config import Config
from trainer.data.quality.checks import check_recordings

MAX_BARS = 30
MAX_ROWS = 40
VIEWS = ("Overview", "Checks", "One sequence")

frame.open_page("Data", "The recordings as they were read, before any preprocessing.")
run = frame.current_run()
run_file = None if run is None else readers.run_file(run)
fold_rows = None if run is None else readers.folds(run)
if fold_rows is None:
    live.follow(run)  # until the run has started; after that the content of this page is constant
if run is None:
    frame.empty_state(
        "No runs yet",
        f"This page shows the recordings of a run. Start one; the default source is "
        f"{Config().data.source}.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

sequences = None
if run_file is not None:
    try:
        sequences = source.recordings(run_file)
    except source.SourceError as error:
        st.warning(
            "The recordings cannot be shown, only what the run itself has stored. Put the original "
            "recordings back in their place to see the rest."
        )
        st.code(str(error), language=None, wrap_lines=True)
if sequences is None and fold_rows is None:
    if not run.paths.has_config:
        frame.empty_state(
            "No recordings yet",
            "The run has written neither its configuration nor its folds yet.",
            "pages/train.py",
            "Show the run",
        )
    st.stop()  # what is damaged or missing is named above

if run_file is None or sequences is None:
    assert fold_rows is not None  # the other case is above
    data_views.show_totals(fold_rows, 3)
    data_views.show_counts(fold_rows, MAX_BARS)
    by_fold = (
        fold_rows.group_by("fold")
        .agg(count=pl.len(), subjects=pl.col("subject").n_unique())
        .sort("fold")
    )
    panels.table(
        "Sequences and subjects of every fold",
        by_fold,
        "by_fold",
        {"fold": "Fold", "count": "Sequences", "subjects": "Subjects"},
    )
    st.stop()

rows = source.derived(run_file, recordings.overview)
rate_hz = run_file.data.sampling_rate_hz
lengths_N = sequences.lengths_N
median = float(np.median(lengths_N))
cards = data_views.show_totals(rows, 5)
details = {
    "Median length": (
        f"{median:.0f} steps",
        f"{median / rate_hz:.1f} s at {rate_hz:g} Hz",
        "The rate is used for time axes only: the recordings have no timestamps.",
    ),
    "Sensors": (
        f"{len(sequences.groups)} of 4",
        ", ".join(sequences.groups),
        ", ".join(recordings.GROUP_TITLES[group] for group in sequences.groups),
    ),
}
for label, (value, detail, text) in details.items():
    cards.metric(
        label,
        value,
        detail,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=text,
    )

key = run_file.recordings.fingerprint
checks = source.derived(run_file, check_recordings)
data_views.show_summary(checks)
overview, checked, one = st.tabs(VIEWS, key="data_view", on_change="rerun")  # the open one runs

if overview.open:
    with overview:
        data_views.show_counts(rows, MAX_BARS)
        pairs = recordings.pairs(rows)
        panels.chart(
            chart_titles.pairs(pairs),
            data_views.drawn_once(key, "pairs", lambda: recording_figures.pair_figure(pairs)),
            pairs,
            "subject_gesture",
        )
        left, right = st.columns(2, gap="large")
        boxes = recordings.steps_by_gesture(rows)
        with left:
            panels.chart(
                chart_titles.lengths(rows),
                data_views.drawn_once(
                    key, "lengths", lambda: recording_figures.length_figure(rows)
                ),
                rows.select("sequence_id", "steps"),
                "lengths",
                f"The shortest has {lengths_N.min():,}, the longest {lengths_N.max():,}.",
            )
        with right:
            panels.chart(
                chart_titles.lengths_by_gesture(boxes),
                data_views.drawn_once(
                    key, "boxes", lambda: distributions.box_figure(boxes, "Time steps")
                ),
                boxes,
                "lengths_by_gesture",
                "Box: the middle half of the sequences; whiskers: the middle nine tenths.",
            )
        missing = source.derived(run_file, recordings.missing_by_subject)
        absent = [
            title
            for group, title in recordings.GROUP_TITLES.items()
            if group not in sequences.groups
        ]
        text = f" These recordings do not have: {', '.join(absent)}." if absent else ""
        title = chart_titles.missing(missing)
        if title == chart_titles.NONE_MISSING:
            panels.head(title, missing, "missing", f"Of the sensors in the recordings.{text}")
        else:
            panels.chart(
                title,
                data_views.drawn_once(
                    key, "missing", lambda: recording_figures.missing_figure(missing.head(MAX_ROWS))
                ),
                missing,
                "missing",
                "Share of values missing, %, by subject and sensor"
                + (f", the {MAX_ROWS} subjects with the most." if len(missing) > MAX_ROWS else ".")
                + text,
            )

if checked.open:
    with checked:
        for check in sorted(checks, key=data_views.urgency):
            data_views.show_check(check)

if one.open:
    with one:
        data_views.show_sequence(key, sequences, rows, rate_hz)
