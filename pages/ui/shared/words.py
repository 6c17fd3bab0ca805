"""Words: the one name that each thing has on the screen, and how numbers are written.

In: records, seconds, times. Out: text.
"""

from __future__ import annotations

import signal
import time
from typing import Literal

from trainer.config import is_simulated
from trainer.store.names import RUN_NAME
from trainer.store.records import RunFile, Status, WorkerStatus
from trainer.store.run_state import DerivedState

BadgeColour = Literal["blue", "green", "orange", "red", "gray"]

NOTHING = "\N{EN DASH}"  # where there is no number yet; a hyphen would be a bullet in Markdown
NO_BREAK = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line

SIMULATED = "Simulated"  # the one mark of a score that is no real one
SIMULATED_MODELS = "The models learnt from simulated recordings: of real ones they know little"
SIMULATED_HELP = "Recordings from a model of the arm: a score on them says nothing about real ones."

MODELS = {"lgbm": "LightGBM", "torch": "Network", "blend": "Blend"}
STEP_NAMES = {"lgbm": "round", "torch": "epoch"}
STAGES = {
    "starting": "Starting",
    "data": "Reading recordings",
    "features": "Computing features",
    "folds": "Splitting into folds",
    "lgbm": "Training LightGBM",
    "torch": "Training the network",
    "blend": "Blending",
    "done": "Done",
}
STATE_COLOURS: dict[str, BadgeColour] = {
    "running": "green",
    "pausing": "orange",
    "paused": "orange",
    "interrupted": "red",
    "stalled": "red",
    "failed": "red",
    "finished": "blue",
    "launching": "gray",
}
STATE_ICONS = {
    "running": ":material/play_arrow:",
    "pausing": ":material/pause:",
    "paused": ":material/pause:",
    "interrupted": ":material/power_off:",
    "stalled": ":material/hourglass_disabled:",
    "failed": ":material/error:",
    "finished": ":material/check:",
    "launching": ":material/hourglass_top:",
}


def duration(seconds: float | None) -> str:
    """Write a duration in its two largest units: 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller_size, smaller in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    raise AssertionError("unreachable: whole is at least 60")


def clock(moment: float | None) -> str:
    """Write a time of day, 14:02:11; with the date when it is not today."""
    if moment is None:
        return NOTHING
    then = time.localtime(moment)
    is_today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", then)


def score(value: float | None) -> str:
    """Write a score with three decimals; a dash where there is none."""
    return NOTHING if value is None else f"{value:.3f}"


def epochs_done(step: int, total_steps: int, num_epochs: int) -> int:
    """Return how many whole epochs so many of all optimiser steps are."""
    return step * num_epochs // total_steps if total_steps else 0


def step_text(model: str, step: int, total_steps: int, num_epochs: int) -> str:
    """Write how far a fold is, rounds for LightGBM and epochs for the network: 75 of 500."""
    if model == "lgbm":
        return f"{step} of {total_steps}"
    return f"{epochs_done(step, total_steps, num_epochs)} of {num_epochs}"


def at_work(status: Status) -> tuple[Status | WorkerStatus, ...]:
    """Return who fits a fold now: the workers, or the trainer itself where it has none."""
    is_itself = status.stage in MODELS and status.fold is not None
    return status.workers or ((status,) if is_itself else ())


def doing(status: Status) -> str:
    """Say what the trainer does: the model and fold it trains, else the stage."""
    if len(status.workers) > 1:
        return f"{len(status.workers)} folds side by side"
    if status.stage in MODELS and status.fold is not None:
        return f"{MODELS[status.stage]}, fold {status.fold}"
    return STAGES[status.stage]


def place(model: str, fold: int, step: int | None) -> str:
    """Say where in the work something happened; steps of the network are optimiser steps."""
    step_name = "round" if model == "lgbm" else "step"
    where = f"{MODELS[model]}, fold {fold}"
    return where if step is None else f"{where}, {step_name} {step:,}"


def reason(derived: DerivedState) -> str:
    """Say in one sentence why a run is in its state."""
    status = derived.status
    if status is None or derived.state not in ("running", "interrupted", "finished"):
        return derived.reason
    if derived.state == "running":
        return f"Last sign of life at {clock(status.heartbeat_at)}."
    if derived.state == "finished":
        return f"Ended at {clock(status.heartbeat_at)}."
    at = doing(status).lower()
    if status.model is not None and status.fold is not None and len(status.workers) < 2:
        at = place(status.model, status.fold, status.step)
    redone_s = round(status.kill_costs_s)
    resume = f"redoes about {redone_s} s of work and goes on" if redone_s else "goes on from there"
    return (
        f"The trainer stopped without a word at {clock(status.heartbeat_at)} ({at}). Everything up "
        f"to its last checkpoint is kept; Resume {resume}."
    )


def exit_text(code: int) -> str:
    """Say how a process ended: by which signal, or with which exit code."""
    number = -code if code < 0 else code - 128  # a shell's and our own way to name a signal
    if number not in list(signal.Signals):
        return f"It ended with exit code {code}."
    name = signal.Signals(number).name
    text = f"It was ended by {name} (signal {number})."
    if name == "SIGKILL":
        text += " Somebody killed it, or the system did because memory ran out."
    return text


def costs(status: Status) -> str:
    """Say what a pause and a kill right now would have to redo."""
    pause_s, kill_s = round(status.pause_costs_s), round(status.kill_costs_s)
    text = f"Pausing now redoes {f'about {pause_s} s of' if pause_s else 'no'} work"
    return f"{text}; a kill would cost {kill_s} s." if kill_s > pause_s else f"{text}."


def recordings(run_file: RunFile | None) -> str:
    """Write where a run's recordings come from: the mark of simulated ones, else the source."""
    if run_file is None:
        return ""
    source = run_file.data.source
    if not is_simulated(source):
        return f"{SIMULATED}, {source}" if run_file.is_simulated else source
    count = source.partition(":")[2]
    return f"{SIMULATED}, {count} subject{'s' * (count != '1')}" if count else SIMULATED


def run_name_problem(name: str) -> str | None:
    """Say what is wrong with a run name, or None."""
    if RUN_NAME.fullmatch(name):
        return None
    return "1 to 64 of a-z, 0-9, dot, underscore and hyphen, starting with a letter or digit"


def capital(text: str) -> str:
    """Return the text with a capital at its start."""
    return text[:1].upper() + text[1:]
