"""Comparison: two or more runs side by side, and whether a difference is more than noise.

In: what is known of the runs, their fold tables. Out: frames, paired differences, words.

Scores of two runs are compared fold by fold, and only where the folds are the same: the same
sequences of the same subjects, each in the same fold. The interval is that of the corrected
resampled t-test (Nadeau and Bengio 2003, Machine Learning 52:239-281): folds share most of their
training sequences, so the plain t-test would call noise a difference too often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pages.ui.shared import words
from pages.ui.shared.run_table import RunSummary, differing_settings
from trainer.store.records import Scores, SensorScores

MODELS = ("blend", "lgbm", "torch")
MIN_FOLDS = 3  # with two, the interval is wider than any difference
FOLD_COLUMNS = ("sequence_id", "subject", "gesture", "fold")

# Student's t at 97.5 %, for 1 to 20 degrees of freedom; beyond, 1.96 + 2.4 / df is right to 0.006
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


@dataclass(frozen=True)
class PairedDifference:
    """One run's score less another's, over the folds that both have done.

    Attributes:
        first: Name of the run that is subtracted.
        second: Name of the run that it is subtracted from.
        folds: The folds.
        first_scores: Of each fold.
        second_scores: Of each fold.
        mean: Of the differences.
        std: Their spread (n - 1); None with one fold.
        half_width: Of the 95 % interval around the mean; None with fewer than ``MIN_FOLDS``.
    """

    first: str
    second: str
    folds: tuple[int, ...]
    first_scores: tuple[float, ...]
    second_scores: tuple[float, ...]
    mean: float
    std: float | None
    half_width: float | None

    @property
    def differences(self) -> tuple[float, ...]:
        """Return second less first, per fold."""
        pairs = zip(self.first_scores, self.second_scores, strict=True)
        return tuple(second - first for first, second in pairs)

    @property
    def is_more_than_noise(self) -> bool:
        """Return whether the 95 % interval leaves out zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def paired_difference(first: RunSummary, second: RunSummary, model: str) -> PairedDifference | None:
    """Compare a model's scores fold by fold; None where no fold is done in both runs."""
    before, after = _fold_scores(first.scores, model), _fold_scores(second.scores, model)
    folds = tuple(sorted(before.keys() & after.keys()))
    if not folds:
        return None
    differences = [after[fold] - before[fold] for fold in folds]
    mean = math.fsum(differences) / len(folds)
    std = _spread(differences, mean)
    num_folds = max(len(_of_model(first.scores, model).folds), 2)
    return PairedDifference(
        first=first.name,
        second=second.name,
        folds=folds,
        first_scores=tuple(before[fold] for fold in folds),
        second_scores=tuple(after[fold] for fold in folds),
        mean=mean,
        std=std,
        half_width=_half_width(std, len(folds), num_folds),
    )


def in_words(difference: PairedDifference) -> str:
    """Say in one sentence what the difference is and whether it is more than the folds' noise."""
    second, num = difference.second, len(difference.folds)
    if not any(difference.differences):
        return f"{second} scores the same on every fold."
    over = "1 fold" if num == 1 else f"{num} folds"
    better = sum(value > 0 for value in difference.differences)
    side = "above" if difference.mean > 0 else "below"
    text = (
        f"{second} is {abs(difference.mean):.3f} {side} {difference.first} on average over {over}"
    )
    text += f" and better on {better} of them" if num > 1 else ""
    if difference.half_width is None:
        return f"{text}: too few folds to tell that from noise."
    low, high = (difference.mean + sign * difference.half_width for sign in (-1, 1))
    much = "more" if difference.is_more_than_noise else "no more"
    interval = f"{low:+.3f} to {high:+.3f}".replace("-", "\N{MINUS SIGN}")
    return f"{text}: {much} than the folds' noise (95 % interval {interval})."


def why_not_comparable(first: pl.DataFrame | None, second: pl.DataFrame | None) -> str:
    """Say why two runs' folds cannot be paired; "" where they are the same."""
    if first is None or second is None:
        return "a fold table is not there or cannot be read"
    if any(name not in table.columns for table in (first, second) for name in FOLD_COLUMNS):
        return "a fold table lacks a column"
    one, other = (table.select(FOLD_COLUMNS).sort("sequence_id") for table in (first, second))
    if one.equals(other):
        return ""
    if one["sequence_id"].to_list() != other["sequence_id"].to_list():
        return f"they are made from other recordings ({len(one)} and {len(other)} sequences)"
    counts = [table["fold"].n_unique() for table in (one, other)]
    if counts[0] != counts[1]:
        return f"they are split into {counts[0]} and {counts[1]} folds"
    if not one.drop("fold").equals(other.drop("fold")):
        return "their sequences have other labels or subjects"
    num_moved = int((one["fold"] != other["fold"]).sum())
    return f"{num_moved} of {len(one)} sequences are in another fold"


