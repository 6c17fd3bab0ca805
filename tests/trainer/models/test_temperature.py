"""Temperature: fitted, kept in the fold; the predicted class of a model alone does not change."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.fold_tasks import (
    BOOSTING_CONFIG,
    NETWORK_CONFIG,
    fit_frame_fold,
    fit_table_fold,
    make_frame_task,
    make_table_task,
)
from trainer.models.boosting import model as boosting_model
from trainer.models.boosting.booster import contributions, predict, predict_many, raw_scores
from trainer.models.network import packed_network as network_model
from trainer.models.network.inference import predict_fold
from trainer.models.temperature import GRID, fit_temperature


def draw(scale):
    """Return raw scores of 4,000 sequences and classes drawn by them, then scaled."""
    rng = np.random.default_rng(7)
    raw_NK = rng.normal(0, 2, (4000, 5))
    label_idx = np.argmax(raw_NK + rng.gumbel(size=raw_NK.shape), axis=1)
    return scale * raw_NK, label_idx


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_the_temperature_that_classes_were_drawn_at_is_found(scale):
    """Scores that are half as confident as calibrated ones, calibrated, and 1.7 times that."""
    assert fit_temperature(*draw(scale)) == pytest.approx(scale, rel=0.06)


def test_a_validation_part_without_errors_gives_a_bounded_temperature():
    """The grid ends at 0.4 and 2.0; an unknown class (minus infinity) breaks nothing."""
    confident_NK = np.array([[5.0, 0.0, -np.inf], [0.0, 5.0, -np.inf]])
    assert fit_temperature(confident_NK, np.array([0, 1])) == GRID[0] == 0.4
    assert GRID[-1] == pytest.approx(2.0, abs=0.01)
    assert fit_temperature(confident_NK, np.array([2, 2])) in GRID


def test_lightgbm_keeps_its_temperature_and_its_predicted_classes():
    """The same trees and classes; probabilities, contributions and the packed model agree on it."""
    plain = fit_table_fold()
    fitted = fit_table_fold(config=BOOSTING_CONFIG.model_copy(update={"fit_temperature": True}))
    model, valid_NF = fitted.model, make_table_task().inputs.values_NF[make_table_task().valid_idx]
    assert model.text == plain.model.text and model.temperature != 1.0
    np.testing.assert_array_equal(
        fitted.valid_proba_NK.argmax(axis=1), plain.valid_proba_NK.argmax(axis=1)
    )
    np.testing.assert_array_equal(fitted.last_proba_NK, plain.last_proba_NK)
    for again in (model, boosting_model.unpack(boosting_model.pack(model))):
        np.testing.assert_array_equal(predict(again, valid_NF), fitted.valid_proba_NK)
    np.testing.assert_allclose(predict_many(model, valid_NF), fitted.valid_proba_NK, atol=1e-12)
    np.testing.assert_allclose(
        contributions(model, valid_NF).sum(axis=2), raw_scores(model, valid_NF), atol=1e-9
    )


def test_the_network_keeps_its_temperature_and_its_predicted_classes():
    """The same weights and classes; the probabilities of the fixed epoch do not change."""
    plain = fit_frame_fold()
    fitted = fit_frame_fold(config=NETWORK_CONFIG.model_copy(update={"fit_temperature": True}))
    task = make_frame_task()
    assert fitted.model.sizes.temperature in GRID
    assert all(fitted.model.weights[name].equal(w) for name, w in plain.model.weights.items())
    np.testing.assert_array_equal(
        fitted.valid_proba_NK.argmax(axis=1), plain.valid_proba_NK.argmax(axis=1)
    )
    assert np.abs(fitted.valid_proba_NK - plain.valid_proba_NK).max() > 1e-3
    np.testing.assert_array_equal(fitted.last_proba_NK, plain.last_proba_NK)
    for again in (fitted.model, network_model.unpack(network_model.pack(fitted.model))):
        predicted_NK = predict_fold(again, task.inputs, task.valid_idx)
        np.testing.assert_array_equal(predicted_NK, fitted.valid_proba_NK)
