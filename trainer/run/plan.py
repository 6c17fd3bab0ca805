"""The plan: what exists, what is reused, resumed, trained; printed before anything is done.

In: the state of the run folder. Out: lines for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config import Config
from trainer.run.estimate import Size, format_duration, seconds_per_fold
from trainer.store.records import FoldRecord, RunFile

MODEL_NAMES = {"lgbm": "LightGBM", "torch": "network"}


@dataclass(frozen=True)
class Plan:
    """What a start of the trainer is going to do.

    Attributes:
        is_new: Whether the run begins now.
        features: "reused" or why the feature table is built.
        units: The folds of every model as they are.
        size: Of the recordings, for the guess at the time.
        origin: Where an earlier run was copied from, in words; "" where nothing was.
    """

    is_new: bool
    features: str
    units: tuple[FoldRecord, ...]
    size: Size
    origin: str = ""

    @property
    def num_done(self) -> int:
        """Return how many folds are done."""
        return sum(unit.done for unit in self.units)


def describe_plan(plan: Plan, run: RunFile, config: Config, state_dir: str) -> list[str]:
    """Return the plan as lines."""
    data = run.recordings
    lines = [
        f"Run {run.run} in {state_dir}: {'new' if plan.is_new else 'goes on'}",
        f"  recordings  {config.data.source}: {data.num_sequences:,} sequences, "
        f"{data.num_rows:,} rows, {data.num_subjects} subjects, "
        f"{len(run.labels.gestures)} gestures ({run.labels.num_targets} targets), "
        f"sensors {', '.join(data.groups)}{', simulated' if run.is_simulated else ''}",
        *_describe_turned(data.turned_subjects),
        f"  settings    preset {config.preset}, seed {config.seed}, {config.folds.count} folds by "
        f"subject",
        f"  features    {plan.features}",
    ]
    if plan.origin:
        lines.insert(1, f"  earlier run {plan.origin}")
    for model in config.models:
        units = [unit for unit in plan.units if unit.model == model]
        lines.append(f"  {MODEL_NAMES[model]:<11} {_describe_units(units, config)}")
    lines.append(f"  time        {_describe_time(plan, config)}")
    return lines


def _describe_time(plan: Plan, config: Config) -> str:
    """Say how long what is left should take."""
    per_fold = seconds_per_fold(config, plan.size)
    left = {
        model: sum(seconds for unit in plan.units if unit.model == model and not unit.done)
        for model, seconds in per_fold.items()
    }
    if not any(left.values()):
        return "nothing left to train"
    parts = ", ".join(
        f"{MODEL_NAMES[model]} {format_duration(seconds)}" for model, seconds in left.items()
    )
    return f"about {format_duration(sum(left.values()))} at most on 2 cores ({parts})"


def _describe_units(units: Sequence[FoldRecord], config: Config) -> str:
    done = [unit.fold for unit in units if unit.done]
    begun = [unit for unit in units if not unit.done and unit.last is not None]
    waiting = [unit.fold for unit in units if not unit.done and unit.last is None]
    parts = []
    if done:
        parts.append(f"reuses {_folds(done)}")
    parts += [
        f"resumes fold {unit.fold} at step {unit.step} of {unit.total_steps}" for unit in begun
    ]
    if waiting:
        parts.append(f"trains {_folds(waiting)}, {_size(units[0].model, config)}")
    return "; ".join(parts)


def _folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(str(fold) for fold in folds)}"


def _describe_turned(subjects: Sequence[str]) -> list[str]:
    if not subjects:
        return []
    devices = "1 device looks" if len(subjects) == 1 else f"{len(subjects)} devices look"
    return [
        f"  turned back {', '.join(subjects)}: {devices} worn half a turn from the others' "
        f"(data.turn_reversed)"
    ]


def _size(model: str, config: Config) -> str:
    if model == "lgbm":
        return f"at most {config.boosting.rounds} rounds each"
    return f"at most {config.network.epochs} epochs each"
