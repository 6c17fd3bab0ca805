"""Fold table: state, progress, score and time of every fold of every model.

In: the files of a run and its derived state. Out: a table in Markdown, and the same in numbers for
the download.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui.shared import intervals, panels, words
from pages.ui.shared.readers import RunView
from trainer.models import registry
from trainer.store.records import FoldRecord, Scores, SensorScores, Status, WorkerStatus
from trainer.store.run_state import DerivedState


def head(run: RunView) -> None:
    """Show the title and the download, outside the part that is drawn every second."""
    if run.folds:
        is_shared = run.run_file is not None and run.run_file.folds.shared_subjects
        what = "sequences" if is_shared else "subjects"
        panels.head(f"Folds, each scored on {what} it was not trained on", numbers(run), "folds")


def show(run: RunView, derived: DerivedState) -> None:
    """Show the table."""
    if run.folds:
        st.table(table(run, derived), border="horizontal", hide_index=True)


def table(run: RunView, derived: DerivedState) -> pl.DataFrame:
    """Return one row per fold, one column per model and one of the blend, in Markdown."""
    cells = {(record.model, record.fold): _cell(run, record, derived) for record in run.folds}
    models = list(dict.fromkeys(model for model, _ in cells))
    folds = sorted({fold for _, fold in cells})
    if len(models) > 1:
        models.append(registry.BLEND)
        cells |= {(registry.BLEND, fold): _blend_cell(run, fold) for fold in folds}
    columns = {registry.title(model): [cells[model, fold] for fold in folds] for model in models}
    rows = pl.DataFrame({"Fold": [str(fold) for fold in folds], **columns})
    if run.scores is None or not run.scores.models:
        return rows
    sums = _summary_rows(run.scores, models)
    return rows.vstack(
        pl.DataFrame(
            {"Fold": list(sums)}
            | {
                registry.title(model): [row[i] for row in sums.values()]
                for i, model in enumerate(models)
            }
        )
    )


def numbers(run: RunView) -> pl.DataFrame:
    """Return one row per fold and model, in numbers."""
    rows = [
        {
            "model": record.model,
            "fold": record.fold,
            "done": record.done,
            "step": record.step,
            "total_steps": record.total_steps,
            "best_step": record.best_step,
            "score": None if record.score is None else record.score.score,
            "binary_f1": None if record.score is None else record.score.binary_f1,
            "macro_f1": None if record.score is None else record.score.macro_f1,
            "seconds": record.seconds,
            "times_resumed": len(record.resumed_at),
        }
        for record in run.folds
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _cell(run: RunView, record: FoldRecord, derived: DerivedState) -> str:
    resumed = _resumed_text(len(record.resumed_at))
    if record.done:
        score = None if record.score is None else record.score.score
        time = words.duration(record.seconds).replace(" ", words.NO_BREAK)
        return f":green-badge[done] **{words.score(score)}** ·{words.NO_BREAK}{time}{resumed}"
    name, best = words.step_title(record.model), _best_text(run, record)
    now = _fitted_now(derived).get((record.model, record.fold))
    if now is not None:
        if not now.total_steps:
            return ":blue-badge[running]"
        text = run.step_text(record.model, now.step, now.total_steps)
        return f":blue-badge[running] {name} {text}{best}{resumed}"
    if record.step:
        state = "paused" if derived.state == "paused" else "stopped"
        text = run.step_text(record.model, record.step, record.total_steps)
        return f":orange-badge[{state}] {name} {text}{best}{resumed}"
    return ":gray-badge[waiting]"


def _fitted_now(
    derived: DerivedState,
) -> dict[tuple[str | None, int | None], Status | WorkerStatus]:
    if not derived.is_active or derived.status is None:
        return {}
    return {(fitted.model, fitted.fold): fitted for fitted in words.fitted_now(derived.status)}


def _resumed_text(times: int) -> str:
    if times == 0:
        return ""
    return " · resumed" if times == 1 else f" · resumed {times} times"


def _best_text(run: RunView, record: FoldRecord) -> str:
    found = run.fold_score(record.model, record.fold)
    return "" if found is None else f" · best so far {found.best:.3f}"


def _blend_cell(run: RunView, fold: int) -> str:
    """Return the blend's score of a fold, which is known once all models have done the fold."""
    blend = None if run.scores is None else run.scores.models.get(registry.BLEND)
    row = None if blend is None else blend.all_sensors.folds[fold]
    if row is not None:
        return f"**{row.score:.3f}**"
    is_done = all(record.done for record in run.folds if record.fold == fold)
    return words.NOTHING if is_done else ":gray-badge[waiting]"


def _summary_rows(scores: Scores, models: list[str]) -> dict[str, list[str]]:
    """Return the rows below the folds: mean, expected mean, out of fold, with the IMU only."""
    found = [scores.models.get(model) for model in models]
    sensors = [None if one is None else one.all_sensors for one in found]
    rows = {
        "Mean": [_mean(one) for one in sensors],
        "Expected final mean": [_likely(one) for one in sensors],
        "Out of fold": [_oof(one) for one in sensors],
    }
    if not any(rows["Expected final mean"]):
        del rows["Expected final mean"]
    if any(one is not None and one.imu_only is not None for one in found):
        rows["Out of fold, IMU only"] = [
            _oof(None if one is None else one.imu_only) for one in found
        ]
        rows["Mean of both"] = [
            "" if one is None or one.half_and_half is None else f"**{one.half_and_half:.3f}**"
            for one in found
        ]
    return rows


def _mean(sensors: SensorScores | None) -> str:
    if sensors is None or sensors.mean is None:
        return ""
    num_done = sum(row is not None for row in sensors.folds)
    has_spread = num_done > 1 and sensors.std is not None
    spread = f" ±{words.NO_BREAK}{sensors.std:.3f}" if has_spread else ""
    return f"**{sensors.mean:.3f}**{spread}"


def _likely(sensors: SensorScores | None) -> str:
    """Return the 95 % range of the final mean; "" with too few folds or all of them done."""
    if sensors is None:
        return ""
    done = [row.score for row in sensors.folds if row is not None]
    end = intervals.final_range(done, len(sensors.folds))
    return "" if end is None else f"{end[0]:.3f} to {end[1]:.3f}"


def _oof(sensors: SensorScores | None) -> str:
    return "" if sensors is None or sensors.oof is None else f"**{sensors.oof.score:.3f}**"
