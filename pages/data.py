"""Data: what is in the recordings that the run was made from.

In: the run's source where it is still there, else folds.parquet. Out: the page.
"""

import polars as pl
import streamlit as st

from pages.ui import charts_results, charts_signals, frame, panels, readers, recordings, source
from trainer.config import Config

NORM_TOLERANCE = 0.01  # float32 and the sensor's 2^-14 grid stay far below
MIN_NORM = 0.5  # below, an orientation counts as missing (trainer.data.preprocess)

frame.open_page("Data", "The recordings as they were read, before any preprocessing.")
run = frame.current_run()
run_file = None if run is None else readers.run_file(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        f"Recordings are looked at through a run. Start one; the default source is "
        f"{Config().data.source}.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

fold_rows = readers.folds(run)
sequences = None
if run_file is not None:
    try:
        sequences = source.recordings(run_file)
    except source.SourceError as error:
        st.warning("The recordings are not here, so only what the run itself keeps is shown.")
        st.code(str(error), language=None, wrap_lines=True)
if sequences is None and fold_rows is None and run.paths.config.exists():
    st.stop()  # what is damaged or gone is named above
if sequences is None and fold_rows is None:
    frame.empty_state(
        "Nothing is known of the recordings yet",
        "The run has written neither its configuration nor its folds yet.",
        "pages/train.py",
        "See the run",
    )
    st.stop()

rows = fold_rows if sequences is None else recordings.overview(sequences)
cards = st.grid(columns=5 if sequences is not None else 3, min_column_width=140)
cards.metric("Sequences", f"{len(rows):,}", border=True, height="stretch")
cards.metric(
    "Subjects", f"{rows['subject'].drop_nulls().n_unique():,}", border=True, height="stretch"
)
cards.metric(
    "Gestures", f"{rows['gesture'].drop_nulls().n_unique():,}", border=True, height="stretch"
)
if sequences is not None:
    rate_hz = run_file.data.sampling_rate_hz
    median = rows["steps"].median()
    cards.metric(
        "Median length",
        f"{median:.0f} steps",
        f"{median / rate_hz:.1f} s at {rate_hz:g} Hz",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    cards.metric(
        "Sensors",
        f"{len(sequences.groups)} of 4",
        ", ".join(sequences.groups),
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=", ".join(recordings.GROUP_TITLES[group] for group in sequences.groups),
    )

left, right = st.columns(2, gap="large")
by_gesture = (
    rows.group_by("gesture").agg(count=pl.len()).sort("count", "gesture", descending=[True, False])
)
by_subject = (
    rows.group_by("subject").agg(count=pl.len()).sort("count", "subject", descending=[True, False])
)
with left:
    panels.chart(
        "Sequences of every gesture",
        charts_results.count_figure(by_gesture, "gesture", "Sequences"),
        by_gesture,
        "by_gesture",
    )
with right:
    panels.chart(
        "Sequences of every subject" + (" (the 30 with most)" if len(by_subject) > 30 else ""),
        charts_results.count_figure(by_subject.head(30), "subject", "Sequences"),
        by_subject,
        "by_subject",
    )
if sequences is None:
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

left, right = st.columns(2, gap="large")
missing = recordings.missing_by_subject(rows)
worn = [title for group, title in recordings.GROUP_TITLES.items() if group in sequences.groups]
absent = [title for title in recordings.GROUP_TITLES.values() if title not in worn]
with left:
    lengths = rows.select("sequence_id", "steps")
    panels.chart(
        "How long the sequences are", charts_signals.length_figure(rows), lengths, "lengths"
    )
    hands = (
        rows.group_by("hand")
        .agg(sequences=pl.len(), subjects=pl.col("subject").n_unique())
        .sort("sequences", descending=True)
    )
    panels.table(
        "Which hand is the dominant one",
        hands,
        "hands",
        {"hand": "Hand", "sequences": "Sequences", "subjects": "Subjects"},
        "From the demographics; unknown where there are none.",
    )
with right:
    panels.chart(
        "Share of values missing, %, by subject and sensor"
        + (" (the 40 with most)" if len(missing) > 40 else ""),
        charts_signals.missing_figure(missing.select("subject", *worn).head(40)),
        missing,
        "missing",
        f"Not in these recordings at all: {', '.join(absent)}." if absent else "",
    )

st.subheader("One sequence", anchor=False)
line = st.container(horizontal=True, vertical_alignment="bottom")
gesture = line.selectbox(
    "Gesture", ["Any", *by_gesture["gesture"].drop_nulls().sort()], key="data_gesture"
)
chosen = rows.with_row_index("index")
if gesture != "Any":
    chosen = chosen.filter(gesture=gesture)
subject = line.selectbox(
    "Subject", ["Any", *chosen["subject"].drop_nulls().unique().sort()], key="data_subject"
)
if subject != "Any":
    chosen = chosen.filter(subject=subject)
sequence_id = line.selectbox("Sequence", chosen["sequence_id"].to_list(), key="data_sequence")
row = chosen.filter(sequence_id=sequence_id).row(0, named=True)
traces = recordings.traces(sequences, row["index"], rate_hz)
phases = recordings.phase_bands(sequences, row["index"], rate_hz)
panels.chart(
    f"{sequence_id}: {row['gesture'] or 'unlabelled'}, subject {row['subject'] or 'unknown'}",
    charts_signals.trace_figure(traces, phases, rate_hz),
    traces,
    "traces",
    f"{row['steps']} time steps. "
    + (
        "The shaded stretch is the gesture itself."
        if len(phases)
        else "These recordings do not say where the gesture begins."
    ),
)

st.subheader("Checks", anchor=False)
left, right = st.columns(2, gap="large")
ranges = recordings.value_ranges(sequences)
with left:
    panels.table(
        "Range of every channel",
        ranges,
        "ranges",
        {
            "channel": "Channel",
            "unit": "Unit",
            "lowest": st.column_config.NumberColumn("Lowest", format="%.2f"),
            "mean": st.column_config.NumberColumn("Mean", format="%.2f"),
            "highest": st.column_config.NumberColumn("Highest", format="%.2f"),
            "missing": st.column_config.NumberColumn("Missing", format="percent"),
        },
    )
with right:
    norms = recordings.quaternion_norms(sequences)
    if norms.size:
        num_off = int((abs(norms - 1) > NORM_TOLERANCE).sum())
        panels.chart(
            "Length of the orientation quaternion",
            charts_signals.norm_figure(norms),
            pl.DataFrame({"length": norms}),
            "norms",
            f"{num_off:,} of {norms.size:,} time steps are off 1 by more than {NORM_TOLERANCE:g}; "
            f"below {MIN_NORM:g} an orientation counts as missing.",
        )
    else:
        frame.empty_state("No orientation", "These recordings have no quaternion to check.")
