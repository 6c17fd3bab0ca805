"""Words: the one name of each thing on the screen, and how numbers are written.

In: records, seconds, times. Out: text.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from trainer.config import is_simulated, setting_text
from trainer.models import registry
from trainer.store.names import RUN_NAME
from trainer.store.records import RunFile, Status, WorkerStatus
from trainer.store.run_state import DerivedState

BadgeColour = Literal["blue", "green", "orange", "red", "gray"]

NOTHING = "\N{EN DASH}"  # where there is no number yet; a hyphen would be a bullet in Markdown
HASH_LENGTH = 12  # characters of a hash
NO_BREAK = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line

SIMULATED = "Simulated"  # marks every score on simulated recordings
SIMULATED_MODELS = "These models were trained on simulated recordings; expect little on real ones"
SIMULATED_HELP = "Simulated recordings: these scores do not apply to real ones."
SHARED_HELP = (
    "Subjects are shared between training and validation: all scores are optimistic for other "
    "people."
)

STAGES = {
    "starting": "Starting",
    "data": "Reading recordings",
    "features": "Computing features",
    "folds": "Splitting into folds",
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
    "pruned": "gray",
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
    "pruned": ":material/content_cut:",
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


def is_model(stage: str) -> bool:
    """Return whether a stage of the run is the training of a model."""
    return any(model.name == stage for model in registry.all_models())


def step_title(model: str) -> str:
    """Return what the best step of a model is counted in: round, epoch."""
    return registry.get(model).step_title if is_model(model) else "step"


def step_text(step: int, total_steps: int, last_step: int) -> str:
    """Write how many rounds or epochs of a fold are done: 75 of 500.

    Args:
        step: Steps of progress that are done.
        total_steps: Steps of progress of a whole fold.
        last_step: Rounds or epochs of a whole fold; 0 where that is not known.
    """
    if not last_step:
        return f"{step} of {total_steps}"
    done = step * last_step // total_steps if total_steps else 0  # 0: the fold has not begun
    return f"{done} of {last_step}"


def fitted_now(status: Status) -> tuple[Status | WorkerStatus, ...]:
    """Return the folds that are being fitted: one per worker, or the trainer's own."""
    is_fitting = is_model(status.stage) and status.fold is not None
    return status.workers or ((status,) if is_fitting else ())


def activity(status: Status) -> str:
    """Describe what the trainer does: the model and fold that it fits, or the stage."""
    if len(status.workers) > 1:
        return f"{len(status.workers)} folds in parallel"
    if not is_model(status.stage):
        return STAGES.get(status.stage, capital(status.stage))
    if status.fold is None:
        return f"Training {registry.get(status.stage).phrase}"
    return fold_name(status.stage, status.fold)


def fold_name(model: str, fold: int | None) -> str:
    """Name one fold of one model: LightGBM, fold 2."""
    return f"{registry.title(model)}, fold {fold}"


def position(model: str, fold: int, step: int | None) -> str:
    """Name a point of the work: model, fold and, where it is known, the step of progress."""
    where = fold_name(model, fold)
    if step is None:
        return where
    return f"{where}, {registry.get(model).step_name if is_model(model) else 'step'} {step:,}"


def enumeration(parts: Iterable[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def setting(name: str, value: Any) -> str:  # noqa: ANN401 - a setting
    """Write a setting's value; of a hash only its beginning, which is enough to tell two apart."""
    return setting_text(value)[: HASH_LENGTH if name.endswith("sha256") else None]


def weights(used: Mapping[str, float]) -> str:
    """Write the weights of models in a blend."""
    return ", ".join(f"{registry.title(model)} {weight:.3g}" for model, weight in used.items())


def reason(derived: DerivedState) -> str:
    """Explain in one sentence why a run is in its state."""
    status = derived.status
    if status is None or derived.state not in ("running", "interrupted", "finished"):
        return derived.reason
    if derived.state == "running":
        return f"Last heartbeat at {clock(status.heartbeat_at)}."
    if derived.state == "finished":
        return f"Finished at {clock(status.heartbeat_at)}."
    where = activity(status)
    where = where[:1].lower() + where[1:]
    if status.model is not None and status.fold is not None and len(status.workers) < 2:
        where = position(status.model, status.fold, status.step)
    redone_s = round(status.kill_costs_s)
    resume = f"repeats about {redone_s} s of work" if redone_s else "continues from there"
    return (
        f"The trainer ended unexpectedly; its last heartbeat was at {clock(status.heartbeat_at)} "
        f"({where}). Everything up to the last checkpoint is kept. Resume {resume}."
    )


def exit_text(code: int) -> str:
    """Describe how a process ended: by which signal, or with which exit code."""
    number = -code if code < 0 else code - 128  # a shell's and our own way to name a signal
    if number not in list(signal.Signals):
        return f"The trainer ended with exit code {code}."
    name = signal.Signals(number).name
    text = f"The trainer was ended by {name} (signal {number})."
    if name == "SIGKILL":
        text += " A user killed it, or the system did because memory ran out."
    return text


def costs(status: Status) -> str:
    """Describe how much work a pause and a kill would lose right now."""
    pause_s, kill_s = round(status.pause_costs_s), round(status.kill_costs_s)
    text = f"A pause now loses {f'about {pause_s} s of' if pause_s else 'no'} work"
    return f"{text}; a kill would lose {kill_s} s." if kill_s > pause_s else f"{text}."


def recordings(run_file: RunFile | None) -> str:
    """Name where a run's recordings come from; simulated ones are marked as such."""
    if run_file is None:
        return ""
    source = run_file.data.source
    if not is_simulated(source):
        return f"{SIMULATED}, {source}" if run_file.is_simulated else source
    count = source.partition(":")[2]
    return f"{SIMULATED}, {count} subject{'s' * (count != '1')}" if count else SIMULATED


class Mark(NamedTuple):
    """What limits the meaning of all scores of a run."""

    title: str
    icon: str
    sentence: str


def marks(run_file: RunFile | None) -> list[Mark]:
    """Return the marks of a run; none where its configuration cannot be read."""
    if run_file is None:
        return []
    shared = [Mark("Optimistic", ":material/group:", SHARED_HELP)]
    simulated = [Mark(SIMULATED, ":material/science:", SIMULATED_HELP)]
    return simulated * run_file.is_simulated + shared * run_file.folds.shared_subjects


def run_name_problem(name: str) -> str | None:
    """Return what is wrong with a run name, or None."""
    if RUN_NAME.fullmatch(name):
        return None
    return "1 to 64 of a-z, 0-9, dot, underscore and hyphen, starting with a letter or digit"


def capital(text: str) -> str:
    """Return the text with a capital at its start."""
    return text[:1].upper() + text[1:]
