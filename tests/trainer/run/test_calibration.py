"""Calibration: one temperature for the blend, fitted on other folds, in tables and predictions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pages.ui.scores import evaluation
from tests.support.tiny_runs import tiny_config, train
from trainer.data.sequences import LabelTable
from trainer.folds import FoldAssignment
from trainer.models.registry import BLEND
from trainer.models.temperature import GRID, Temperatures, scale
from trainer.predict.predictor import Predictor
from trainer.run.calibration import fit_temperatures
from trainer.store.reader import RunReader

NUM_FOLDS, FOLD_SIZE = 3, 2000
CONFIDENCE = (0.5, 1.0, 1.6)  # of each fold's probabilities; 1 is calibrated


@pytest.fixture(scope="module")
def drawn():
    """Three folds whose classes are drawn by their calibrated probabilities."""
    rng = np.random.default_rng(3)
    raw_NK = rng.normal(0, 2, (NUM_FOLDS * FOLD_SIZE, 4))
    label_idx = np.argmax(raw_NK + rng.gumbel(size=raw_NK.shape), axis=1)
    fold_N = np.arange(len(raw_NK)) % NUM_FOLDS
    names = np.arange(len(raw_NK)).astype(str)
    folds = FoldAssignment(
        names, fold_N.astype(str), label_idx, fold_N, LabelTable(("a", "b", "c", "d"), 2)
    )
    powers_NK = np.exp(np.array(CONFIDENCE)[fold_N, None] * raw_NK)
    return folds, powers_NK / powers_NK.sum(axis=1, keepdims=True)


def without_fold(folds, proba_NK, fold):
    """Return the probabilities as they are before a fold is done."""
    return np.where((folds.fold_N == fold)[:, None], np.nan, proba_NK)


def test_a_fold_gets_the_temperature_of_the_others(drawn):
    """With two folds done, each gets what fits the other one, and the third what fits both."""
    folds, proba_NK = drawn
    found = fit_temperatures(folds, without_fold(folds, proba_NK, 1), ("lgbm", "torch"))
    assert found.by_fold[0] == pytest.approx(1.6, rel=0.06)
    assert found.by_fold[2] == pytest.approx(0.5, rel=0.06)
    assert 0.5 < found.by_fold[1] == found.of_all < 1.6


def test_the_labels_of_a_fold_do_not_change_its_own_temperature(drawn):
    """Shuffled labels of fold 1 change the others' temperatures only."""
    folds, proba_NK = drawn
    label_idx = folds.label_idx.copy()
    is_own = folds.fold_N == 1
    label_idx[is_own] = np.random.default_rng(0).permutation(label_idx[is_own])
    wrong = FoldAssignment(
        folds.sequence_ids, folds.subjects, label_idx, folds.fold_N, folds.labels
    )
    before = fit_temperatures(folds, proba_NK, ("lgbm",))
    after = fit_temperatures(wrong, proba_NK, ("lgbm",))
    assert after.by_fold[1] == before.by_fold[1]
    assert after.by_fold[0] == GRID[-1]  # nothing is certain any more


def test_the_only_finished_fold_is_left_as_it_is(drawn):
    folds, proba_NK = drawn
    alone_NK = without_fold(folds, without_fold(folds, proba_NK, 1), 2)
    found = fit_temperatures(folds, alone_NK, ("lgbm",))
    assert found.by_fold[0] == 1.0
    np.testing.assert_array_equal(found.calibrate(alone_NK, folds.fold_N), alone_NK)


def test_rows_are_scaled_by_the_temperature_of_their_fold(drawn):
    folds, proba_NK = drawn
    scaled_NK = Temperatures(("lgbm",), (0.5, 1.0, 2.0)).calibrate(proba_NK, folds.fold_N)
    for fold, temperature in enumerate((0.5, 1.0, 2.0)):
        own_N = folds.fold_N == fold
        np.testing.assert_array_equal(scaled_NK[own_N], scale(proba_NK[own_N], temperature))


def evaluated(run):
    """Return what the Scores page computes from a run."""
    reader = RunReader(run)
    return evaluation.read(reader, reader.run_file(), reader.oof(), "all", reader.scores())


def temperatures_of(run):
    """Return the temperatures that predictions use."""
    return Predictor.load(run).temperatures


def test_scores_and_predictions_have_the_same_temperatures(tiny_run):
    """The page shows the mean of the models' columns at the temperature of each row's fold."""
    found = temperatures_of(tiny_run)
    assert found.models == ("lgbm", "torch")
    assert RunReader(tiny_run).scores().fold_temperatures == found.by_fold != (1.0, 1.0)
    oof = evaluated(tiny_run).oof
    mask_N, shown_NK = oof.probabilities(BLEND, {"lgbm": 0.4, "torch": 0.6})
    assert mask_N.all()
    mean_NK = 0.4 * oof.by_model["lgbm"] + 0.6 * oof.by_model["torch"]
    np.testing.assert_array_equal(shown_NK, found.calibrate(mean_NK, oof.fold_N))


def test_calibration_changes_no_score(tiny_source, tmp_path):
    """Of a run of one model: its probabilities differ, its scores and columns do not."""
    plain, calibrated = tmp_path / "plain", tmp_path / "calibrated"
    assert train(plain, tiny_config(tiny_source, "models=lgbm", "blend.calibrate=no")) == "finished"
    assert train(calibrated, tiny_config(tiny_source, "models=lgbm")) == "finished"
    assert temperatures_of(plain) == Temperatures()
    one, other = RunReader(plain), RunReader(calibrated)
    assert one.oof().equals(other.oof())
    assert one.scores().models == other.scores().models
    assert one.scores().fold_temperatures == ()
    one_NK, other_NK = (evaluated(run).oof.by_model["lgbm"] for run in (plain, calibrated))
    np.testing.assert_array_equal(one_NK, one.oof().select(pl.col("^lgbm:.*$")).to_numpy())
    assert (one_NK != other_NK).any()
    np.testing.assert_array_equal(one_NK.argmax(axis=1), other_NK.argmax(axis=1))
