"""Evaluation: tables and figures of a run's out-of-fold predictions, computed once per version.

In: a run, the choice of sensors and model. Out: frames and figures, each computed once per version
of the run's files, for all sessions. What is returned is shared: never change it in place.

Shapes: M scored sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import polars as pl
import streamlit as st

from pages.ui.scores import calibration, result_tables
from pages.ui.shared import readers, results
from pages.ui.shared.readers import Version
from pages.ui.shared.results import Integers, OutOfFold
from trainer.models.registry import BLEND
from trainer.store.reader import RunReader
from trainer.store.records import Labels, RunFile, Scores

T = TypeVar("T")
Key = tuple[Hashable, ...]

MAX_TABLES = 16  # out-of-fold tables of up to a few MB
MAX_RESULTS = 192  # figures of some 20 kB each, tables of up to 1 MB


@dataclass(frozen=True)
class ModelEvaluation:
    """The out-of-fold predictions of one model, or of the blend, in detail.

    Attributes:
        key: Identifies the run's files, the sensors and the model; part of each figure's key.
        num: Number of scored sequences.
        count_KK: Confusion matrix, rows the true class.
        gestures: From ``result_tables.gesture_table``.
        pairs: From ``result_tables.pair_table``.
        predictions: From ``results.prediction_table``.
        subjects: From ``result_tables.subject_table``; for the blend also the score of each model.
        bins: From ``calibration.reliability_table``.
    """

    key: Key
    num: int
    count_KK: Integers
    gestures: pl.DataFrame
    pairs: pl.DataFrame
    predictions: pl.DataFrame
    subjects: pl.DataFrame
    bins: pl.DataFrame


@dataclass(frozen=True)
class Evaluation:
    """One run under one choice of sensors.

    Attributes:
        oof: Out-of-fold probabilities.
        weights: Of the blend, by model.
        key: Identifies the run's files and the sensors; part of each figure's key.
    """

    oof: OutOfFold
    weights: dict[str, float]
    key: Key

    def folds(self) -> pl.DataFrame:
        """Return ``result_tables.fold_table``."""
        return cached(
            ("fold table", *self.key), lambda: result_tables.fold_table(self.oof, self.weights)
        )

    def of_model(self, model: str) -> ModelEvaluation:
        """Return the evaluation of one of ``oof.choices``."""
        key = (*self.key, model)
        return cached(("model", *key), lambda: _of_model(self.oof, self.weights, model, key))

    def calibration(self) -> pl.DataFrame:
        """Return ``calibration.calibration_table``."""
        return cached(
            ("calibration table", *self.key),
            lambda: calibration.calibration_table(self.oof, self.weights),
        )


def read(
    run: RunReader, run_file: RunFile, table: pl.DataFrame, sensors: str, scores: Scores | None
) -> Evaluation:
    """Read the out-of-fold table for one choice of sensors.

    Args:
        run: The run.
        run_file: Its configuration.
        table: ``oof.parquet``.
        sensors: One of ``results.SENSORS``.
        scores: ``scores.json``, which has the temperatures of the blend; None where it is missing.

    Raises:
        ValueError: It does not fit the run; the message has the reason.
    """
    version = readers.version(run.paths.oof, run.paths.config)
    temperatures = () if scores is None else scores.fold_temperatures
    oof = _oof(version, sensors, run_file.labels, run_file.models, table, temperatures)
    return Evaluation(oof, run_file.blend.by_model, (version, sensors, temperatures))


@st.cache_resource(max_entries=MAX_RESULTS, show_spinner=False)
def cached(key: Key, _compute: Callable[[], T]) -> T:
    """Return the table or figure of this key, computed at the first call.

    Args:
        key: Identifies it and the version of everything it depends on.
        _compute: Computes it.
    """
    return _compute()


@st.cache_resource(max_entries=MAX_TABLES, show_spinner=False)
def _oof(
    version: Version,
    sensors: str,
    _labels: Labels,
    models: tuple[str, ...],
    _table: pl.DataFrame,
    temperatures: tuple[float, ...],
) -> OutOfFold:
    return results.read_oof(
        _table, _labels.gestures, _labels.num_targets, sensors, models, temperatures
    )


def _of_model(oof: OutOfFold, weights: dict[str, float], model: str, key: Key) -> ModelEvaluation:
    mask, proba_MK = oof.probabilities(model, weights)
    true_M, predicted_M = oof.true_N[mask], proba_MK.argmax(axis=1)
    count_KK = result_tables.confusion(true_M, predicted_M, len(oof.gestures))
    return ModelEvaluation(
        key=key,
        num=int(mask.sum()),
        count_KK=count_KK,
        gestures=result_tables.gesture_table(count_KK, oof.gestures, oof.num_targets),
        pairs=result_tables.pair_table(count_KK, oof.gestures),
        predictions=results.prediction_table(oof, model, weights),
        subjects=_subjects(oof, model, weights),
        bins=calibration.reliability_table(true_M, proba_MK),
    )


def _subjects(oof: OutOfFold, model: str, weights: dict[str, float]) -> pl.DataFrame:
    """Return the subjects of a model; of the blend with a column of scores per model."""
    table = result_tables.subject_table(oof, model, weights)
    for name in oof.by_model if model == BLEND else ():
        own = result_tables.subject_table(oof, name, weights)
        own = own.select("subject", pl.col("score").alias(name))
        table = table.join(own, on="subject", how="left", maintain_order="left")
    return table
