"""Intervals: what the scores of some folds allow to conclude about the mean.

In: scores or differences of folds. Out: 95 % intervals by Student's t.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

MIN_FOLDS = 3  # with two, the interval is wider than any difference

# Student's t at 97.5 %, for 1 to 20 degrees of freedom; beyond, 1.96 + 2.4 / df is right to 0.006
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


def student_t(df: int) -> float:
    """Return Student's t at 97.5 % for so many degrees of freedom."""
    return T_975[df - 1] if df <= len(T_975) else 1.96 + 2.4 / df


def half_width(std: float | None, num_done: int, num_folds: int) -> float | None:
    """Return half of the 95 % interval of the corrected resampled t-test.

    Nadeau and Bengio 2003, Machine Learning 52:239-281: folds share most of their training
    sequences, so the plain t-test would call noise a difference too often.

    Args:
        std: Sample standard deviation of the differences; None with one fold.
        num_done: Folds that they come from.
        num_folds: Folds of the split; test over training size is 1 / (folds - 1).

    Returns:
        None with fewer than ``MIN_FOLDS``.
    """
    if std is None or num_done < MIN_FOLDS:
        return None
    return student_t(num_done - 1) * std * math.sqrt(1 / num_done + 1 / (num_folds - 1))


def half_width_over_seeds(
    differences_SF: Sequence[Sequence[float]], has_same_folds: bool
) -> float | None:
    """Return half of the 95 % interval of the mean over seeds and folds.

    Both are random: other people would be in the folds, and another seed would train other models.
    The folds' part of the variance is that of ``half_width``; all seeds have the same people, so it
    does not shrink with their number. The seeds' part is that of the means of the seeds.

    Where the folds hold the same people under every seed, seeds and folds are crossed factors: the
    variances come from the two-way analysis without replication, and the noise of single models is
    averaged over both. Where each seed splits the people differently, folds of two seeds have
    nothing in common: the folds' variance is the one within each seed, noise included, so that the
    interval is conservative (too wide). The degrees of freedom are Satterthwaite's.

    Args:
        differences_SF: Score of one setting minus that of another; S seeds of F folds.
        has_same_folds: Whether a fold holds the same people under every seed.

    Returns:
        None with fewer than ``MIN_FOLDS``; with one seed what ``half_width`` returns.
    """
    num_seeds, num_folds = len(differences_SF), len(differences_SF[0])
    within = statistics.fmean(statistics.variance(folds) for folds in differences_SF)
    if num_seeds == 1:
        return half_width(math.sqrt(within), num_folds, num_folds)
    if num_folds < MIN_FOLDS:
        return None
    of_seeds = statistics.variance(map(statistics.fmean, differences_SF))
    of_folds = within
    if has_same_folds:
        of_folds = statistics.variance(map(statistics.fmean, zip(*differences_SF, strict=True)))
        noise = max(0.0, (within - of_folds) * num_seeds / (num_seeds - 1))
        of_seeds = max(0.0, of_seeds - noise / num_folds)
    by_folds = of_folds * (1 / num_folds + 1 / (num_folds - 1))
    by_seeds = of_seeds / num_seeds
    if by_folds + by_seeds == 0.0:
        return 0.0
    parts = by_folds**2 / (num_folds - 1) + by_seeds**2 / (num_seeds - 1)
    df = max(1, math.floor((by_folds + by_seeds) ** 2 / parts))
    return student_t(df) * math.sqrt(by_folds + by_seeds)


def final_range(done: Sequence[float], num_folds: int) -> tuple[float, float] | None:
    """Return the 95 % range of the mean that all folds will have, from those that are done.

    Folds are taken as equally distributed: the mean of all n deviates from the mean of k by the
    standard deviation of one fold times the root of 1/k - 1/n, as far as k folds determine it.

    Args:
        done: Scores of the folds that are done.
        num_folds: Folds of the split.

    Returns:
        Lowest and highest, in 0..1; None with fewer than ``MIN_FOLDS`` or with all of them done.
    """
    if not MIN_FOLDS <= len(done) < num_folds:
        return None
    mean, std = statistics.fmean(done), statistics.stdev(done)
    radius = student_t(len(done) - 1) * std * math.sqrt(1 / len(done) - 1 / num_folds)
    return max(0.0, mean - radius), min(1.0, mean + radius)
