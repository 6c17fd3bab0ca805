"""Built-in sequences: choosing one of the recordings that the run was trained on.

In: the selected run. Out: controls on the page, and the chosen sequence; where the run's recordings
are missing, the page ends here with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.predict.predictions import Recordings
from pages.ui.shared import frame, readers, recordings, results, source
from trainer.data.orientation_detector import decide_orientation
from trainer.data.sequences import Sequences
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

NUM_EXAMPLES = 12
ALL = "All"
SCORED_KINDS = (
    *("Confident and correct", "Confident but wrong"),
    *("Smallest margins", "Most confused pair"),
)
SENSOR_KINDS = ("Left hand", "Missing sensor")
SEQUENCE = "predict_sequence"
KIND, GESTURE = "predict_kind", "predict_gesture"


def choose(run: RunReader, run_file: RunFile) -> Recordings:
    """Show the controls and return the chosen sequence; ends the page if there is none."""
    try:
        recorded = source.recordings(run_file)
    except source.SourceError as error:
        st.warning("The run's own recordings are missing. Upload a recording instead.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    version = readers.version(run.paths.folds, run.paths.oof)
    rows = _cached_rows((run_file.recordings.fingerprint, version), run, run_file, recorded)
    known = _choose_row(rows)
    own_fold, all_folds = f"Fold {known['fold']}, trained without {known['subject']}", "All folds"
    folds = [all_folds] if known["fold"] is None else [own_fold, all_folds]
    chosen = st.segmented_control(
        "Models",
        folds,
        required=True,
        default=folds[0],
        help="The models of this fold were trained without the sequence's subject; those of all "
        "other folds were trained on it.",
    )
    fold = known["fold"] if chosen == own_fold else None
    if fold is None:
        st.warning(
            "Seen in training: most of these models were trained on this sequence, so the "
            "prediction is not representative of new recordings.",
            icon=":material/visibility:",
        )
    sequence = recorded.select(np.flatnonzero(recorded.sequence_ids == known["sequence_id"])[:1])
    sequence = decide_orientation(sequence, run_file.recordings.turned_subjects, None)
    key = f"{run_file.recordings.fingerprint}:{known['sequence_id']}"
    return Recordings(sequence, key, fold, known, (fold is None,))


def sequence_rows(run: RunReader, run_file: RunFile, sequences: Sequences) -> pl.DataFrame:
    """Return one row per sequence of the run's source.

    Returns:
        Columns sequence_id, gesture, subject, is_left, lacks_sensor, fold; with out-of-fold
        predictions also predicted, probability, margin.
    """
    rows = recordings.overview(sequences).select(
        "sequence_id",
        "gesture",
        "subject",
        is_left=pl.col("hand") == "left",
        lacks_sensor=pl.any_horizontal(pl.col("^missing_.*$") == 1.0),
    )
    folds = readers.folds(run)
    if folds is None:
        return rows.with_columns(fold=pl.lit(None, dtype=pl.Int64))
    rows = rows.join(folds.select("sequence_id", "fold"), on="sequence_id", how="left")
    table = readers.oof(run)
    if table is None:
        return rows
    try:
        labels, models = run_file.labels, run_file.models
        oof = results.read_oof(table, labels.gestures, labels.num_targets, models=models)
    except ValueError:
        return rows  # the Scores page reports the error
    if not oof.choices:
        return rows
    predicted = results.prediction_table(oof, oof.choices[0], run_file.blend.by_model)
    return rows.join(
        predicted.select("sequence_id", "predicted", "probability", "margin"),
        on="sequence_id",
        how="left",
        maintain_order="left",
    )


def list_kinds(rows: pl.DataFrame) -> list[str]:
    """Return the kinds that at least one sequence is of; rows from ``sequence_rows``."""
    scored = SCORED_KINDS if "probability" in rows.columns else ()
    kinds = (*scored, *SENSOR_KINDS)
    return [ALL, *(kind for kind in kinds if not of_kind(rows, kind, NUM_EXAMPLES).is_empty())]


def of_kind(rows: pl.DataFrame, kind: str, limit: int) -> pl.DataFrame:
    """Return the first sequences of a kind, the clearest examples first; all of them for ALL."""
    if kind == "Left hand":
        return rows.filter("is_left").head(limit)
    if kind == "Missing sensor":
        return rows.filter("lacks_sensor").head(limit)
    if kind == "Most confused pair":
        return _most_confused(rows).head(limit)
    is_correct = pl.col("predicted") == pl.col("gesture")
    if kind == "Confident and correct":
        return rows.filter(is_correct).top_k(limit, by="probability")
    if kind == "Confident but wrong":
        return rows.filter(~is_correct).top_k(limit, by="probability")
    if kind == "Smallest margins":
        return rows.drop_nulls("margin").bottom_k(limit, by="margin")
    return rows


def _most_confused(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the misclassified sequences of the two gestures that are confused most often."""
    wrong = rows.filter(pl.col("predicted") != pl.col("gesture")).with_columns(
        pair=pl.concat_list("gesture", "predicted").list.sort().list.join(" / ")
    )
    pairs = wrong.group_by("pair").len().sort("len", "pair", descending=[True, False])
    return wrong.filter(pl.col("pair").is_in(pairs["pair"].head(1).to_list())).drop("pair")


def _choose_row(rows: pl.DataFrame) -> dict[str, Any]:
    """Show kind, gesture and sequence; return the row of the chosen sequence."""
    kinds = list_kinds(rows)
    if st.session_state.get(KIND, ALL) not in kinds:
        st.session_state[KIND] = ALL  # left over from another run
    if len(kinds) > 1:
        kind = st.segmented_control("Kind", kinds, default=ALL, required=True, key=KIND)
        rows = of_kind(rows, kind, NUM_EXAMPLES)
    left, right = st.columns([1, 2])
    gestures = ["Any", *rows["gesture"].unique().sort()]
    if st.session_state.get(GESTURE, "Any") not in gestures:
        st.session_state[GESTURE] = "Any"  # left over from another run or kind
    gesture = left.selectbox("True gesture", gestures, key=GESTURE)
    if gesture != "Any":
        rows = rows.filter(gesture=gesture)
    if rows.is_empty():
        frame.empty_state("No such sequence", "Choose another kind or gesture.")
        st.stop()
    titles = {
        row["sequence_id"]: f"{row['sequence_id']} · {row['gesture']} · {row['subject']}"
        for row in rows.iter_rows(named=True)
    }
    if st.session_state.get(SEQUENCE) not in titles:
        st.session_state[SEQUENCE] = next(iter(titles))
    sequence_id = right.selectbox(
        "Sequence",
        list(titles),
        key=SEQUENCE,
        format_func=lambda name: titles.get(name, name),
    )
    return rows.filter(sequence_id=sequence_id).row(0, named=True)


@st.cache_resource(max_entries=4, show_spinner=False)
def _cached_rows(
    version: tuple[object, ...], _run: RunReader, _run_file: RunFile, _sequences: Sequences
) -> pl.DataFrame:
    return sequence_rows(_run, _run_file, _sequences)
