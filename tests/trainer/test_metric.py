"""The competition's score: compared with literal values and scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainer.metric import Score, competition_score, count_cases, measures

NUM_TARGETS = 8  # of the competition's 18 gestures
NUM_GESTURES = 18


def score(true, predicted, num_targets=NUM_TARGETS):
    return competition_score(np.array(true), np.array(predicted), num_targets)


def by_definition(true_idx, predicted_idx, num_targets):
    """The metric as published by the competition, written with scikit-learn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of labels that look continuous
        binary = f1_score(
            true_idx < num_targets, predicted_idx < num_targets, average="binary", zero_division=0
        )
        macro = f1_score(
            np.minimum(true_idx, num_targets),
            np.minimum(predicted_idx, num_targets),
            average="macro",
            zero_division=0,
        )
    return Score(float(binary), float(macro))


def test_a_perfect_prediction_scores_one():
    """All correct: both parts are 1."""
    assert score(range(18), range(18)) == Score(1.0, 1.0)


def test_the_wrong_target_everywhere_scores_one_half():
    """Every sequence is a target and predicted as another one: binary 1, macro 0 (its doctest)."""
    result = score([0, 1, 2, 3], [1, 2, 3, 0])
    assert result == Score(1.0, 0.0)
    assert result.score == 0.5


def test_confusing_one_non_target_with_another_costs_nothing():
    """All non-targets are one class: 8, 9 and 17 are the same to the score."""
    assert score([0, 8, 9, 17], [0, 17, 8, 9]) == Score(1.0, 1.0)


def test_a_literal_mixture_scores_as_worked_out_by_hand():
    """Of 6: binary TP 3, FP 1, FN 1; class F1s 2/3 (0), 2/3 (1), 1/2 (non-target)."""
    result = score([0, 0, 1, 1, 8, 9], [0, 1, 1, 8, 0, 17])
    assert result.binary_f1 == pytest.approx(0.75, abs=1e-15)
    assert result.macro_f1 == pytest.approx((0.5 + 0.5 + 0.5) / 3, abs=1e-15)
    assert result.score == pytest.approx(0.625, abs=1e-15)


def test_the_macro_part_averages_over_the_classes_that_occur():
    """Absent classes do not count; one that is only predicted counts as 0."""
    assert score([0, 0, 8], [0, 0, 8]).macro_f1 == 1.0
    assert score([0, 0, 8], [0, 5, 8]).macro_f1 == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_only_non_targets_have_a_binary_part_of_zero():
    """No target in truth or prediction: there is no positive case, so the binary F1 is 0."""
    assert score([8, 9, 10], [9, 8, 17]) == Score(0.0, 1.0)


def test_the_number_of_targets_comes_from_the_data():
    """The score does not assume 8 of 18: with 1 target of 3, classes 1 and 2 are one."""
    assert score([0, 1, 2], [0, 2, 1], num_targets=1) == Score(1.0, 1.0)
    assert score([0, 1, 2], [0, 2, 1], num_targets=3) == Score(1.0, pytest.approx(1 / 3))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, NUM_GESTURES), st.integers(1, 40))
def test_the_score_is_the_published_one(data, num_targets, num_sequences):
    """For any labels, both parts equal scikit-learn's f1_score of the mapped labels."""
    labels = st.lists(
        st.integers(0, NUM_GESTURES - 1), min_size=num_sequences, max_size=num_sequences
    )
    true_idx, predicted_idx = np.array(data.draw(labels)), np.array(data.draw(labels))
    ours = competition_score(true_idx, predicted_idx, num_targets)
    theirs = by_definition(true_idx, predicted_idx, num_targets)
    assert ours.binary_f1 == pytest.approx(theirs.binary_f1, abs=1e-12)
    assert ours.macro_f1 == pytest.approx(theirs.macro_f1, abs=1e-12)
    assert ours.score == pytest.approx(0.5 * theirs.binary_f1 + 0.5 * theirs.macro_f1, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, NUM_GESTURES), st.integers(1, 4))
def test_summed_counts_of_groups_give_score_and_accuracy_of_all_their_sequences(
    seed, num_targets, num_groups
):
    """Counts add up: any selection of groups is scored without its sequences."""
    random = np.random.default_rng(seed)
    true_idx, predicted_idx = random.integers(0, NUM_GESTURES, (2, 40))
    group_idx = np.concatenate([np.arange(num_groups), random.integers(0, num_groups, 40)])[:40]
    counts_G = count_cases(true_idx, predicted_idx, num_targets, group_idx)
    assert counts_G.shape == (num_groups, 2, num_targets + 3)
    kept = group_idx > 0 if num_groups > 1 else group_idx == 0
    found = measures(counts_G[min(1, num_groups - 1) :].sum(axis=0))
    expected = competition_score(true_idx[kept], predicted_idx[kept], num_targets).score
    accuracy = np.mean(true_idx[kept] == predicted_idx[kept])
    assert found.tolist() == pytest.approx([expected, accuracy])


@pytest.mark.parametrize(("true", "predicted"), [([], []), ([0, 1], [0]), ([[0]], [0])])
def test_arrays_that_do_not_pair_are_refused(true, predicted):
    """The message contains what was expected and the actual shapes."""
    with pytest.raises(ValueError, match="expected two index arrays of one length, at least 1"):
        score(true, predicted)
