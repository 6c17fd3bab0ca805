"""Picking: which recording is asked about: a built-in sequence, or an upload.

In: the run that is looked at. Out: controls on the page, and what was picked; where there is
nothing to ask about, the page ends here and says why.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.predict import uploads
from pages.ui.shared import frame, readers, recordings, results, source
from trainer.data.schema import DataError
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from trainer.data.sequences import Sequences

NUM_EXAMPLES = 12
BUILT_IN, UPLOAD = "Built-in sequence", "Upload"
ALL = "All"
SCORED_KINDS = ("Sure and right", "Sure but wrong", "Close calls", "Most confused pair")
WORN_KINDS = ("Left hand", "A sensor missing")
SEQUENCE = "predict_sequence"


@dataclass(frozen=True)
class Picked:
    """What the models are to be asked about.

    Attributes:
        sequences: The recordings.
        key: Tells them from others.
        fold: Ask this fold's models only; None asks all.
        known: sequence_id, gesture and subject of a built-in sequence; else empty.
        seen: Whether the models were trained on each sequence; None where that is not known.
    """

    sequences: Sequences
    key: str
    fold: int | None = None
    known: dict[str, Any] = field(default_factory=dict)
    seen: tuple[bool, ...] | None = None


def pick(run: RunReader, run_file: RunFile) -> Picked:
    """Show the controls and return what was picked; ends the page where nothing was."""
    mode = st.segmented_control(
        "Recording", [BUILT_IN, UPLOAD], default=BUILT_IN, required=True, key="predict_mode"
    )
    return _pick_upload(run_file) if mode == UPLOAD else _pick_built_in(run, run_file)


def built_in_rows(run: RunReader, run_file: RunFile, sequences: Sequences) -> pl.DataFrame:
    """Return one row per sequence of the run's source.

    Returns:
        Columns sequence_id, gesture, subject, is_left, lacks_sensor, fold; where there are
        out-of-fold answers also predicted, probability, margin.
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
        oof = results.read_oof(table, run_file.labels.gestures, run_file.labels.num_targets)
    except ValueError:
        return rows  # the page Scores says what does not fit; sequences can be tried without
    if not oof.choices:
        return rows
    weights = {"lgbm": run_file.blend.lgbm_weight, "torch": run_file.blend.torch_weight}
    told = results.prediction_table(oof, oof.choices[0], weights)
    return rows.join(
        told.select("sequence_id", "predicted", "probability", "margin"),
        on="sequence_id",
        how="left",
        maintain_order="left",
    )


def kinds_of(rows: pl.DataFrame) -> list[str]:
    """Return the kinds of sequences that there are some of, from ``built_in_rows``."""
    scored = SCORED_KINDS if "probability" in rows.columns else ()
    kinds = (*scored, *WORN_KINDS)
    return [ALL, *(kind for kind in kinds if not of_kind(rows, kind, NUM_EXAMPLES).is_empty())]


def of_kind(rows: pl.DataFrame, kind: str, limit: int) -> pl.DataFrame:
    """Return all sequences, or a few of a kind: surest hits, surest mistakes, closest calls.

    Or a few of the pair of gestures that are most often taken for each other, of left-handers, of
    recordings without one of the sensor groups.
    """
    if kind == "Left hand":
        return rows.filter("is_left").head(limit)
    if kind == "A sensor missing":
        return rows.filter("lacks_sensor").head(limit)
    if kind == "Most confused pair":
        return _most_confused(rows).head(limit)
    is_right = pl.col("predicted") == pl.col("gesture")
    if kind == "Sure and right":
        return rows.filter(is_right).top_k(limit, by="probability")
    if kind == "Sure but wrong":
        return rows.filter(~is_right).top_k(limit, by="probability")
    if kind == "Close calls":
        return rows.drop_nulls("margin").bottom_k(limit, by="margin")
    return rows


