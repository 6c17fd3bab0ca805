"""Importance of the finished folds, while others are still trained.

In: a ``RunReader``, a model with importance. Out: a frame like ``feature_importance.csv``; each
fold file is read once per version, for all sessions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from pages.ui.shared import readers
from trainer.models import registry
from trainer.models.base import Model
from trainer.plain_data import DamagedDataError, names
from trainer.store.durable import StoreError, sha256
from trainer.store.file_kinds import read_file
from trainer.store.reader import RunReader

if TYPE_CHECKING:
    from trainer.models.base import FoldResult

MAX_FOLDS = 100  # two arrays of F numbers each


@dataclass(frozen=True)
class FoldImportance:
    """The importance over the folds that are done.

    Attributes:
        table: As ``feature_importance.csv``; None where no fold is done and readable.
        num_done: How many folds it is the mean of.
        num_folds: How many folds the run has.
        problems: What is wrong with the fold files that cannot be read.
    """

    table: pl.DataFrame | None
    num_done: int
    num_folds: int
    problems: tuple[str, ...]


def read(reader: RunReader, model: Model) -> FoldImportance:
    """Return the importance from the files of the model's finished folds."""
    records = [record for record in readers.fold_records(reader) if record.model == model.name]
    loaded = {
        record.fold: _load_fold(
            model.name, reader.paths.fold(model, record.fold).final_path, record.final.sha256
        )
        for record in records
        if record.done and record.final is not None
    }
    done = {fold: item for fold, item in loaded.items() if not isinstance(item, str)}
    problems = tuple(item for item in loaded.values() if isinstance(item, str))
    if not done:
        return FoldImportance(None, 0, len(records), problems)
    from trainer.run.result_tables import importance_table

    return FoldImportance(importance_table(done), len(done), len(records), problems)


@st.cache_resource(max_entries=MAX_FOLDS, show_spinner=False)
def _load_fold(model: str, path: Path, digest: str) -> FoldResult | str:
    """Return a verified fold without its fitted model, or what is wrong with its file."""
    from trainer.run.fold_result_file import load_block

    try:
        data = read_file(path)
    except (FileNotFoundError, StoreError) as error:
        return str(error)
    if sha256(data) != digest:
        return f"{path}: content differs from its recorded SHA-256; Resume trains the fold again"
    try:
        result = load_block(registry.get(model), data).result
        feature_names = names(result.packed, "feature_names", len(result.packed["feature_names"]))
    except DamagedDataError as error:
        return f"{path}: {error}"
    return dataclasses.replace(result, packed={"feature_names": feature_names})
