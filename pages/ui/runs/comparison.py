"""Comparison: two or more runs, and whether their scores differ by more than noise.

In: summaries of the runs, their fold tables. Out: frames, paired differences, sentences.

Scores of two runs are compared fold by fold, and only where the folds are the same: the same
sequences of the same subjects, each in the same fold. For the interval see
``intervals.half_width``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pages.ui.runs.run_table import (
    RunSummary,
    differing_settings,
    models_of,
    sensor_scores,
    why_optimistic,
)
from pages.ui.shared import intervals, readers, words
from trainer.models import registry
from trainer.store.reader import RunReader
from trainer.store.records import Scores, SensorScores

FOLD_COLUMNS = ("sequence_id", "subject", "gesture", "fold")


@dataclass(frozen=True)
class PairedDifference:
    """The score of one run minus that of another, over the folds that both have done.

    Attributes:
        first: Name of the run that is subtracted.
        second: Name of the other run.
        folds: The folds.
        first_scores: Of each fold.
        second_scores: Of each fold.
        mean: Of the differences.
        std: Their sample standard deviation; None with one fold.
        half_width: Of the 95 % interval around the mean; None with too few folds.
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
        """Return second minus first, per fold."""
        pairs = zip(self.first_scores, self.second_scores, strict=True)
        return tuple(second - first for first, second in pairs)

    @property
    def is_more_than_noise(self) -> bool:
        """Return whether the 95 % interval excludes zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def paired_difference(first: RunSummary, second: RunSummary, model: str) -> PairedDifference | None:
    """Compare a model's scores fold by fold; None where no fold is done in both runs."""
    before, after = _fold_scores(first.scores, model), _fold_scores(second.scores, model)
    folds = tuple(sorted(before.keys() & after.keys()))
    if not folds:
        return None
    differences = [after[fold] - before[fold] for fold in folds]
    mean = math.fsum(differences) / len(folds)
    std = statistics.stdev(differences) if len(folds) > 1 else None
    num_folds = max(len(sensor_scores(first.scores, model).folds), 2)
    return PairedDifference(
        first=first.name,
        second=second.name,
        folds=folds,
        first_scores=tuple(before[fold] for fold in folds),
        second_scores=tuple(after[fold] for fold in folds),
        mean=mean,
        std=std,
        half_width=intervals.half_width(std, len(folds), num_folds),
    )


def describe(difference: PairedDifference) -> str:
    """Describe in one sentence the difference and whether it exceeds the noise of the folds."""
    second, num = difference.second, len(difference.folds)
    if not any(difference.differences):
        return f"{second} has the same score on every fold."
    over = "1 fold" if num == 1 else f"{num} folds"
    better = sum(value > 0 for value in difference.differences)
    side = "above" if difference.mean > 0 else "below"
    text = (
        f"{second} is {abs(difference.mean):.3f} {side} {difference.first} on average over {over}"
    )
    text += f" and better on {better} of them" if num > 1 else ""
    if difference.half_width is None:
        return f"{text}: too few folds to distinguish that from noise."
    low, high = (difference.mean + sign * difference.half_width for sign in (-1, 1))
    noise = "more than" if difference.is_more_than_noise else "within"
    interval = f"{low:+.3f} to {high:+.3f}".replace("-", "\N{MINUS SIGN}")
    return f"{text}: {noise} the noise of the folds (95 % interval {interval})."


def why_not_comparable(first: RunReader, second: RunReader) -> str:
    """Explain why the folds of two runs cannot be paired; "" where they are the same.

    Only what ``folds.parquet`` contains decides, not whether a seed or a file assigned it.
    """
    hashes = [readers.folds_sha256(run) for run in (first, second)]
    if hashes[0] is not None and hashes[0] == hashes[1]:
        return ""
    tables = [readers.folds(run) for run in (first, second)]
    return describe_difference_of_folds(*tables)


def describe_difference_of_folds(first: pl.DataFrame | None, second: pl.DataFrame | None) -> str:
    """Describe how two fold tables differ."""
    if first is None or second is None:
        return "a fold table is missing or cannot be read"
    one, other = (table.select(FOLD_COLUMNS).sort("sequence_id") for table in (first, second))
    if one["sequence_id"].to_list() != other["sequence_id"].to_list():
        return f"they use different recordings ({len(one)} and {len(other)} sequences)"
    counts = [table["fold"].n_unique() for table in (one, other)]
    if counts[0] != counts[1]:
        return f"they are split into {counts[0]} and {counts[1]} folds"
    if not one.drop("fold").equals(other.drop("fold")):
        return "their sequences have different labels or subjects"
    num_moved = int((one["fold"] != other["fold"]).sum())
    return f"{num_moved} of {len(one)} sequences are in a different fold"


def difference_table(differences: Sequence[PairedDifference]) -> pl.DataFrame:
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
    """Return one row per model and run: mean and spread of the folds, out-of-fold scores."""
    rows = [
        _score_row(summary, model, part)
        for model in (registry.BLEND, *models_of(found))
        for summary in found
        if (part := sensor_scores(summary.scores, model)).mean is not None
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def shared_models(found: Sequence[RunSummary]) -> list[str]:
    """Return the blend and the models for which at least two of the runs have a score."""
    return [
        model
        for model in (registry.BLEND, *models_of(found))
        if sum(sensor_scores(summary.scores, model).mean is not None for summary in found) > 1
    ]


def _score_row(summary: RunSummary, model: str, part: SensorScores) -> dict[str, object]:
    whole, entry = part.oof, summary.scores and summary.scores.models[model]
    imu_only = entry and entry.imu_only
    return {
        "Model": registry.title(model),
        "Run": summary.name,
        "Recordings": words.recordings(summary.run_file),
        "Optimistic": summary.scores and why_optimistic(summary.scores),
        "Mean of folds": part.mean,
        "Spread": part.std,
        "Folds": sum(fold is not None for fold in part.folds),
        "Out of fold": whole and whole.score,
        "Binary F1": whole and whole.binary_f1,
        "Macro F1": whole and whole.macro_f1,
        "Accuracy": whole and whole.accuracy,
        "IMU only": imu_only and imu_only.mean,
    }


def _fold_scores(scores: Scores | None, model: str) -> dict[int, float]:
    rows = enumerate(sensor_scores(scores, model).folds)
    return {fold: row.score for fold, row in rows if row is not None}
