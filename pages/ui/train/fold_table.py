"""Board: every fold of every model while the trainer works: state, progress, score, time.

In: what the files of a run say, and the verdict on it. Out: a table in Markdown, and the same in
numbers to take away.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui.shared import comparison, panels, words
from pages.ui.shared.status import RunView
from trainer.store.records import FoldRecord, Scores, SensorScores, Status, WorkerStatus
from trainer.store.run_state import DerivedState


def head(run: RunView) -> None:
    """Show what the board shows, and its download; apart from it, for it holds a button."""
    if run.units:
        panels.head("Every fold, scored on people it has not seen", numbers(run), "folds")


def show(run: RunView, derived: DerivedState) -> None:
    """Show the board."""
    if run.units:
        st.table(table(run, derived), border="horizontal", hide_index=True)


def table(run: RunView, derived: DerivedState) -> pl.DataFrame:
    """Return one row per fold, one column per model and one of the blend, in Markdown."""
    cells = {(unit.model, unit.fold): _cell(run, unit, derived) for unit in run.units}
    models = list(dict.fromkeys(model for model, _ in cells))
    folds = sorted({fold for _, fold in cells})
    if len(models) > 1:
        models.append("blend")
        cells |= {("blend", fold): _blend_cell(run, fold) for fold in folds}
    columns = {words.MODELS[model]: [cells[model, fold] for fold in folds] for model in models}
    rows = pl.DataFrame({"Fold": [str(fold) for fold in folds], **columns})
    if run.scores is None or not run.scores.models:
        return rows
    sums = _sums(run.scores, models)
    return rows.vstack(
        pl.DataFrame(
            {"Fold": list(sums)}
            | {
                words.MODELS[model]: [row[i] for row in sums.values()]
                for i, model in enumerate(models)
            }
        )
    )


def numbers(run: RunView) -> pl.DataFrame:
    """Return one row per fold and model, in numbers."""
    rows = [
        {
            "model": unit.model,
            "fold": unit.fold,
            "done": unit.done,
            "step": unit.step,
            "total_steps": unit.total_steps,
            "best_step": unit.best_step,
            "score": None if unit.score is None else unit.score.score,
            "binary_f1": None if unit.score is None else unit.score.binary_f1,
            "macro_f1": None if unit.score is None else unit.score.macro_f1,
            "seconds": unit.seconds,
            "times_resumed": len(unit.resumed_at),
        }
        for unit in run.units
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _cell(run: RunView, unit: FoldRecord, derived: DerivedState) -> str:
    resumed = _resumed_text(len(unit.resumed_at))
    if unit.done:
        score = None if unit.score is None else unit.score.score
        time = words.duration(unit.seconds).replace(" ", words.NO_BREAK)
        return f":green-badge[done] **{words.score(score)}** ·{words.NO_BREAK}{time}{resumed}"
    name, best = words.STEP_NAMES[unit.model], _best_text(run, unit)
    now = _at_work(derived).get((unit.model, unit.fold))
    if now is not None:
        if not now.total_steps:
            return ":blue-badge[running]"
        text = words.step_text(unit.model, now.step, now.total_steps, run.num_epochs)
        return f":blue-badge[running] {name} {text}{best}{resumed}"
    if unit.step:
        word = "paused" if derived.state == "paused" else "stopped"
        text = words.step_text(unit.model, unit.step, unit.total_steps, run.num_epochs)
        return f":orange-badge[{word}] {name} {text}{best}{resumed}"
    return ":gray-badge[waiting]"


def _at_work(derived: DerivedState) -> dict[tuple[str | None, int | None], Status | WorkerStatus]:
    """Return who fits which fold now."""
    if not derived.is_active or derived.status is None:
        return {}
    return {(at.model, at.fold): at for at in words.at_work(derived.status)}


def _resumed_text(times: int) -> str:
    if times == 0:
        return ""
    return " · resumed" if times == 1 else f" · resumed {times} times"


def _best_text(run: RunView, unit: FoldRecord) -> str:
    found = run.fold_score(unit.model, unit.fold)
    return "" if found is None else f" · best so far {found.best:.3f}"


def _blend_cell(run: RunView, fold: int) -> str:
    """Return the blend's score of a fold, which is there as soon as all models have done it."""
    blend = None if run.scores is None else run.scores.models.get("blend")
    row = None if blend is None else blend.all_sensors.folds[fold]
    if row is not None:
        return f"**{row.score:.3f}**"
    is_done = all(unit.done for unit in run.units if unit.fold == fold)
    return words.NOTHING if is_done else ":gray-badge[waiting]"


def _sums(scores: Scores, models: list[str]) -> dict[str, list[str]]:
    """Return the rows under the folds: mean and spread so far, out of fold, and without extras."""
    found = [scores.models.get(model) for model in models]
    rows = {
        "Mean": [_mean(one and one.all_sensors) for one in found],
        "Likely at the end": [_likely(one and one.all_sensors) for one in found],
        "Out of fold": [_oof(one and one.all_sensors) for one in found],
    }
    if not any(rows["Likely at the end"]):
        del rows["Likely at the end"]
    if any(one is not None and one.imu_only is not None for one in found):
        rows["Out of fold, IMU only"] = [_oof(one and one.imu_only) for one in found]
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
    """Return the range that the mean of all folds is likely to end in; "" where nothing is left."""
    if sensors is None:
        return ""
    done = [row.score for row in sensors.folds if row is not None]
    end = comparison.final_range(done, len(sensors.folds))
    return "" if end is None else f"{end[0]:.3f} to {end[1]:.3f}"


def _oof(sensors: SensorScores | None) -> str:
    return "" if sensors is None or sensors.oof is None else f"**{sensors.oof.score:.3f}**"
