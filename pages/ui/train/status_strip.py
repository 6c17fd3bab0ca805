"""Status strip: what the trainer is doing, drawn anew every second.

In: the files of a run and its derived state. Out: badge, reason, evidence, numbers, progress.
"""

from __future__ import annotations

import streamlit as st

from pages.ui.shared import controls, frame, live, words
from pages.ui.shared.readers import RunView
from trainer.models import registry
from trainer.store.records import Scores, Status
from trainer.store.run_state import DerivedState


def show(run: RunView, derived: DerivedState) -> None:
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
    if derived.state == "running" and words.is_model(derived.status.stage):
        st.caption(words.costs(derived.status))


def _workers(run: RunView, status: Status) -> None:
    """Show the fold of each worker, where there are several."""
    lines = []
    for worker in status.workers:
        step = run.step_text(worker.model, worker.step, worker.total_steps)
        idle = words.duration(max(0.0, status.heartbeat_at - worker.progress_at))
        lines.append(
            f"{words.fold_name(worker.model, worker.fold)}: {words.step_title(worker.model)} "
            f"{step}, last progress {idle} ago · process {worker.pid} on "
            f"{frame.escape(worker.host)}"
        )
    if lines:
        st.caption("  \n".join(lines))


def num_folds(run: RunView, status: Status) -> tuple[int, int]:
    """Return how many folds are done, and of how many; a starting trainer has not counted yet."""
    if status.total_units:
        return status.done_units, status.total_units
    return sum(record.done for record in run.folds), len(run.folds)


def _evidence(derived: DerivedState) -> None:
    """Offer the evidence for the run's state; it is updated while it is open."""
    lines = "\n".join(f"{line.what + ':':<15}{line.seen}" for line in derived.evidence)
    with st.popover("Evidence", icon=":material/fact_check:", type="tertiary", width="content"):
        st.code(lines, language=None)


def _reason(derived: DerivedState, is_launching: bool) -> str:
    if is_launching:
        return "The trainer is starting; its first heartbeat follows within seconds."
    return frame.escape(words.reason(derived))


def _numbers(run: RunView, derived: DerivedState) -> None:
    status = derived.status
    assert status is not None  # checked by the caller
    with st.container(horizontal=True, gap="medium"):
        if derived.state == "finished":
            for model, mean in _means(run.scores).items():
                _number(f"{registry.title(model)}, mean of folds", words.score(mean))
            _number("Training time", *_training_time(run))
            return
        label = "Now" if derived.is_active else "Stopped at"
        _number(label, words.activity(status), _attempt_text(status))
        _number(*_step(run, status))
        _fold_score(run, status)
        _number(*_so_far(run.scores))
        if derived.is_active:
            _clocks(status)


def _number(label: str, value: str, detail: str = "") -> None:
    st.metric(
        frame.escape(label),
        frame.escape(value),
        delta=frame.escape(detail) or None,
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _attempt_text(status: Status) -> str:
    return f"attempt {status.attempt}" if status.attempt > 1 else ""


def _training_time(run: RunView) -> tuple[str, str]:
    """Return the time spent on all folds, and in how many attempts."""
    attempts = max((event.attempt for event in run.events), default=1)
    seconds = sum(record.seconds for record in run.folds)
    return words.duration(seconds), f"in {attempts} attempts" if attempts > 1 else ""


def _fold_score(run: RunView, status: Status) -> None:
    """Show the newest score of the fold that is trained, and its best so far."""
    if not words.is_model(status.stage) or status.fold is None or len(status.workers) > 1:
        return
    found = run.fold_score(status.stage, status.fold)
    step_title = words.step_title(status.stage)
    value = words.NOTHING if found is None else words.score(found.newest)
    best = "" if found is None else f"best {found.best:.3f}, {step_title} {found.best_step}"
    _number("Score of this fold", value, best)


def _clocks(status: Status) -> None:
    """Show the time left, and when the run will pause by itself."""
    if status.eta_s is not None:
        done_at = words.clock(status.heartbeat_at + status.eta_s)
        _number("Time left, at most", words.duration(status.eta_s), f"done by {done_at}")
    if status.pauses_at is not None:
        left = words.duration(status.pauses_at - status.heartbeat_at)  # both by the trainer's clock
        _number("Pauses at", words.clock(status.pauses_at), f"time limit, in {left}")


def _step(run: RunView, status: Status) -> tuple[str, str]:
    """Return label and value of the progress: steps of the one fold, else folds."""
    is_in_one_fold = words.is_model(status.stage) and len(status.workers) < 2
    if not is_in_one_fold or not status.total_steps:
        return "Folds done", "{} of {}".format(*num_folds(run, status))
    name = f"{words.step_title(status.stage).capitalize()}s done"
    return name, run.step_text(status.stage, status.step, status.total_steps)


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
    return f"{registry.title(model)}, {over}", words.score(means[model]), spread


def _means(scores: Scores | None) -> dict[str, float]:
    """Return the mean score of the blend and of each model that has one, the blend first."""
    models = {} if scores is None else scores.models
    means = {model: each.all_sensors.mean for model, each in models.items()}
    blend_first = sorted(means, key=lambda model: model != registry.BLEND)
    return {model: mean for model in blend_first if (mean := means[model]) is not None}


def _progress(run: RunView, derived: DerivedState) -> None:
    status = derived.status
    if status is None:
        return
    num_done, num = num_folds(run, status)
    if num == 0:
        return
    part = status.units_begun if words.is_model(status.stage) else 0.0
    share = min(1.0, (num_done + part) / num)
    st.progress(
        1.0 if derived.state == "finished" else share,
        text=f"{num_done} of {num} folds done",
    )
