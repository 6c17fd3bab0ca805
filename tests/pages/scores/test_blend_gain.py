"""The gain of the blend, against calculations that go row by row."""

import numpy as np
import pytest

from pages.ui.scores.blend_gain import (
    CHOSEN,
    NUM_RESAMPLES,
    best_candidate,
    blend_gain,
    candidate_predictions,
    candidate_weights,
    draw_subjects,
    nested_weights,
    tail_share,
)
from trainer.blend import blend_probabilities
from trainer.metric import competition_score

NUM_TARGETS, NUM_CLASSES = 3, 5
WEIGHTS = {"first": 0.4, "second": 0.6, "third": 0.5}


def predictions(names=("first", "second"), num=120, num_subjects=8, seed=0):
    """Return probabilities by model, true classes, folds and subjects."""
    random = np.random.default_rng(seed)
    true_N = random.integers(0, NUM_CLASSES, num)
    subject_N = random.integers(0, num_subjects, num)
    by_model = {}
    for strength, name in enumerate(names, start=1):
        proba_NK = random.random((num, NUM_CLASSES))
        proba_NK[np.arange(num), true_N] += 0.25 * strength
        by_model[name] = proba_NK / proba_NK.sum(axis=1, keepdims=True)
    return by_model, true_N, subject_N % 3, [f"subject {k}" for k in subject_N]


def score(true_N, predicted_N):
    return competition_score(true_N, predicted_N, NUM_TARGETS).score


def chosen_by_hand(by_model, true_N, fold_N):
    """Return the fold's chosen weights and the predictions that they give, one blend at a time."""
    weights, predicted_N = {}, np.empty_like(true_N)
    for fold in np.unique(fold_N):
        others = fold_N != fold
        scores = []
        for candidate in candidate_weights(len(by_model)):
            blended_NK = sum(w * p for w, p in zip(candidate, by_model.values(), strict=True))
            scores.append(score(true_N[others], blended_NK.argmax(axis=1)[others]))
        candidates = candidate_weights(len(by_model))
        best = candidates[np.isclose(scores, max(scores), atol=1e-12)]
        central = best[np.argmin(np.linalg.norm(best - best.mean(axis=0), axis=1))]
        weights[int(fold)] = central
        blended_NK = sum(w * p for w, p in zip(central, by_model.values(), strict=True))
        predicted_N[~others] = blended_NK.argmax(axis=1)[~others]
    return weights, predicted_N


@pytest.mark.parametrize("names", [("first", "second"), ("first", "second", "third")])
def test_weights_are_chosen_by_the_score_of_the_other_folds(names):
    """For each fold every candidate is scored on the rows of the others; then on this fold."""
    by_model, true_N, fold_N, subjects = predictions(names)
    expected, predicted_N = chosen_by_hand(by_model, true_N, fold_N)
    candidate_WN = candidate_predictions(by_model)
    chosen = nested_weights(names, candidate_WN, true_N, fold_N, NUM_TARGETS)
    assert list(chosen) == [0, 1, 2]
    for fold, weights in chosen.items():
        assert list(weights.values()) == pytest.approx(expected[fold].tolist())
    gain = blend_gain(by_model, WEIGHTS, true_N, fold_N, subjects, NUM_TARGETS)
    by_score = [each for each in gain.comparisons if each.measure == "score"]
    assert [each.other for each in by_score] == [*names, CHOSEN]
    assert by_score[-1].alternative == pytest.approx(score(true_N, predicted_N))


def test_a_folds_own_rows_do_not_change_its_weights():
    """Other true classes in fold 1 change the weights of the other folds only."""
    by_model, true_N, fold_N, _ = predictions()
    names, candidate_WN = list(by_model), candidate_predictions(by_model)
    before = nested_weights(names, candidate_WN, true_N, fold_N, NUM_TARGETS)
    changed_N = np.where(fold_N == 1, by_model["first"].argmax(axis=1), true_N)
    after = nested_weights(names, candidate_WN, changed_N, fold_N, NUM_TARGETS)
    assert after[1] == before[1]
    assert after != before