def final_range(done: Sequence[float], num_folds: int) -> tuple[float, float] | None:
    """Return the 95 % range of the mean that all folds will have, from those that are done.

    Folds count as drawn alike: the mean of all n strays from the mean of k by the spread of one
    fold times the root of 1/k - 1/n, and its spread is known as well as k folds let it be.

    Args:
        done: Scores of the folds that are done.
        num_folds: There will be.

    Returns:
        Lowest and highest, in 0..1; None with fewer than ``MIN_FOLDS`` or with all of them done.
    """
    if not MIN_FOLDS <= len(done) < num_folds:
        return None
    mean = math.fsum(done) / len(done)
    spread = _spread(done, mean) or 0.0
    fitted = _student_t(len(done) - 1) * spread * math.sqrt(1 / len(done) - 1 / num_folds)
    return max(0.0, mean - fitted), min(1.0, mean + fitted)


def fold_table(differences: Sequence[PairedDifference]) -> pl.DataFrame:
    """Return one row per pair and fold: Run, Fold, both scores, Difference; then each pair's mean.

    Args:
        differences: All against the same first run.
    """
    rows: list[dict[str, object]] = []
    for one in differences:
        triples = zip(one.folds, one.first_scores, one.second_scores, strict=True)
        rows += [
            {
                "Run": one.second,
                "Fold": str(fold),
                one.first: a,
                "Its score": b,
                "Difference": b - a,
            }
            for fold, a, b in triples
        ]
        means = [math.fsum(x) / len(one.folds) for x in (one.first_scores, one.second_scores)]
        mean = {one.first: means[0], "Its score": means[1], "Difference": one.mean}
        rows.append({"Run": one.second, "Fold": "Mean", **mean})
    return pl.DataFrame(rows)


def settings_table(found: Sequence[RunSummary], is_whole: bool) -> pl.DataFrame:
    """Return one row per setting that differs, or per setting, and one column per run."""
    known = dict.fromkeys(name for summary in found for name in summary.settings)
    differing = set(differing_settings(found))
    if len({summary.settings.get("data.source") for summary in found}) > 1:
        differing.add("data.source")
    names = [name for name in known if is_whole or name in differing]
    columns = {
        summary.name: [summary.settings.get(name, words.NOTHING) for name in names]
        for summary in found
    }
    return pl.DataFrame({"Setting": pl.Series(names, dtype=pl.String), **columns})


def score_table(found: Sequence[RunSummary]) -> pl.DataFrame:
    """Return one row per model and run: mean score, spread, out of fold and its halves."""
    rows = [
        _score_row(summary, model, part)
        for model in MODELS
        for summary in found
        if (part := _of_model(summary.scores, model)).mean is not None
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def shared_models(found: Sequence[RunSummary]) -> list[str]:
    """Return the models, the blend first, of which at least two of the runs have a score."""
    return [
        model
        for model in MODELS
        if sum(_of_model(summary.scores, model).mean is not None for summary in found) > 1
    ]


def _score_row(summary: RunSummary, model: str, part: SensorScores) -> dict[str, object]:
    whole, entry = part.oof, summary.scores and summary.scores.models[model]
    imu_only = entry and entry.imu_only
    return {
        "Model": words.MODELS[model],
        "Run": summary.name,
        "Recordings": words.recordings(summary.run_file),
        "Mean of folds": part.mean,
        "Spread": part.std,
        "Folds": sum(fold is not None for fold in part.folds),
        "Out of fold": whole and whole.score,
        "Binary F1": whole and whole.binary_f1,
        "Macro F1": whole and whole.macro_f1,
        "Accuracy": whole and whole.accuracy,
        "IMU only": imu_only and imu_only.mean,
    }


def _of_model(scores: Scores | None, model: str) -> SensorScores:
    found = None if scores is None else scores.models.get(model)
    return SensorScores(folds=()) if found is None else found.all_sensors


def _fold_scores(scores: Scores | None, model: str) -> dict[int, float]:
    rows = enumerate(_of_model(scores, model).folds)
    return {fold: row.score for fold, row in rows if row is not None}


def _spread(differences: Sequence[float], mean: float) -> float | None:
    if len(differences) < 2:
        return None
    squares = math.fsum((value - mean) ** 2 for value in differences)
    return math.sqrt(squares / (len(differences) - 1))


def _half_width(std: float | None, num_done: int, num_folds: int) -> float | None:
    """Return half of the corrected 95 % interval; test over training size is 1 / (folds - 1)."""
    if std is None or num_done < MIN_FOLDS:
        return None
    return _student_t(num_done - 1) * std * math.sqrt(1 / num_done + 1 / (num_folds - 1))


def _student_t(df: int) -> float:
    """Return Student's t at 97.5 % for so many degrees of freedom."""
    return T_975[df - 1] if df <= len(T_975) else 1.96 + 2.4 / df
