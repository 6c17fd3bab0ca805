"""Messages: what is sent about a run or a study.

In: its folder. Out: messages of names, states and scores.
"""

from __future__ import annotations

from pathlib import Path

from trainer.models import registry
from trainer.notify.notifier import Message
from trainer.run.execution import last_status
from trainer.run.time_limit import TIME_LIMIT
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import Status
from trainer.store.run_state import describe
from trainer.study.definition import StudyFile
from trainer.study.trials import TrialRecord, best_trial, is_study, read_study, read_trials


def ended(root: Path) -> Message | None:
    """Return the message at the end of a start; None for a pause that the user requested."""
    status = last_status(root)
    if status is not None and status.state == "finished":
        return Message(f"{_name(root)} finished", _score(root), "success")
    if status is not None and status.state == "paused" and TIME_LIMIT in status.message:
        text = f"At {_place(root, status)}. {_score(root)}"
        return Message(f"{_name(root)} paused by its time limit", text.rstrip())
    return None


def failed(root: Path, error: BaseException) -> Message:
    """Return the message on an error that ended a start; its text may name paths."""
    status = last_status(root)
    place = "" if status is None else f" at {_place(root, status)}"
    text = f"{type(error).__name__}{place}. Its log has the reason. {_score(root)}"
    return Message(f"{_name(root)} failed", text.rstrip(), "failure")


def interrupted(root: Path) -> Message:
    """Return the message on a process that ended without a final status."""
    status = last_status(root)
    place = "" if status is None else f"At {_place(root, status)}. "
    text = f"{place}Everything up to the last checkpoint is kept. {_score(root)}"
    return Message(f"{_name(root)} was interrupted", text.rstrip(), "warning")


def new_best(study: StudyFile, trial: TrialRecord) -> Message:
    """Return the message on a trial that is better than all before it."""
    settings = ", ".join(f"{name}={value}" for name, value in trial.settings.items())
    text = f"Trial {trial.number} of {study.num_trials}{f': {settings}' if settings else ''}"
    return Message(f"Study {study.name}: new best score {trial.value:.4f}", text)


def _name(root: Path) -> str:
    return f"{'Study' if is_study(root) else 'Run'} {root.name}"


def _place(root: Path, status: Status) -> str:
    if is_study(root):
        return f"trial {status.done_units} of {status.total_units}"
    is_begun = bool(status.total_steps or status.workers) or status.fold is None
    return describe(status) if is_begun else describe(status).partition(",")[0]


def _score(root: Path) -> str:
    """Return the score so far in words, or "" where there is none or it cannot be read."""
    try:
        return _study_score(root) if is_study(root) else _run_score(root)
    except StoreError:
        return ""


def _run_score(root: Path) -> str:
    reader = RunReader(root)
    scores, run_file = reader.scores(), reader.run_file()
    blend = None if scores is None else scores.models.get(registry.BLEND)
    part = None if blend is None else blend.all_sensors
    if scores is None or part is None or part.mean is None or part.std is None:
        return ""
    num_done = sum(fold is not None for fold in part.folds)
    text = f"Score {part.mean:.4f} ± {part.std:.4f}, mean of {num_done} of {len(part.folds)} folds."
    if run_file is not None and run_file.is_simulated:
        text += " Simulated recordings: it does not apply to real ones."
    return text + " It is optimistic." * scores.is_optimistic(registry.BLEND)


def _study_score(root: Path) -> str:
    study, best = read_study(root), best_trial(read_trials(root))
    if study is None or best is None:
        return ""
    return f"Best score {best.value:.4f}, trial {best.number} of {study.num_trials}."
