"""Status: what the trainer is doing, as the Train page shows it every second.

In: what the files of a run say, and the verdict on it. Out: badge, reason, evidence, numbers,
progress.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import polars as pl
import streamlit as st

from pages.ui.shared import controls, frame, live, readers, words
from trainer.store.event_log import Event
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, RunFile, Scores, Status
from trainer.store.run_state import DerivedState


@dataclass(frozen=True)
class FoldScore:
    """How good the fold in work is.

    Attributes:
        newest: Score of its newest round or epoch.
        best: Highest so far.
        best_step: The first round or epoch that reached it.
    """

    newest: float
    best: float
    best_step: int


@dataclass(frozen=True)
class RunView:
    """What the files of a run say; it changes less often than the verdict.

    Attributes:
        reader: The run.
        run_file: Its configuration; None where it cannot be read.
        units: Every fold of every model.
        scores: Of the folds that are done.
        events: The history.
        points: Of all curves.
    """

    reader: RunReader
    run_file: RunFile | None
    units: tuple[FoldRecord, ...]
    scores: Scores | None
    events: list[Event]
    points: pl.DataFrame

    @property
    def num_epochs(self) -> int:
        """Return the most epochs that a fold of the network has."""
        return 0 if self.run_file is None else self.run_file.network.epochs

    @property
    def resumed_at(self) -> dict[str, list[float]]:
        """Return, per model, the rounds or epochs (with fraction) at which folds resumed."""
        return {
            model: sorted(
                step * self.last_step(model) / unit.total_steps
                for unit in self.units
                if unit.model == model and unit.total_steps
                for step in set(unit.resumed_at)
            )
            for model in words.STEP_NAMES
        }

    def last_step(self, model: str) -> int:
        """Return the last round or epoch that a fold of the model can have."""
        if self.run_file is None:
            return 0
        return self.run_file.boosting.rounds if model == "lgbm" else self.num_epochs

    def fold_score(self, model: str, fold: int) -> FoldScore | None:
        """Return how good a fold is so far; None before its first point."""
        if "score" not in self.points.columns:
            return None
        points = self.points.filter(model=model, fold=fold).drop_nulls("score").sort("step")
        if points.is_empty():
            return None
        best = points.row(int(points["score"].arg_max() or 0), named=True)
        return FoldScore(points["score"][-1], best["score"], int(best["step"]))


def view(reader: RunReader) -> RunView:
    """Read what the files of a run say; damaged ones are named on the page."""
    units = readers.units(reader)  # reads the configuration too, and names it where damaged
    return RunView(
        reader,
        readers.run_file(reader, []),
        units,
        readers.scores(reader),
        readers.events(reader),
        readers.curves(reader),
    )


def strip(run: RunView, derived: DerivedState) -> None:
    """Show state, reason, numbers and progress of the run."""
    is_launching = live.is_launching(run.reader, derived)
    state = "launching" if is_launching else derived.state
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(frame.escape(run.reader.name), anchor=False, width="content")
        st.badge(
            state.capitalize(), icon=words.STATE_ICONS[state], color=words.STATE_COLOURS[state]
        )
        _evidence(derived)
        st.markdown(_reason(derived, is_launching))
    if derived.status is None:
        return
    trail = controls.command_trail(derived.status, run.reader.command())
    if trail:
        st.caption(frame.escape(trail))
    _numbers(run, derived)
    _progress(run, derived)
    if derived.is_active:
        _workers(run, derived.status)
    if derived.state == "running" and derived.status.stage in words.STEP_NAMES:
        st.caption(words.costs(derived.status))


def _workers(run: RunView, status: Status) -> None:
    """Show which worker does what, where there are several."""
    lines = []
    for at in status.workers:
        text = words.step_text(at.model, at.step, at.total_steps, run.num_epochs)
        moved = words.duration(max(0.0, status.heartbeat_at - at.progress_at))
        lines.append(
            f"{words.MODELS[at.model]}, fold {at.fold}: {words.STEP_NAMES[at.model]} {text}, moved "
            f"{moved} ago · process {at.pid} on {frame.escape(at.host)}"
        )
    if lines:
        st.caption("  \n".join(lines))


def num_folds(run: RunView, status: Status) -> tuple[int, int]:
    """Return how many folds are done, of how many; a trainer that loads has not counted yet."""
    if status.total_units:
        return status.done_units, status.total_units
    return sum(unit.done for unit in run.units), len(run.units)


def _evidence(derived: DerivedState) -> None:
    """Offer what the verdict rests on; it goes on moving while it is open."""
    lines = "\n".join(f"{line.what + ':':<15}{line.seen}" for line in derived.evidence)
    with st.popover("Why", icon=":material/fact_check:", type="tertiary", width="content"):
        st.code(lines, language=None)


def _reason(derived: DerivedState, is_launching: bool) -> str:
    if is_launching:
        return "The trainer is loading; its first sign of life comes within seconds."
    return frame.escape(words.reason(derived))


def _numbers(run: RunView, derived: DerivedState) -> None:
    status = derived.status
    assert status is not None  # strip leaves before, without one
    with st.container(horizontal=True, gap="medium"):
        if derived.state == "finished":
            for model, mean in _means(run.scores).items():
                _number(f"{words.MODELS[model]}, mean of folds", words.score(mean))
            _number("Took", *_took(run))
            return
        label = "Now" if derived.is_active else "Stopped at"
        _number(label, words.doing(status), _attempt_text(status))
        _number(*_step(run, status))
        _fold_score(run, status)
        _number(*_so_far(run.scores))
        if derived.is_active:
            _clocks(status)


def _number(label: str, value: str, under: str = "") -> None:
    """Show one number; what stands under it keeps the row's baseline where there is nothing."""
    st.metric(
        label,
        value,
        delta=under or None,
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _attempt_text(status: Status) -> str:
    return f"attempt {status.attempt}" if status.attempt > 1 else ""


def _took(run: RunView) -> tuple[str, str]:
    """Return the seconds of all folds, and in how many attempts they were worked."""
    attempts = max((event.attempt for event in run.events), default=1)
    seconds = sum(unit.seconds for unit in run.units)
    return words.duration(seconds), f"in {attempts} attempts" if attempts > 1 else ""


def _fold_score(run: RunView, status: Status) -> None:
    """Show the score of the fold in work against its best so far."""
    if status.stage not in words.STEP_NAMES or status.fold is None or len(status.workers) > 1:
        return
    found = run.fold_score(status.stage, status.fold)
    step_name = words.STEP_NAMES[status.stage]
    value = words.NOTHING if found is None else words.score(found.newest)
    under = "" if found is None else f"best {found.best:.3f}, {step_name} {found.best_step}"
    _number("This fold's score", value, under)


def _clocks(status: Status) -> None:
    """Show when it should be done, and when it will pause itself."""
    if status.eta_s is not None:
        done_at = words.clock(status.heartbeat_at + status.eta_s)
        _number("Time left, at most", words.duration(status.eta_s), f"done by {done_at}")
    if status.pauses_at is not None:
        left = words.duration(status.pauses_at - time.time())
        _number("Pauses itself at", words.clock(status.pauses_at), f"in {left}")


def _step(run: RunView, status: Status) -> tuple[str, str]:
    """Return label and value of how far the trainer is in what it does."""
    is_in_one_fold = status.stage in words.STEP_NAMES and len(status.workers) < 2
    if not is_in_one_fold or not status.total_steps:
        return "Folds done", "{} of {}".format(*num_folds(run, status))
    name = f"{words.STEP_NAMES[status.stage].capitalize()}s done"
    text = words.step_text(status.stage, status.step, status.total_steps, run.num_epochs)
    return name, text


def _so_far(scores: Scores | None) -> tuple[str, str, str]:
    """Return label, value and spread of the mean score so far: the blend's, else a model's."""
    means = _means(scores)
    if scores is None or not means:
        return "Score so far", words.NOTHING, ""
    model = next(iter(means))
    sensors = scores.models[model].all_sensors
    num = sum(row is not None for row in sensors.folds)
    over = "1 fold" if num == 1 else f"mean of {num} folds"
    spread = f"± {sensors.std:.3f}" if num > 1 and sensors.std is not None else ""
    return f"{words.MODELS[model]}, {over}", words.score(means[model]), spread


def _means(scores: Scores | None) -> dict[str, float]:
    """Return the mean score of the blend and of each model that has one, the blend first."""
    models = {} if scores is None else scores.models
    return {
        model: models[model].all_sensors.mean or 0.0
        for model in ("blend", "lgbm", "torch")
        if model in models and models[model].all_sensors.mean is not None
    }


def _progress(run: RunView, derived: DerivedState) -> None:
    status = derived.status
    if status is None:
        return
    num_done, num = num_folds(run, status)
    if num == 0:
        return
    part = status.units_begun if status.stage in words.STEP_NAMES else 0.0
    share = min(1.0, (num_done + part) / num)
    st.progress(
        1.0 if derived.state == "finished" else share,
        text=f"{num_done} of {num} folds done",
    )