def test_the_interval_is_that_of_rows_drawn_by_subject():
    """Rows of each drawn subject are repeated, scored, and the differences sorted."""
    by_model, true_N, fold_N, subjects = predictions()
    gain = blend_gain(by_model, WEIGHTS, true_N, fold_N, subjects, NUM_TARGETS)
    names, subject_N = np.unique(subjects, return_inverse=True)
    blend_N = blend_probabilities(by_model, WEIGHTS)[0].argmax(axis=1)
    other_N = by_model["second"].argmax(axis=1)
    differences = []
    for times_S in draw_subjects(len(names)):
        rows = np.repeat(np.arange(len(true_N)), times_S[subject_N])
        accuracies = [np.mean(one_N[rows] == true_N[rows]) for one_N in (blend_N, other_N)]
        scores = [score(true_N[rows], one_N[rows]) for one_N in (blend_N, other_N)]
        differences.append((scores[0] - scores[1], accuracies[0] - accuracies[1]))
    tail = tail_share(len(names))
    ends = np.quantile(differences, [tail, 1 - tail], axis=0)
    found = [each for each in gain.comparisons if each.other == "second"]
    for k, each in enumerate(found):
        assert (each.low, each.high) == pytest.approx(tuple(ends[:, k]), abs=1e-12)
    assert found[0].difference == pytest.approx(score(true_N, blend_N) - score(true_N, other_N))


def test_every_resample_has_as_many_subjects_and_is_the_same_each_time():
    """Drawn with replacement, with a fixed seed."""
    drawn_RS = draw_subjects(10)
    assert drawn_RS.shape == (NUM_RESAMPLES, 10)
    assert set(drawn_RS.sum(axis=1)) == {10}
    assert drawn_RS.max() > 1
    assert (drawn_RS == draw_subjects(10)).all()


@pytest.mark.parametrize(("num_subjects", "share"), [(10, 0.0086), (1000, 0.0249)])
def test_few_subjects_have_wider_percentiles(num_subjects, share):
    """Normal distribution below -t * sqrt(S / (S - 1)): t is 2.262 at 9 degrees of freedom."""
    assert tail_share(num_subjects) == pytest.approx(share, abs=2e-4)


def test_few_subjects_have_no_interval_and_one_fold_no_chosen_weights():
    """Four subjects of one fold: the differences alone."""
    by_model, true_N, fold_N, subjects = predictions(num_subjects=4)
    gain = blend_gain(by_model, WEIGHTS, true_N, 0 * fold_N, subjects, NUM_TARGETS)
    assert {each.other for each in gain.comparisons} == {"first", "second"}
    assert {each.low for each in gain.comparisons} == {None}
    assert gain.chosen == {}


@pytest.mark.parametrize(("num_models", "num_candidates"), [(2, 41), (3, 66), (4, 56), (5, 15)])
def test_candidate_weights_sum_to_one_and_are_few(num_models, num_candidates):
    """Steps of 0.025 for two models, of 0.1 for three; each model alone is one of them."""
    candidates_WM = candidate_weights(num_models)
    assert candidates_WM.shape == (num_candidates, num_models)
    assert candidates_WM.sum(axis=1) == pytest.approx(1.0)
    assert np.eye(num_models).tolist() == [
        row for row in candidates_WM.tolist()[::-1] if max(row) == 1.0
    ]


def test_each_candidate_predicts_as_its_blend():
    """Also where all models predict the same class, which is not computed again."""
    by_model, *_ = predictions()
    names = list(by_model)
    for weights, predicted_N in zip(
        candidate_weights(2), candidate_predictions(by_model), strict=True
    ):
        blended_NK, _ = blend_probabilities(by_model, dict(zip(names, weights, strict=True)))
        assert predicted_N.tolist() == blended_NK.argmax(axis=1).tolist()


def test_of_equally_good_weights_the_middle_one_is_the_best():
    """A plateau's edge is where the score falls off."""
    candidates_WM = np.array([[k / 4, 1 - k / 4] for k in range(5)])
    assert best_candidate(np.array([0.1, 0.9, 0.9, 0.9, 0.2]), candidates_WM) == 2
