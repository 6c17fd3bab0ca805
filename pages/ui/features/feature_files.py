"""Feature files: the parts of a run's importance and feature cache that the Features page shows.

In: a ``RunReader``. Out: frames and arrays, each read once per version of its file, for all
sessions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from pages.ui.shared import readers
from pages.ui.shared.readers import Version
from trainer.models import registry
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import CodecError
from trainer.store.durable import sha256
from trainer.store.feature_cache import FeatureCache, load_features
from trainer.store.reader import RunReader

if TYPE_CHECKING:
    from trainer.run.fold_result_file import FoldBlock

MAX_FOLDS = 100  # two arrays of F numbers each
MAX_CACHES = 1  # one matrix at a time: 100 MB at the competition's size


@dataclass(frozen=True)
class SoFar:
    """What the finished folds say while others are still trained.

    Attributes:
        table: As ``feature_importance.csv``, over the folds that are done; None without any.
        num_done: How many folds it is over.
        num_folds: How many there will be.
        problems: Fold files that cannot be read, in words.
    """

    table: pl.DataFrame | None
    num_done: int
    num_folds: int
    problems: tuple[str, ...]


def importance_so_far(reader: RunReader) -> SoFar:
    """Return the importance from the files of the LightGBM folds that are done."""
    units = [unit for unit in readers.units(reader) if unit.model == "lgbm"]
    read = [
        _fold(reader.paths.fold(registry.get(unit.model), unit.fold).final_path, unit.final.sha256)
        for unit in units
        if unit.done and unit.final is not None
    ]
    blocks = [block for block in read if not isinstance(block, str)]
    problems = tuple(problem for problem in read if isinstance(problem, str))
    if not blocks:
        return SoFar(None, 0, len(units), problems)
    from trainer.run.result_tables import importance_table

    return SoFar(importance_table(blocks), len(blocks), len(units), problems)


def feature_cache(reader: RunReader) -> FeatureCache | str:
    """Return the feature cache, or in words why it cannot be used; never change it in place."""
    return _cache(readers.version(reader.paths.features), reader)


@st.cache_resource(max_entries=MAX_FOLDS, show_spinner=False)
def _fold(path: Path, digest: str) -> FoldBlock | str:
    """Return a verified fold without its trees, or what is wrong with its file."""
    from trainer.run.fold_result_file import load_block

    try:
        data = path.read_bytes()
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    if sha256(data) != digest:
        return f"{path}: content differs from its recorded SHA-256; Resume redoes the fold"
    try:
        block = load_block("lgbm", data)
    except CodecError as error:
        return f"{path}: {error}"
    return dataclasses.replace(block, packed={"feature_names": block.packed["feature_names"]})


@st.cache_resource(max_entries=MAX_CACHES, show_spinner="Reading the features")
def _cache(version: Version, _reader: RunReader) -> FeatureCache | str:
    return load_features(CheckedFolder(_reader.root)) if version else "not there yet"
