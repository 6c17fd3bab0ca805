"""Status: what the trainer is doing, as the Train page shows it every second.

In: what the files of a run say, and the verdict on it. Out: badge, reason, evidence, numbers,
progress, and the board of folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import streamlit as st

from pages.ui import controls, frame, live, readers, words
from trainer.store.reader import RunReader
from trainer.store.records import RunFile, Scores, Status, UnitRecord
from trainer.store.verdict import Verdict


@dataclass(frozen=True)
class RunView:
    """What the files of a run say; it changes less often than the verdict.

    Attributes:
        reader: The run.
        run_file: Its configuration; None where it cannot be read.
        units: Every fold of every model.
        scores: Of the folds that are done.
    """

    reader: RunReader
    run_file: RunFile | None
    units: tuple[UnitRecord, ...]
    scores: Scores | None

    @property
    def num_epochs(self) -> int:
        """Return the most epochs that a fold of the network has."""
        return 0 if self.run_file is None else self.run_file.network.epochs


def view(reader: RunReader) -> RunView:
    """Read what the files of a run say; damaged ones are named on the page."""
    units = readers.units(reader)  # reads the configuration too, and names it where damaged
    return RunView(reader, readers.run_file(reader, []), units, readers.scores(reader))


def strip(run: RunView, verdict: Verdict) -> None:
    """Show state, reason, numbers and progress of the run."""
    is_launching = live.is_launching(run.reader, verdict)
    state = "launching" if is_launching else verdict.state
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(frame.escape(run.reader.name), anchor=False, width="content")
        st.badge(
            state.capitalize(), icon=words.STATE_ICONS[state], color=words.STATE_COLOURS[state]
        )
        st.markdown(_reason(verdict, is_launching))
    if verdict.status is None:
        return
    trail = controls.command_trail(verdict.status, run.reader.command())
    if trail:
        st.caption(frame.escape(trail))
    _numbers(run, verdict)
    _progress(run, verdict)
    if verdict.state == "running" and verdict.status.stage in words.STEP_NAMES:
        st.caption(words.costs(verdict.status))


def evidence(verdict: Verdict) -> None:
    """Show what the verdict rests on."""
    lines = "\n".join(f"{line.what + ':':<15}{line.seen}" for line in verdict.evidence)
    with st.expander("Why this state", icon=":material/fact_check:"):
        st.code(lines, language=None, wrap_lines=True)


def board(run: RunView, verdict: Verdict) -> None:
    """Show every fold of every model: state, progress, score, time."""
    if run.units:
        st.table(board_table(run, verdict), border="horizontal", hide_index=True)


def board_table(run: RunView, verdict: Verdict) -> pl.DataFrame:
    """Return one row per fold, one column per model and one of the blend, in Markdown."""
    cells = {(unit.model, unit.fold): _cell(unit, verdict, run.num_epochs) for unit in run.units}
    models = list(dict.fromkeys(model for model, _ in cells))
    folds = sorted({fold for _, fold in cells})
    if len(models) > 1:
        models.append("blend")
        cells |= {("blend", fold): _blend_cell(run.scores, fold) for fold in folds}
    columns = {words.MODELS[model]: [cells[model, fold] for fold in folds] for model in models}
    table = pl.DataFrame({"Fold": [str(fold) for fold in folds], **columns})
    if run.scores is None or not run.scores.models:
        return table
    sums = {words.MODELS[model]: _sums(run.scores, model) for model in models}
    return table.vstack(pl.DataFrame({"Fold": ["Mean", "Out of fold"], **sums}))


def last_step(run: RunView, model: str) -> int:
    """Return the last round or epoch that a fold of the model can have."""
    if run.run_file is None:
        return 0
    return run.run_file.boosting.rounds if model == "lgbm" else run.num_epochs


def resumed_at(run: RunView, model: str) -> list[float]:
    """Return the rounds or epochs, with their fraction, at which folds of the model resumed."""
    return sorted(
        step * last_step(run, model) / unit.total_steps
        for unit in run.units
        if unit.model == model and unit.total_steps
        for step in set(unit.resumed_at)
    )


def _reason(verdict: Verdict, is_launching: bool) -> str:
    if is_launching:
        return "The trainer is loading; its first sign of life comes within seconds."
    return frame.escape(words.reason(verdict))


def _numbers(run: RunView, verdict: Verdict) -> None:
    status = verdict.status
    assert status is not None  # strip leaves before, without one
    with st.container(horizontal=True, gap="medium"):
        if verdict.state == "finished":
            for model, mean in _means(run.scores).items():
                st.metric(
                    f"{words.MODELS[model]}, mean of folds", words.score(mean), width="content"
                )
            return
        label = "Now" if verdict.is_active else "Stopped at"
        st.metric(label, words.doing(status), width="content")
        st.metric(*_step(run, status), width="content")
        st.metric(*_so_far(run.scores), width="content")
        if verdict.is_active:
            if status.eta_s is not None:
                st.metric("Time left, at most", words.duration(status.eta_s), width="content")
            if status.pauses_at is not None:
                st.metric("Pauses itself at", words.clock(status.pauses_at), width="content")


def _step(run: RunView, status: Status) -> tuple[str, str]:
    """Return label and value of how far the trainer is in what it does."""
    if status.stage not in words.STEP_NAMES or not status.total_steps:
        return "Folds done", "{} of {}".format(*_num_folds(run, status))
    name = f"{words.STEP_NAMES[status.stage].capitalize()}s done"
    text = words.step_text(status.stage, status.step, status.total_steps, run.num_epochs)
    return name, text


def _num_folds(run: RunView, status: Status) -> tuple[int, int]:
    """Return how many folds are done, of how many; a trainer that loads has not counted yet."""
    if status.total_units:
        return status.done_units, status.total_units
    return sum(unit.done for unit in run.units), len(run.units)


def _so_far(scores: Scores | None) -> tuple[str, str]:
    """Return label and value of the mean score so far: the blend's, else a model's."""
    means = _means(scores)
    if scores is None or not means:
        return "Score so far", words.NOTHING
    model = next(iter(means))
    folds = scores.models[model].all_sensors.folds
    num = sum(row is not None for row in folds)
    over = "1 fold" if num == 1 else f"mean of {num} folds"
    return f"{words.MODELS[model]}, {over}", words.score(means[model])


def _means(scores: Scores | None) -> dict[str, float]:
    """Return the mean score of the blend and of each model that has one, the blend first."""
    models = {} if scores is None else scores.models
    return {
        model: models[model].all_sensors.mean or 0.0
        for model in ("blend", "lgbm", "torch")
        if model in models and models[model].all_sensors.mean is not None
    }


def _progress(run: RunView, verdict: Verdict) -> None:
    status = verdict.status
    if status is None:
        return
    num_done, num_folds = _num_folds(run, status)
    if num_folds == 0:
        return
    is_in_fold = bool(status.total_steps) and status.stage in words.STEP_NAMES
    part = min(1.0, status.step / status.total_steps) if is_in_fold else 0.0
    share = min(1.0, (num_done + part) / num_folds)
    st.progress(
        1.0 if verdict.state == "finished" else share,
        text=f"{num_done} of {num_folds} folds done",
    )


def _cell(unit: UnitRecord, verdict: Verdict, num_epochs: int) -> str:
    if unit.done:
        score = None if unit.score is None else unit.score.score
        time = words.duration(unit.seconds).replace(" ", words.NO_BREAK)
        return f":green-badge[done] **{words.score(score)}** ·{words.NO_BREAK}{time}"
    name = words.STEP_NAMES[unit.model]
    status = verdict.status
    if verdict.is_active and status and (status.stage, status.fold) == (unit.model, unit.fold):
        if not status.total_steps:
            return ":blue-badge[running]"
        text = words.step_text(unit.model, status.step, status.total_steps, num_epochs)
        return f":blue-badge[running] {name} {text}"
    if unit.step:
        word = "paused" if verdict.state == "paused" else "stopped"
        text = words.step_text(unit.model, unit.step, unit.total_steps, num_epochs)
        return f":orange-badge[{word}] {name} {text}"
    return ":gray-badge[waiting]"


def _blend_cell(scores: Scores | None, fold: int) -> str:
    """Return the blend's score of a fold, which is there as soon as all models have done it."""
    blend = None if scores is None else scores.models.get("blend")
    row = None if blend is None else blend.all_sensors.folds[fold]
    return ":gray-badge[waiting]" if row is None else f"**{row.score:.3f}**"


def _sums(scores: Scores, model: str) -> list[str]:
    """Return mean and spread over the folds done so far, and the score of all out of fold."""
    found = scores.models.get(model)
    if found is None or found.all_sensors.mean is None:
        return ["", ""]
    sensors = found.all_sensors
    num_done = sum(row is not None for row in sensors.folds)
    spread = (
        f" ±{words.NO_BREAK}{sensors.std:.3f}" if num_done > 1 and sensors.std is not None else ""
    )
    oof = "" if sensors.oof is None else f"**{sensors.oof.score:.3f}**"
    return [f"**{sensors.mean:.3f}**{spread}", oof]
