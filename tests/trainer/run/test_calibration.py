"""Calibration: temperatures that are fitted on other folds, in tables and in predictions."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data.sequences import LabelTable
from trainer.folds import FoldAssignment
from trainer.models.base import FoldResult
from trainer.models.temperature import GRID, scale
from trainer.run.calibration import calibrate, fit_temperatures

NUM_FOLDS, FOLD_SIZE = 3, 2000
CONFIDENCE = (0.5, 1.0, 1.6)  # of each fold's probabilities; 1 is calibrated


@pytest.fixture(scope="module")
def drawn():
    """Three folds of one model whose classes are drawn by their calibrated probabilities."""
    rng = np.random.default_rng(3)
    raw_NK = rng.normal(0, 2, (NUM_FOLDS * FOLD_SIZE, 4))
    label_idx = np.argmax(raw_NK + rng.gumbel(size=raw_NK.shape), axis=1)
    fold_N = np.arange(len(raw_NK)) % NUM_FOLDS
    names = np.arange(len(raw_NK)).astype(str)
    labels = LabelTable(("a", "b", "c", "d"), 2)
    folds = FoldAssignment(names, fold_N.astype(str), label_idx, fold_N, labels)
    results = {}
    for fold, confidence in enumerate(CONFIDENCE):
        powers_NK = np.exp(confidence * raw_NK[fold_N == fold])
        proba_NK = powers_NK / powers_NK.sum(axis=1, keepdims=True)
        results["lgbm", fold] = FoldResult(proba_NK, None, np.ones(4, bool), 1, {})
    return folds, results


def test_a_fold_gets_the_temperature_of_the_others(drawn):
    """With two folds done, each gets what fits the other one."""
    folds, results = drawn
    two = {key: results[key] for key in (("lgbm", 0), ("lgbm", 2))}
    found = fit_temperatures(folds, two)
    assert found["lgbm", 0] == pytest.approx(1.6, rel=0.06)
    assert found["lgbm", 2] == pytest.approx(0.5, rel=0.06)


def test_the_labels_of_a_fold_do_not_change_its_own_temperature(drawn):
    """Shuffled labels of fold 1 change the others' temperatures only."""
    folds, results = drawn
    label_idx = folds.label_idx.copy()
    is_own = folds.fold_N == 1
    label_idx[is_own] = np.random.default_rng(0).permutation(label_idx[is_own])
    wrong = FoldAssignment(
        folds.sequence_ids, folds.subjects, label_idx, folds.fold_N, folds.labels
    )
    before, after = fit_temperatures(folds, results), fit_temperatures(wrong, results)
    assert after["lgbm", 1] == before["lgbm", 1]
    assert after["lgbm", 0] == GRID[-1]  # nothing is certain any more


def test_the_only_finished_fold_is_left_as_it_is(drawn):
    folds, results = drawn
    alone = {("lgbm", 0): results["lgbm", 0]}
    assert fit_temperatures(folds, alone) == {("lgbm", 0): 1.0}
    assert calibrate(alone, {})["lgbm", 0].proba_NK is results["lgbm", 0].proba_NK


def test_the_results_are_scaled_fold_by_fold(drawn):
    _, results = drawn
    scaled = calibrate(results, {("lgbm", 0): 0.5})
    np.testing.assert_array_equal(
        scaled["lgbm", 0].proba_NK, scale(results["lgbm", 0].proba_NK, 0.5)
    )
    assert scaled["lgbm", 1].proba_NK is results["lgbm", 1].proba_NK
