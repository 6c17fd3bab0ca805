"""Score tables: what ``scores.json`` records, as rows to show.

In: ``Scores``. Out: frames. The third choice of sensors is the mean of the other two: half of the
competition's test recordings have all sensors, half have the IMU only.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pages.ui.shared import words
from trainer.store.records import ModelScores, ScoreRow, Scores, SensorScores

SENSOR_NAMES = {"all": "All sensors", "imu": "IMU only", "half": "Mean of both"}
PARTS = ("score", "binary_f1", "macro_f1")


def headline_table(scores: Scores) -> pl.DataFrame:
    """Return one row per model and choice of sensors, the blend first.

    Returns:
        Columns model, sensors; mean and spread over the folds of the score and its halves;
        out_of_fold and its halves; accuracy, folds, sequences.
    """
    ordered = sorted(scores.models, key=list(words.MODELS)[::-1].index)
    rows = []
    for model in ordered:
        for sensors, part in _parts(scores.models[model]).items():
            names = {"model": words.MODELS[model], "sensors": SENSOR_NAMES[sensors]}
            rows.append(names | _numbers(part))
    return pl.DataFrame(rows, infer_schema_length=None)


def fixed_sentence(scores: Scores) -> str:
    """Say what the models score where nothing was chosen on the fold that is scored."""
    ordered = sorted(scores.fixed, key=list(words.MODELS)[::-1].index)
    told = [
        f"{words.MODELS[model]} {words.score(scores.fixed[model].all_sensors.mean)}"
        for model in ordered
    ]
    if not told:
        return "This run has no scores at a round or epoch that was fixed in advance."
    names = {"lgbm": "round", "torch": "epoch"}
    steps = [f"{names[model]} {step:,}" for model, step in scores.fixed_steps.items()]
    return f"Fixed in advance ({', '.join(steps)}), mean of the folds: {', '.join(told)}."


def _parts(entry: ModelScores) -> dict[str, SensorScores]:
    if entry.imu_only is None:
        return {"all": entry.all_sensors}
    fitted = _half_and_half(entry.all_sensors, entry.imu_only)
    return {"all": entry.all_sensors, "imu": entry.imu_only, "half": fitted}


def _half_and_half(every: SensorScores, imu: SensorScores) -> SensorScores:
    folds = tuple(map(_between, every.folds, imu.folds))
    scores = [row.score for row in folds if row is not None]
    return SensorScores(
        folds=folds,
        mean=float(np.mean(scores)) if scores else None,
        std=float(np.std(scores)) if scores else None,
        oof=_between(every.oof, imu.oof),
    )


def _between(first: ScoreRow | None, second: ScoreRow | None) -> ScoreRow | None:
    if first is None or second is None:
        return None
    names = (*PARTS, "accuracy")
    middle = {name: 0.5 * (getattr(first, name) + getattr(second, name)) for name in names}
    return ScoreRow(**middle, num_sequences=first.num_sequences)


def _numbers(part: SensorScores) -> dict[str, float | int | None]:
    done = [row for row in part.folds if row is not None]
    numbers: dict[str, float | int | None] = {"mean": part.mean, "std": part.std}
    for name in PARTS[1:]:
        values = [getattr(row, name) for row in done]
        numbers[f"{name}_mean"] = float(np.mean(values)) if values else None
        numbers[f"{name}_std"] = float(np.std(values)) if values else None
    whole = part.oof
    return numbers | {
        "out_of_fold": whole and whole.score,
        "binary_f1": whole and whole.binary_f1,
        "macro_f1": whole and whole.macro_f1,
        "accuracy": whole and whole.accuracy,
        "folds": len(done),
        "sequences": whole and whole.num_sequences,
    }
