"""Evaluation: what the out-of-fold predictions of one run amount to, computed once per version.

In: a run, the choice of sensors and model. Out: frames and figures, each computed once per version
of the run's files, for all sessions. What is returned is shared: never change it in place.

Shapes: M scored sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from pages.ui.scores import calibration
from pages.ui.shared import readers, results
from pages.ui.shared.readers import Version
from pages.ui.shared.results import Integers, OutOfFold
from trainer.models.registry import BLEND
from trainer.store.reader import RunReader
from trainer.store.records import Labels, RunFile

Weights = tuple[tuple[str, float], ...]  # hashable: a part of the caches' keys
Key = tuple[Hashable, ...]

MAX_TABLES = 16  # out-of-fold tables of up to a few MB
MAX_VIEWS = 64
MAX_FIGURES = 128  # of some 20 kB each


@dataclass(frozen=True)
class ModelEvaluation:
    """The out-of-fold predictions of one model, or of the blend, in detail.

    Attributes:
        key: Identifies the run's files, the sensors and the model; part of each figure's key.
        num: Number of scored sequences.
        count_KK: Confusion matrix, rows the true class.
        gestures: From ``results.gesture_table``.
        pairs: From ``results.pair_table``.
        predictions: From ``results.prediction_table``.
        subjects: From ``results.subject_table``; for the blend also the score of each model.
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
    """One run under one choice of sensors."""

    oof: OutOfFold
    version: Version
    sensors: str
    weights: Weights

    @property
    def key(self) -> Key:
        """Return what identifies the run's files and the sensors; part of each figure's key."""
        return (self.version, self.sensors)

    def folds(self) -> pl.DataFrame:
        """Return ``results.fold_table``."""
        return _folds(self.version, self.sensors, self.weights, self.oof)

    def of_model(self, model: str) -> ModelEvaluation:
        """Return the evaluation of one of ``oof.choices``."""
        return _of_model(self.version, self.sensors, self.weights, model, self.oof)

    def calibration(self) -> pl.DataFrame:
        """Return ``calibration.calibration_table``."""
        return _calibration(self.version, self.sensors, self.weights, self.oof)


def read(run: RunReader, run_file: RunFile, table: pl.DataFrame, sensors: str) -> Evaluation:
    """Read the out-of-fold table for one choice of sensors.

    Raises:
        ValueError: It does not fit the run; the message says why.
    """
    version = readers.version(run.paths.oof, run.paths.config)
    oof = _oof(version, sensors, run_file.labels, table)
    return Evaluation(oof, version, sensors, tuple(run_file.blend.by_model.items()))


@st.cache_resource(max_entries=MAX_FIGURES, show_spinner=False)
def cached_figure(key: Key, _draw: Callable[[], go.Figure]) -> go.Figure:
    """Return the figure of this key; drawing costs more than the numbers.

    Args:
        key: Identifies the figure and the version of everything it shows.
        _draw: Draws it.
    """
    return _draw()


@st.cache_resource(max_entries=MAX_TABLES, show_spinner=False)
def _oof(version: Version, sensors: str, _labels: Labels, _table: pl.DataFrame) -> OutOfFold:
    return results.read_oof(_table, _labels.gestures, _labels.num_targets, sensors)


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _folds(version: Version, sensors: str, weights: Weights, _oof: OutOfFold) -> pl.DataFrame:
    return results.fold_table(_oof, dict(weights))


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _of_model(
    version: Version, sensors: str, weights: Weights, model: str, _oof: OutOfFold
) -> ModelEvaluation:
    by_name = dict(weights)
    mask, proba_MK = _oof.probabilities(model, by_name)
    true_M, predicted_M = _oof.true_N[mask], proba_MK.argmax(axis=1)
    count_KK = results.confusion(true_M, predicted_M, len(_oof.gestures))
    return ModelEvaluation(
        key=(version, sensors, model),
        num=int(mask.sum()),
        count_KK=count_KK,
        gestures=results.gesture_table(count_KK, _oof.gestures, _oof.num_targets),
        pairs=results.pair_table(count_KK, _oof.gestures),
        predictions=results.prediction_table(_oof, model, by_name),
        subjects=_subjects(_oof, model, by_name),
        bins=calibration.reliability_table(true_M, proba_MK),
    )


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _calibration(version: Version, sensors: str, weights: Weights, _oof: OutOfFold) -> pl.DataFrame:
    return calibration.calibration_table(_oof, dict(weights))


def _subjects(oof: OutOfFold, model: str, weights: dict[str, float]) -> pl.DataFrame:
    """Return the subjects of a model; of the blend with a column of scores per model."""
    table = results.subject_table(oof, model, weights)
    for name in oof.by_model if model == BLEND else ():
        own = results.subject_table(oof, name, weights)
        own = own.select("subject", pl.col("score").alias(name))
        table = table.join(own, on="subject", how="left", maintain_order="left")
    return table
