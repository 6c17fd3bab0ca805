"""Scoreboard: everything the page Scores shows of one run, computed once per version of its files.

In: a run, the choice of sensors and model. Out: frames. What is returned is shared: never change it
in place.

Shapes: M scored sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import polars as pl
import streamlit as st

from pages.ui.scores import blend_weights, calibration
from pages.ui.shared import readers, results
from pages.ui.shared.readers import Version
from pages.ui.shared.results import Integers, OutOfFold
from trainer.blend import used_weights
from trainer.store.reader import RunReader
from trainer.store.records import Labels, RunFile

Weights = tuple[tuple[str, float], ...]  # hashable: a part of the caches' keys
Key = tuple[Hashable, ...]

MAX_TABLES = 16  # out-of-fold tables of up to a few MB
MAX_VIEWS = 64


@dataclass(frozen=True)
class CloseUp:
    """One model's answers, looked at closely.

    Attributes:
        key: Names the run's files, the sensors and the model; of the figures drawn of it.
        num: How many sequences it has scored.
        count_KK: Confusion counts, rows the truth.
        gestures: From ``results.gesture_table``.
        pairs: From ``results.pair_table``.
        answers: From ``results.answer_table``.
        subjects: From ``results.subject_table``; for the blend also the score of each model.
        bins: From ``calibration.reliability_table``.
    """

    key: Key
    num: int
    count_KK: Integers
    gestures: pl.DataFrame
    pairs: pl.DataFrame
    answers: pl.DataFrame
    subjects: pl.DataFrame
    bins: pl.DataFrame


@dataclass(frozen=True)
class BlendReport:
    """What other weights of the blend would have done.

    Attributes:
        key: Names the run's files and the sensors.
        curve: From ``blend_weights.weight_curve``.
        best: Its best row.
        used: LightGBM's share in use, and its out-of-fold score.
        nested: From ``blend_weights.nested_check``.
    """

    key: Key
    curve: pl.DataFrame
    best: int
    used: tuple[float, float]
    nested: pl.DataFrame | None


@dataclass(frozen=True)
class Scoreboard:
    """One run under one choice of sensors."""

    oof: OutOfFold
    version: Version
    sensors: str
    weights: Weights

    @property
    def key(self) -> Key:
        """Return what names the run's files and the sensors, for the figures drawn of them."""
        return (self.version, self.sensors)

    def folds(self) -> pl.DataFrame:
        """Return ``results.fold_table``."""
        return _folds(self.version, self.sensors, self.weights, self.oof)

    def close_up(self, model: str) -> CloseUp:
        """Look closely at one of ``oof.choices``."""
        return _close_up(self.version, self.sensors, self.weights, model, self.oof)

    def calibration(self) -> pl.DataFrame:
        """Return ``calibration.calibration_table``."""
        return _calibration(self.version, self.sensors, self.weights, self.oof)

    def blend(self) -> BlendReport:
        """Return what other weights would have done; only where "blend" is a choice."""
        return _blend(self.version, self.sensors, self.weights, self.oof)


def read(run: RunReader, run_file: RunFile, table: pl.DataFrame, sensors: str) -> Scoreboard:
    """Read the out-of-fold table for one choice of sensors.

    Raises:
        ValueError: It does not fit the run; the message says why.
    """
    version = readers.version(run.paths.oof, run.paths.config)
    labels, weights = run_file.labels, run_file.blend
    oof = _oof(version, sensors, labels, table)
    return Scoreboard(
        oof, version, sensors, (("lgbm", weights.lgbm_weight), ("torch", weights.torch_weight))
    )


@st.cache_resource(max_entries=MAX_TABLES, show_spinner=False)
def _oof(version: Version, sensors: str, _labels: Labels, _table: pl.DataFrame) -> OutOfFold:
    return results.read_oof(_table, _labels.gestures, _labels.num_targets, sensors)


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _folds(version: Version, sensors: str, weights: Weights, _oof: OutOfFold) -> pl.DataFrame:
    return results.fold_table(_oof, dict(weights))


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _close_up(
    version: Version, sensors: str, weights: Weights, model: str, _oof: OutOfFold
) -> CloseUp:
    by_name = dict(weights)
    mask, proba_MK = _oof.probabilities(model, by_name)
    true_M, guess_M = _oof.true_N[mask], proba_MK.argmax(axis=1)
    count_KK = results.confusion(true_M, guess_M, len(_oof.gestures))
    return CloseUp(
        key=(version, sensors, model),
        num=int(mask.sum()),
        count_KK=count_KK,
        gestures=results.gesture_table(count_KK, _oof.gestures, _oof.num_targets),
        pairs=results.pair_table(count_KK, _oof.gestures),
        answers=results.answer_table(_oof, model, by_name),
        subjects=_subjects(_oof, model, by_name),
        bins=calibration.reliability_table(true_M, proba_MK),
    )


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _calibration(version: Version, sensors: str, weights: Weights, _oof: OutOfFold) -> pl.DataFrame:
    return calibration.calibration_table(_oof, dict(weights))


@st.cache_resource(max_entries=MAX_VIEWS, show_spinner=False)
def _blend(version: Version, sensors: str, weights: Weights, _oof: OutOfFold) -> BlendReport:
    share = used_weights(_oof.by_model, dict(weights))["lgbm"]
    curve = blend_weights.weight_curve(_oof)
    mask, proba_MK = _oof.probabilities("blend", dict(weights))
    parts = results.score_parts(_oof.true_N[mask], proba_MK.argmax(axis=1), _oof.num_targets)
    return BlendReport(
        key=(version, sensors),
        curve=curve,
        best=blend_weights.best_place(curve["score"].to_numpy()),
        used=(share, parts["score"]),
        nested=blend_weights.nested_check(_oof, share),
    )


def _subjects(oof: OutOfFold, model: str, weights: dict[str, float]) -> pl.DataFrame:
    """Return the model's table; a blend's with the score of each model beside it."""
    table = results.subject_table(oof, model, weights)
    for name in oof.by_model if model == "blend" else ():
        own = results.subject_table(oof, name, weights)
        own = own.select("subject", pl.col("score").alias(name))
        table = table.join(own, on="subject", how="left", maintain_order="left")
    return table
