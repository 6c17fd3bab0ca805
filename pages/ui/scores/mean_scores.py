"""Mean scores: what ``scores.json`` records of each model and the blend, mean over the folds.

In: ``Scores``. Out: frames, and the first section of the page. The third choice of sensors is the
mean of the other two: half of the competition's test recordings have all sensors, half have the IMU
only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.scores import score_columns, score_figures
from pages.ui.scores.evaluation import cached
from pages.ui.shared import frame, panels, words
from pages.ui.shared.readers import Version
from trainer.models import registry
from trainer.models.registry import BLEND
from trainer.store.records import ModelScores, ScoreRow, Scores, SensorScores

SENSOR_NAMES = {"all": "All sensors", "imu": "IMU only", "mean": "Mean of both"}
PARTS = ("score", "binary_f1", "macro_f1")
OPTIMISTIC = (
    "These scores are optimistic: the best round or epoch of each fold was chosen on the "
    "recordings that are scored."
)


def show(scores: Scores, models: Sequence[str], version: Version) -> None:
    """Show the score of each model and the blend, its parts, mean and spread over the folds.

    Args:
        scores: As recorded.
        models: Those of the run; the blend of one model is that model and is left out.
        version: Of the file of the scores.
    """
    table = mean_table(scores)
    if len(models) == 1:
        table = table.remove(model=registry.title(BLEND))
    _cards(table)
    left, right = st.columns(panels.CHART_AND_TABLE, gap="large")
    with left:
        panels.chart(
            "Score, binary F1 and macro F1: mean and standard deviation over the folds",
            cached(("means", version), lambda: score_figures.mean_figure(table)),
            table,
            "score_parts",
            selection_sentence(scores),
        )
    with right:
        panels.table("Scores of each model", table, "scores", score_columns.MEANS)


def mean_table(scores: Scores) -> pl.DataFrame:
    """Return one row per model and choice of sensors, the blend first.

    Returns:
        Columns model, sensors; mean and standard deviation over the folds of the score and its two
        parts; out_of_fold and its parts; accuracy, folds, sequences.
    """
    rows = [
        {"model": registry.title(model), "sensors": SENSOR_NAMES[sensors]} | _numbers(part)
        for model, entry in _ordered(scores.models).items()
        for sensors, part in _by_sensors(entry).items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def selection_sentence(scores: Scores) -> str:
    """Return whether anything was chosen on the scored rows, and what that would add."""
    if scores.has_optimistic:
        return optimistic_sentences(scores)
    honest = "Nothing was chosen or fitted on the recordings that are scored."
    means = [
        f"{registry.title(model)} {words.score(entry.all_sensors.mean)}"
        for model, entry in _ordered(scores.best).items()
    ]
    if not means:
        return honest
    return (
        f"{honest} With the best round or epoch of each fold, chosen on these recordings, the mean "
        f"score with all sensors would be optimistic: {', '.join(means)}."
    )


def optimistic_sentences(scores: Scores) -> str:
    """Return why the scores are optimistic; "" where they are not."""
    chosen = [OPTIMISTIC] if scores.has_chosen else []
    return " ".join(chosen + [words.SHARED_HELP] * scores.shared_subjects)


def _ordered(models: dict[str, ModelScores]) -> dict[str, ModelScores]:
    """Return the models in the order of the file, but the blend first."""
    return dict(sorted(models.items(), key=lambda item: item[0] != BLEND))


def _cards(table: pl.DataFrame) -> None:
    """Show one number per model: the mean of both choices of sensors, where there are two."""
    has_both = SENSOR_NAMES["mean"] in table["sensors"]
    both = "; the mean of all sensors and IMU only, as on the competition's leaderboard"
    st.caption(f"Mean score over the folds{both if has_both else ''}.")
    rows = table.filter(sensors=SENSOR_NAMES["mean" if has_both else "all"])
    cards = st.grid(columns=max(3, len(rows)), min_column_width=150)
    for row in rows.iter_rows(named=True):
        folds = f"{row['folds']} fold{'s' * (row['folds'] > 1)}"
        cards.metric(
            frame.escape(row["model"]),
            words.score(row["mean"]),
            delta=None if row["std"] is None else f"± {row['std']:.3f} over {folds}",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=score_columns.SCORE_HELP,
        )


def _by_sensors(entry: ModelScores) -> dict[str, SensorScores]:
    if entry.imu_only is None:
        return {"all": entry.all_sensors}
    mean = _mean_of_both(entry.all_sensors, entry.imu_only)
    return {"all": entry.all_sensors, "imu": entry.imu_only, "mean": mean}


def _mean_of_both(every: SensorScores, imu: SensorScores) -> SensorScores:
    folds = tuple(map(_mean_row, every.folds, imu.folds))
    scores = [row.score for row in folds if row is not None]
    return SensorScores(
        folds=folds,
        mean=float(np.mean(scores)) if scores else None,
        std=float(np.std(scores)) if scores else None,
        oof=_mean_row(every.oof, imu.oof),
    )


def _mean_row(first: ScoreRow | None, second: ScoreRow | None) -> ScoreRow | None:
    if first is None or second is None:
        return None
    names = (*PARTS, "accuracy")
    means = {name: 0.5 * (getattr(first, name) + getattr(second, name)) for name in names}
    return ScoreRow(**means, num_sequences=first.num_sequences)


def _numbers(part: SensorScores) -> dict[str, float | int | None]:
    done = [row for row in part.folds if row is not None]
    numbers: dict[str, float | int | None] = {"mean": part.mean, "std": part.std}
    for name in PARTS[1:]:
        values = [getattr(row, name) for row in done]
        numbers[f"{name}_mean"] = float(np.mean(values)) if values else None
        numbers[f"{name}_std"] = float(np.std(values)) if values else None
    whole = part.oof
    return numbers | {
        "out_of_fold": None if whole is None else whole.score,
        "binary_f1": None if whole is None else whole.binary_f1,
        "macro_f1": None if whole is None else whole.macro_f1,
        "accuracy": None if whole is None else whole.accuracy,
        "folds": len(done),
        "sequences": None if whole is None else whole.num_sequences,
    }
