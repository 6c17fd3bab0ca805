"""Blending: the weighted mean over folds and over models, of those that exist."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.blend import BlendError, blend_probabilities, used_weights, vote

FAMILY_WEIGHTS = {"lgbm": 0.4, "torch": 0.6}


def fold_votes(*rows):
    """Return (M, 1, K): one sequence, one row of probabilities per fold."""
    return np.array(rows, dtype=np.float64)[:, None, :]


def test_folds_have_equal_weights_by_default():
    """Without weights the vote is the mean of the folds."""
    voted_NK = vote(fold_votes([0.8, 0.2], [0.4, 0.6]))
    assert voted_NK == pytest.approx(np.array([[0.6, 0.4]]))


def test_folds_are_averaged_by_weight():
    """A fold of weight 3 counts three times one of weight 1; only the ratio matters."""
    votes_MNK = fold_votes([0.8, 0.2], [0.4, 0.6])
    assert vote(votes_MNK, np.array([3.0, 1.0])) == pytest.approx(np.array([[0.7, 0.3]]))
    assert vote(votes_MNK, np.array([0.3, 0.1])) == pytest.approx(np.array([[0.7, 0.3]]))


def test_a_class_counts_only_in_the_folds_that_were_trained_on_it():
    """Fold 1 was not trained on class 2: its 0 does not count, and rows still sum to 1."""
    known_MK = np.array([[True, True, True], [True, True, False]])
    voted_NK = vote(fold_votes([0.2, 0.2, 0.6], [0.5, 0.5, 0.0]), known_MK=known_MK)
    # class 0 and 1: mean(0.2, 0.5) = 0.35; class 2: 0.6 of fold 0 alone; sum 1.3
    assert voted_NK == pytest.approx(np.array([[0.35, 0.35, 0.6]]) / 1.3)
    assert np.argmax(voted_NK) == 2


def test_a_class_that_no_fold_saw_has_no_probability():
    """No fold was trained on class 1: it gets 0, the others share the rest."""
    known_MK = np.array([[True, False], [True, False]])
    assert vote(fold_votes([0.7, 0.3], [0.6, 0.4]), known_MK=known_MK).tolist() == [[1.0, 0.0]]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**31))
def test_a_vote_is_a_distribution(num_folds, num_sequences, num_classes, seed):
    """Rows sum to 1 and lie in 0..1, for any known classes and weights."""
    random = np.random.default_rng(seed)
    votes_MNK = random.dirichlet(np.ones(num_classes), (num_folds, num_sequences))
    known_MK = random.random((num_folds, num_classes)) < 0.7
    known_MK[0, 0] = True
    voted_NK = vote(votes_MNK, random.random(num_folds) + 0.01, known_MK)
    assert voted_NK.shape == (num_sequences, num_classes)
    assert voted_NK.sum(axis=1) == pytest.approx(1.0)
    assert voted_NK.min() >= 0.0


@pytest.mark.parametrize("weights", [[0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_fold_weights_that_mean_nothing_are_refused(weights):
    """The message contains the expected and the actual value."""
    with pytest.raises(BlendError, match="fold weights: expected at least one above 0, got"):
        vote(fold_votes([0.5, 0.5], [0.5, 0.5]), np.array(weights))


def test_a_vote_without_folds_is_refused():
    """An empty vote is an error, not a division by zero."""
    with pytest.raises(BlendError, match="fold weights"):
        vote(np.zeros((0, 2, 3)))


def test_models_are_blended_by_their_weights():
    """0.4 LightGBM + 0.6 network, and these weights are returned."""
    by_model = {"lgbm": np.array([[0.9, 0.1]]), "torch": np.array([[0.2, 0.8]])}
    blended_NK, used = blend_probabilities(by_model, FAMILY_WEIGHTS)
    assert blended_NK == pytest.approx(np.array([[0.48, 0.52]]))
    assert used == {"lgbm": 0.4, "torch": 0.6}


def test_weights_need_not_sum_to_one():
    """Weights are a ratio: 2 and 6 are 0.25 and 0.75."""
    assert used_weights({"lgbm": 0, "torch": 0}, {"lgbm": 2.0, "torch": 6.0}) == {
        "lgbm": 0.25,
        "torch": 0.75,
    }


def test_a_missing_model_leaves_its_weight_to_the_other():
    """With LightGBM alone its probabilities come out unchanged, with weight 1."""
    proba_NK = np.array([[0.9, 0.1], [0.3, 0.7]])
    blended_NK, used = blend_probabilities({"lgbm": proba_NK}, FAMILY_WEIGHTS)
    assert blended_NK.tolist() == proba_NK.tolist()
    assert used == {"lgbm": 1.0}


@pytest.mark.parametrize(
    ("models", "weights"),
    [
        ({}, FAMILY_WEIGHTS),
        ({"lgbm": np.ones((1, 1))}, {"lgbm": 0.0, "torch": 1.0}),
        ({"lgbm": np.ones((1, 1))}, {}),
    ],
)
def test_a_blend_of_nothing_is_refused(models, weights):
    """No model, or none with a weight: the message names the settings to change."""
    names = r"Set blend\.lgbm_weight, blend\.torch_weight or blend\.weights"
    with pytest.raises(BlendError, match=names):
        blend_probabilities(models, weights)
