"""The interval over seeds and folds, against simulated differences whose true mean is known."""

from __future__ import annotations

import numpy as np
import pytest

from pages.ui.shared.intervals import half_width, half_width_over_seeds, student_t

NUM_SEEDS, NUM_FOLDS, NUM_PEOPLE = 3, 5, 20
TRUE_MEAN = 0.01
NUM_STUDIES = 2_000


def simulate(rng, of_people, of_seeds, noise, has_same_folds):
    """Return (S, F) differences of two settings.

    Each person adds to the fold that holds them, each seed to all of its folds, each model its
    noise. Folds share training sequences, which adds one number to all, with the variance that
    Nadeau and Bengio assume: 1 / (F - 1) of that of a fold.
    """
    people = rng.normal(0, of_people, NUM_PEOPLE)
    rows = []
    for _ in range(NUM_SEEDS):
        order = np.arange(NUM_PEOPLE) if has_same_folds else rng.permutation(NUM_PEOPLE)
        rows.append(people[order].reshape(NUM_FOLDS, -1).mean(axis=1) + rng.normal(0, of_seeds))
    of_fold = of_people**2 * NUM_FOLDS / NUM_PEOPLE
    if has_same_folds:
        of_fold += noise**2 / NUM_SEEDS
    shared = rng.normal(0, np.sqrt(of_fold / (NUM_FOLDS - 1)))
    return TRUE_MEAN + shared + np.array(rows) + rng.normal(0, noise, (NUM_SEEDS, NUM_FOLDS))


def coverage(width, *variances, has_same_folds):
    """Return the share of studies whose interval contains the true mean."""
    rng = np.random.default_rng(18)
    hits = 0
    for _ in range(NUM_STUDIES):
        found = simulate(rng, *variances, has_same_folds)
        hits += abs(found.mean() - TRUE_MEAN) <= width(found, has_same_folds)
    return hits / NUM_STUDIES


def ours(found, has_same_folds):
    return half_width_over_seeds(found.tolist(), has_same_folds)


def as_if_independent(found, _):
    """The interval that takes all scores of all seeds for independent folds."""
    return student_t(found.size - 1) * found.std(ddof=1) / np.sqrt(found.size)


CASES = {  # standard deviations of people, seeds, noise
    "people": (0.04, 0.0, 0.005),
    "seeds": (0.005, 0.02, 0.005),
    "noise": (0.005, 0.0, 0.02),
    "all": (0.03, 0.01, 0.01),
}


@pytest.mark.parametrize("has_same_folds", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_interval_contains_the_true_mean_in_at_least_95_percent_of_studies(
    case, has_same_folds
):
    """0.94 and 0.935 leave room for chance and for Satterthwaite's approximation."""
    found = coverage(ours, *CASES[case], has_same_folds=has_same_folds)
    assert found >= (0.935 if case == "seeds" else 0.94)


@pytest.mark.parametrize("case", ["people", "seeds"])
def test_scores_taken_as_independent_would_miss_it_far_more_often(case):
    """So the tests above can fail."""
    assert coverage(as_if_independent, *CASES[case], has_same_folds=True) < 0.8


def test_crossed_factors_give_a_narrower_interval_where_models_are_noisy():
    """With the same people in each fold, the noise of single models is averaged over the seeds."""
    rng = np.random.default_rng(0)
    widths = [ours(simulate(rng, *CASES["noise"], True), True) for _ in range(500)]
    rng = np.random.default_rng(0)
    grouped = [ours(simulate(rng, *CASES["noise"], True), False) for _ in range(500)]
    assert np.median(widths) < 0.75 * np.median(grouped)


def test_one_seed_gives_the_interval_of_two_runs():
    """The same number as on the Runs page, where two runs are compared."""
    folds = [0.01, 0.03, -0.02, 0.04, 0.0]
    expected = half_width(float(np.std(folds, ddof=1)), 5, 5)
    assert half_width_over_seeds([folds], False) == pytest.approx(expected, rel=1e-12)
    assert half_width_over_seeds([folds], True) == pytest.approx(expected, rel=1e-12)


def test_two_folds_are_too_few_and_equal_differences_have_no_width():
    assert half_width_over_seeds([[0.1, 0.2], [0.1, 0.3]], False) is None
    assert half_width_over_seeds([[0.1, 0.2]], False) is None
    assert half_width_over_seeds([[0.1] * 3, [0.1] * 3], True) == 0.0
