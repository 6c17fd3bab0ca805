"""Predicting: one warm predictor per server, and the built-in sequences to try it on.

In: a finished run, sequences. Out: ``Prediction``; an ``AnswerError`` says why there is none.
``trainer.predict``, and with it torch and LightGBM, is imported when a first answer is asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st

from pages.ui import readers, recordings, results, source, uploads
from pages.ui.readers import Version
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from trainer.data.sequences import Sequences
    from trainer.predict import Prediction, Predictor


class AnswerError(RuntimeError):
    """The models of a run cannot answer; the message says why."""


def ask(
    root: str, bundles: Version, key: str, fold: int | None, sequences: Sequences
) -> Prediction:
    """Return the answer of a run's models.

    Args:
        root: The run folder.
        bundles: Version of the bundles; a new one loads the models again.
        key: Tells these sequences from others.
        fold: Use this fold's models only; None uses all.
        sequences: What is asked about.

    Raises:
        AnswerError: A bundle is damaged, or the models do not take these recordings.
    """
    from trainer.blend import BlendError
    from trainer.data.schema import DataError
    from trainer.predict import PredictError

    try:
        return _answer(root, bundles, key, fold, sequences)
    except (PredictError, DataError, BlendError) as error:
        raise AnswerError(str(error)) from error


@st.cache_resource(max_entries=1, show_spinner="Reading the recording", scope="session")
def read_upload(key: str, _file: UploadedFile, _people: UploadedFile | None) -> Sequences:
    """Return uploaded recordings, read once per content and session.

    Args:
        key: Tells these contents from others.
        _file: The recordings.
        _people: The demographics, or None.

    Raises:
        DataError: They cannot be used.
    """
    people = None if _people is None else (_people.name, _people.getvalue())
    return uploads.read_sequences(_file.name, _file.getvalue(), people)


def built_in_rows(run: RunReader, run_file: RunFile, sequences: Sequences) -> pl.DataFrame:
    """Return one row per sequence of the run's source.

    Returns:
        Columns sequence_id, gesture, subject, fold; where there are out-of-fold answers also
        predicted, probability, margin.
    """
    rows = recordings.overview(sequences).select("sequence_id", "gesture", "subject")
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
    told = results.answer_table(oof, oof.choices[0], weights)
    return rows.join(
        told.select("sequence_id", "predicted", "probability", "margin"),
        on="sequence_id",
        how="left",
        maintain_order="left",
    )


def of_kind(rows: pl.DataFrame, kind: str, limit: int) -> pl.DataFrame:
    """Return all sequences, or a few of a kind: surest hits, surest mistakes, closest calls."""
    is_right = pl.col("predicted") == pl.col("gesture")
    if kind == "Sure and right":
        return rows.filter(is_right).top_k(limit, by="probability")
    if kind == "Sure but wrong":
        return rows.filter(~is_right).top_k(limit, by="probability")
    if kind == "Close calls":
        return rows.drop_nulls("margin").bottom_k(limit, by="margin")
    return rows


def num_seen_in_training(run_file: RunFile, sequences: Sequences) -> int | None:
    """Return how many of the sequences the run was trained on, whatever they are called.

    Goes by the acceleration's content: ids repeat from one collection of recordings to the next.

    Returns:
        None where the run's recordings are not here to compare with.
    """
    try:
        trained = _contents_of(run_file.recordings.fingerprint, source.recordings(run_file))
    except source.SourceError:
        return None
    return sum(content in trained for content in _contents(sequences))


def _contents(sequences: Sequences) -> list[bytes]:
    parts = np.split(sequences.acc_T3, sequences.offsets[1:-1])
    return [hashlib.sha256(np.ascontiguousarray(part)).digest() for part in parts]


@st.cache_resource(max_entries=2, show_spinner=False)
def _contents_of(fingerprint: str, _sequences: Sequences) -> frozenset[bytes]:
    return frozenset(_contents(_sequences))


@st.cache_resource(max_entries=1, show_spinner="Loading the models")
def _predictor(root: str, bundles: Version) -> Predictor:
    from trainer.predict import Predictor

    return Predictor.load(Path(root))


@st.cache_resource(max_entries=4, show_spinner="Asking the models", scope="session")
def _answer(
    root: str, bundles: Version, key: str, fold: int | None, _sequences: Sequences
) -> Prediction:
    return _predictor(root, bundles).predict(_sequences, fold)
