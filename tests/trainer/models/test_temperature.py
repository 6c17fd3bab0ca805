"""Temperature scaling: the loss at each temperature, and the scaled probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.models.temperature import (
    GRID,
    NOT_CALIBRATED,
    Temperatures,
    cross_entropies,
    scale,
)
from trainer.plain_data import DamagedDataError


def draw(confidence):
    """Return probabilities of 4,000 sequences and classes drawn by those at a confidence of 1."""
    rng = np.random.default_rng(7)
    raw_NK = rng.normal(0, 2, (4000, 5))
    label_idx = np.argmax(raw_NK + rng.gumbel(size=raw_NK.shape), axis=1)
    powers_NK = np.exp(confidence * raw_NK)
    return powers_NK / powers_NK.sum(axis=1, keepdims=True), label_idx


@pytest.mark.parametrize("confidence", [0.5, 1.0, 1.7])
def test_the_temperature_that_classes_were_drawn_at_has_the_smallest_loss(confidence):
    """Scores that are half as confident as calibrated ones, calibrated, and 1.7 times that."""
    losses_G = cross_entropies(*draw(confidence))
    assert GRID[int(np.argmin(losses_G))] == pytest.approx(confidence, rel=0.06)


def test_rows_without_an_error_and_unknown_classes_have_finite_losses():
    """The grid ends at 0.4 and 2.0; a class with probability 0 breaks nothing."""
    sure_NK = np.array([[0.99, 0.01, 0.0], [0.01, 0.99, 0.0]])
    assert np.argmin(cross_entropies(sure_NK, np.array([0, 1]))) == 0
    assert GRID[0] == 0.4
    assert GRID[-1] == pytest.approx(2.0, abs=0.01)
    assert np.isfinite(cross_entropies(sure_NK, np.array([2, 2]))).all()


@pytest.mark.parametrize("temperature", [1e-6, 0.4, 1.0, 2.0, 1e6])
def test_scaled_probabilities_keep_their_order_and_sum_to_one(temperature):
    proba_NK, _ = draw(1.0)
    scaled_NK = scale(proba_NK, temperature)
    np.testing.assert_allclose(scaled_NK.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(scaled_NK.argmax(axis=1), proba_NK.argmax(axis=1))


def test_scaling_divides_the_logarithms():
    proba_NK = np.array([[0.64, 0.36, 0.0]])
    np.testing.assert_allclose(scale(proba_NK, 2.0), [[0.8 / 1.4, 0.6 / 1.4, 0.0]], rtol=1e-12)


PLAIN = {"models": ["lgbm", "torch"], "by_fold": [0.7, 1.2], "of_all": 0.9}


def test_the_temperatures_of_a_file_come_back():
    found = Temperatures.from_plain(PLAIN, 2)
    assert found.to_plain() == PLAIN
    assert found.of(["torch", "lgbm"], fold=None) == 0.9
    assert found.of(["lgbm", "torch"], fold=1) == 1.2
    assert Temperatures.from_plain({}, 2).of(["lgbm"], fold=0) == 1.0


def test_a_blend_of_other_models_has_no_temperature():
    """It is as certain as the models, and a note says so."""
    found = Temperatures.from_plain(PLAIN, 2)
    assert found.of(["lgbm"], fold=None) == 1.0
    assert found.describe_missing(["lgbm"]) == (
        "probabilities are not calibrated, since a model of the blend is missing",
    )
    assert found.describe_missing(["lgbm", "torch"]) == ()
    assert NOT_CALIBRATED.describe_missing(["lgbm"]) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"by_fold": [0.7]}, "by_fold: expected 2 numbers, got 1"),
        ({"by_fold": [0.7, 0.0]}, "fold 1: expected 1e-06 to 1e\\+06, got 0"),
        ({"by_fold": [0.7, "1"]}, "fold 1: expected float, got a str"),
        ({"of_all": float("nan")}, "of_all: expected 1e-06 to 1e\\+06, got nan"),
        ({"models": []}, "models: expected 1 to 1000 names, got 0"),
    ],
)
def test_damaged_temperatures_are_refused(change, reason):
    with pytest.raises(DamagedDataError, match=reason):
        Temperatures.from_plain(PLAIN | change, 2)
