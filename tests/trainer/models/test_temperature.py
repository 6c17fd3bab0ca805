"""Temperature scaling: the loss at each temperature, and the scaled probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.models.temperature import GRID, cross_entropies, scale


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