def _most_confused(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mistakes between two gestures, of the pair that has the most of them."""
    wrong = rows.filter(pl.col("predicted") != pl.col("gesture")).with_columns(
        pair=pl.concat_list("gesture", "predicted").list.sort().list.join(" / ")
    )
    pairs = wrong.group_by("pair").len().sort("len", "pair", descending=[True, False])
    return wrong.filter(pl.col("pair").is_in(pairs["pair"].head(1).to_list())).drop("pair")


def seen_in_training(run_file: RunFile, sequences: Sequences) -> tuple[bool, ...] | None:
    """Return which of the sequences the run was trained on, whatever they are called.

    Goes by the acceleration's content: ids repeat from one collection of recordings to the next.

    Returns:
        None where the run's recordings are not here to compare with.
    """
    try:
        trained = source.derived(run_file, _contents)
    except source.SourceError:
        return None
    known = set(trained)
    return tuple(content in known for content in _contents(sequences))


def _pick_upload(run_file: RunFile) -> Picked:
    left, right = st.columns(2)
    file = left.file_uploader(
        "Recording, CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_file",
        max_upload_size=uploads.MAX_UPLOAD_MB,
        help="One or more sequences in the competition's schema, any subset of the sensors beside "
        "the acceleration. It is read in memory and never written.",
    )
    people = right.file_uploader(
        "Demographics (not needed), CSV or Parquet",
        type=["csv", "parquet"],
        key="predict_people",
        max_upload_size=uploads.MAX_UPLOAD_MB,
        help="Columns subject and handedness: left-handers are mirrored.",
    )
    if file is None:
        st.caption("A sequence of the run's own source is one click away: Built-in sequence.")
        st.stop()
    key = uploads.digest(file.getvalue(), None if people is None else people.getvalue())
    try:
        sequences = _read_upload(key, file, people)
    except DataError as error:
        st.error("The upload cannot be used.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    seen = seen_in_training(run_file, sequences)
    if seen is not None and any(seen):
        st.warning(
            f"Seen in training: {sum(seen)} of {len(seen)} are among the recordings that the "
            "models were trained on, so their answers say little about new ones.",
            icon=":material/visibility:",
        )
    return Picked(sequences, key, seen=seen)


def _pick_built_in(run: RunReader, run_file: RunFile) -> Picked:
    try:
        recorded = source.recordings(run_file)
    except source.SourceError as error:
        st.warning("The run's own recordings are not here. Upload a recording instead.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    version = readers.version(run.paths.folds, run.paths.oof)
    known = _pick_row(_rows((run_file.recordings.fingerprint, version), run, run_file, recorded))
    own, every = f"Fold {known['fold']}: never saw {known['subject']}", "All folds"
    asked = st.segmented_control(
        "Answered by",
        [own, every] if known["fold"] is not None else [every],
        required=True,
        default=own if known["fold"] is not None else every,
        help="The models of one fold were trained without this sequence's subject; those of all "
        "other folds have seen it.",
    )
    fold = known["fold"] if asked == own else None
    if fold is None:
        st.warning(
            "Seen in training: most of these models were trained on this very sequence, so "
            "the answer says little about new recordings.",
            icon=":material/visibility:",
        )
    sequences = recorded.select(np.flatnonzero(recorded.sequence_ids == known["sequence_id"])[:1])
    key = f"{run_file.recordings.fingerprint}:{known['sequence_id']}"
    return Picked(sequences, key, fold, known, (fold is None,))


def _pick_row(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the row of the sequence that was picked."""
    kinds = kinds_of(rows)
    if st.session_state.get("predict_kind", ALL) not in kinds:
        st.session_state["predict_kind"] = ALL  # of another run
    if len(kinds) > 1:
        kind = st.segmented_control("Which", kinds, default=ALL, required=True, key="predict_kind")
        rows = of_kind(rows, kind, NUM_EXAMPLES)
    left, right = st.columns([1, 2])
    gestures = ["Any", *rows["gesture"].unique().sort()]
    if st.session_state.get("predict_gesture", "Any") not in gestures:
        st.session_state["predict_gesture"] = "Any"  # of another run, or of no such sequence
    gesture = left.selectbox("True gesture", gestures, key="predict_gesture")
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


def _contents(sequences: Sequences) -> list[bytes]:
    parts = np.split(sequences.acc_T3, sequences.offsets[1:-1])
    return [hashlib.sha256(np.ascontiguousarray(part)).digest() for part in parts]


@st.cache_resource(max_entries=4, show_spinner=False)
def _rows(
    version: tuple[object, ...], _run: RunReader, _run_file: RunFile, _sequences: Sequences
) -> pl.DataFrame:
    return built_in_rows(_run, _run_file, _sequences)


@st.cache_resource(max_entries=1, show_spinner="Reading the recording", scope="session")
def _read_upload(key: str, _file: UploadedFile, _people: UploadedFile | None) -> Sequences:
    """Return uploaded recordings, read once per content and session."""
    people = None if _people is None else (_people.name, _people.getvalue())
    return uploads.read_sequences(_file.name, _file.getvalue(), people)
