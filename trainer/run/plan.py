"""The plan: what exists, what is reused, resumed, trained; printed before anything is done.

In: the state of the run folder. Out: lines of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.blend import used_weights
from trainer.config import Config, used_file
from trainer.models import registry
from trainer.models.base import DataSize, Model
from trainer.run.estimate import format_duration, seconds_per_fold
from trainer.store.records import FoldRecord, RunFile


@dataclass(frozen=True)
class Plan:
    """What a start of the trainer is going to do.

    Attributes:
        is_new: Whether the run begins now.
        features: "reused" or why the feature table is built.
        folds: The folds of every model as they are.
        size: Of the recordings, for the estimate of the time.
        origin: Where an adopted run was copied from, in words; "" for any other run.
        chosen: The settings that a new run chose by its recordings, each with its value.
    """

    is_new: bool
    features: str
    folds: tuple[FoldRecord, ...]
    size: DataSize
    origin: str = ""
    chosen: tuple[str, ...] = ()

    @property
    def num_done(self) -> int:
        """Return how many folds are done."""
        return sum(fold.done for fold in self.folds)


def describe_plan(plan: Plan, run: RunFile, config: Config, state_dir: str) -> list[str]:
    """Return the plan as lines."""
    data = run.recordings
    lines = [
        f"Run {run.run} in {state_dir}: {'new' if plan.is_new else 'goes on'}",
        f"  recordings  {config.data.source}: {data.num_sequences:,} sequences, "
        f"{data.num_rows:,} rows, {data.num_subjects} subjects, "
        f"{len(run.labels.gestures)} gestures ({run.labels.num_targets} targets), "
        f"sensors {', '.join(data.groups)}{', simulated' if run.is_simulated else ''}",
        *_describe_corrected(data.turned_subjects),
        f"  settings    preset {config.preset}, seed {config.seed}, {_describe_split(config)}",
        f"  features    {plan.features}",
    ]
    if plan.chosen:
        lines.insert(-1, f"  chosen      {', '.join(plan.chosen)}: by the number of sequences")
    if config.use:
        names = ", ".join(used_file(entry)[0] for entry in config.use)
        lines.insert(-1, f"  own code    {names}")
    if plan.origin:
        lines.insert(1, f"  adopted     {plan.origin}")
    for model in registry.select(config.models):
        folds = [fold for fold in plan.folds if fold.model == model.name]
        lines.append(f"  {model.title:<11} {_describe_folds(model, folds, config)}")
    lines += _describe_weights(config)
    lines += [f"  left out    {text}" for text in registry.describe_left_out(run.left_out)]
    lines.append(f"  time        {_describe_time(plan, config)}")
    return lines


def _describe_split(config: Config) -> str:
    folds = config.folds
    if folds.file_sha256 is None:
        return f"{folds.count} folds by subject"
    text = f"{folds.count} folds of a file (content {folds.file_sha256[:12]})"
    shared = ", subjects shared between training and validation: scores will be optimistic"
    return text + (shared if folds.shared_subjects else ", by subject")


def _describe_weights(config: Config) -> list[str]:
    """Return the weights of more than two models: those beyond the defaults have none by itself."""
    if len(config.models) < 3:
        return []
    weights = used_weights(dict.fromkeys(config.models), config.blend.by_model)
    parts = (f"{registry.title(model)} {weight:.3g}" for model, weight in weights.items())
    return [f"  blend       {', '.join(parts)}"]


def _describe_time(plan: Plan, config: Config) -> str:
    """Return how long the folds that are left should take, in words."""
    per_fold = seconds_per_fold(config, plan.size)
    left = {
        model: sum(seconds for fold in plan.folds if fold.model == model and not fold.done)
        for model, seconds in per_fold.items()
    }
    if not any(left.values()):
        return "nothing left to train"
    parts = ", ".join(
        f"{registry.title(model)} {format_duration(seconds)}" for model, seconds in left.items()
    )
    return f"about {format_duration(sum(left.values()))} at most on 2 cores ({parts})"


def _describe_folds(model: Model, folds: Sequence[FoldRecord], config: Config) -> str:
    done = [fold.fold for fold in folds if fold.done]
    begun = [fold for fold in folds if not fold.done and fold.last is not None]
    waiting = [fold.fold for fold in folds if not fold.done and fold.last is None]
    parts = []
    if done:
        parts.append(f"reuses {_folds(done)}")
    parts += [
        f"resumes fold {fold.fold} at {model.step_name} {fold.step} of {fold.total_steps}"
        for fold in begun
    ]
    if waiting:
        num_steps = model.max_steps(config)
        most = f"at most {num_steps} {model.step_title}{'s' * (num_steps != 1)} each"
        parts.append(f"trains {_folds(waiting)}, {most}")
    return "; ".join(parts)


def _folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(str(fold) for fold in folds)}"


def _describe_corrected(subjects: Sequence[str]) -> list[str]:
    if not subjects:
        return []
    return [
        f"  corrected   device orientation of {', '.join(subjects)}: half a turn about z from the "
        f"others (data.turn_reversed)"
    ]
