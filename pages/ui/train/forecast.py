"""Forecast: what a new run will train and how long that should take.

In: its configuration; the earlier runs of the state folder. Out: sentences. The time is based on
measurements here on the same recordings, else it is a rough guess or not known; the text says so.
"""

from __future__ import annotations

import dataclasses
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pages.ui.shared import readers, words
from trainer.config import Config
from trainer.models import registry
from trainer.models.base import DataSize, Model
from trainer.run.estimate import (
    format_duration,
    guess_num_features,
    pace,
    seconds_per_fold,
    size_of,
)
from trainer.store.reader import RunReader
from trainer.store.records import RunFile
from trainer.study.definition import StudyFile

WATCH_SIZE = DataSize(
    num_sequences=744,
    num_rows=44_640,
    num_classes=7,
    num_features=guess_num_features(("acc", "rot")),
)
SMALL_SIZE = dataclasses.replace(WATCH_SIZE, num_sequences=1)
LARGE_SIZE = dataclasses.replace(WATCH_SIZE, num_sequences=1_000_000)
MAX_ESTIMATED = 20  # trials of a study
MAX_RUNS = 20  # newest runs; for each model the first with a measurement is used


@dataclass(frozen=True)
class Forecast:
    """How long a run should take.

    Attributes:
        seconds: Of all folds of each model, at most; empty where it is not known.
        basis: How it was estimated, or why it is not known.
        size: Of the recordings; None where it is not known.
    """

    seconds: dict[str, float]
    basis: str
    size: DataSize | None


def plan_text(config: Config, source: str, size: DataSize | None) -> str:
    """Describe what will be trained on which recordings, of this size where it is known."""
    models = registry.select(config.models)
    parts = [
        f"{config.folds.count} folds of {model.phrase} ({_steps_text(model, config, size)})"
        for model in models
    ]
    sentences = [
        f"Trains {words.enumeration(parts)} on {source}.",
        words.SHARED_HELP
        if config.folds.shared_subjects
        else "Each fold is scored on subjects that it was not trained on.",
    ]
    selecting = [model.phrase for model in models if model.selects_best(config)]
    if selecting:
        sentences.append(
            f"The best step of {words.enumeration(selecting)} is chosen on the recordings that are "
            "scored, so the scores will be optimistic."
        )
    return " ".join(sentences)


def _steps_text(model: Model, config: Config, size: DataSize | None) -> str:
    """Return how many steps a fold has, which may depend on the recordings."""
    sizes = (SMALL_SIZE, LARGE_SIZE) if size is None else (size,)
    steps = {model.max_steps(model.choose_settings(config, one)) for one in sizes}
    numbers = " or ".join(str(number) for number in sorted(steps))
    step = f"{model.step_title}{'s' * (numbers != '1')}"
    unit = f"{'up to ' * model.selects_best(config)}{numbers} {step}"
    return f"{unit}, by the number of sequences" if len(steps) > 1 else unit


def time_text(forecast: Forecast) -> str:
    """Describe how long it should take and how that was estimated."""
    if not forecast.seconds:
        return f"The training time is not known: {forecast.basis}"
    parts = ", ".join(
        f"{registry.title(model)} {format_duration(seconds)}"
        for model, seconds in forecast.seconds.items()
    )
    total = format_duration(sum(forecast.seconds.values()))
    detail = f" ({parts})" if len(forecast.seconds) > 1 else ""
    return f"Training time at most about {total}{detail}, {forecast.basis}"


def forecast(config: Config, runs: Sequence[RunReader]) -> Forecast:
    """Return how long a run should take.

    Args:
        config: Of the new run.
        runs: Of the state folder, the newest first.
    """
    known = [_same_recordings(run, config) for run in runs[:MAX_RUNS]]
    earlier = [pair for pair in known if pair is not None]
    if earlier:
        size = size_of(earlier[0][1])
    elif config.data.source == "watch":
        size = WATCH_SIZE
    else:
        return Forecast(
            {},
            "no run in this folder used these recordings. Once the run trains, this page shows "
            "the time left.",
            None,
        )
    guessed = {
        model: seconds * config.folds.count
        for model, seconds in seconds_per_fold(config, size).items()
    }
    paces, names = _paces(config, earlier)
    seconds = {model: guess * paces.get(model, 1.0) for model, guess in guessed.items()}
    return Forecast(seconds, _basis(config, paces, names), size)


def study_seconds(study: StudyFile, runs: Sequence[RunReader]) -> float | None:
    """Return how long all runs of a study should take at most, or None where it is not known.

    Of many trials some are estimated.
    """
    step = max(1, study.num_trials // MAX_ESTIMATED)
    settings = list(study.grid_trials())[::step] if study.grid else [{}]
    found = [forecast(study.config(one, study.seeds[0]), runs) for one in settings]
    if not found[0].seconds:
        return None
    mean_s = statistics.fmean(sum(one.seconds.values()) for one in found)
    return mean_s * study.num_trials * len(study.seeds)


def _same_recordings(run: RunReader, config: Config) -> tuple[RunReader, RunFile] | None:
    """Return the run if it was made from the same source."""
    run_file = readers.run_file(run, [])
    is_same = run_file is not None and run_file.data.source == config.data.source
    return (run, run_file) if is_same and run_file is not None else None


def _paces(
    config: Config, earlier: Sequence[tuple[RunReader, RunFile]]
) -> tuple[dict[str, float], list[str]]:
    """Return the pace of each model as measured in the newest run here, and those runs' names."""
    paces: dict[str, float] = {}
    names: list[str] = []
    for run, run_file in earlier:
        if run_file.machine.host != socket.gethostname():
            continue
        measured = pace(run_file.settings(), size_of(run_file), readers.fold_records(run, []))
        new = {
            model: value
            for model, value in measured.items()
            if model in config.models and model not in paces and _same_threads(config, run_file)
        }
        if new:
            paces |= new
            names.append(run.name)
    return paces, names


def _same_threads(config: Config, run_file: RunFile) -> bool:
    earlier = run_file.settings()
    return all(
        model.num_threads(config) == model.num_threads(earlier)
        for model in registry.select(config.models)
        if model.name in earlier.models
    )


def _basis(config: Config, paces: dict[str, float], names: list[str]) -> str:
    if not paces:
        return "a rough guess from their size, which the run's first steps will correct."
    runs = f"run{'s' if len(names) > 1 else ''} {words.enumeration(names)}"
    text = f"as measured in {runs} on these recordings and this machine."
    guessed = [registry.title(model) for model in config.models if model not in paces]
    return f"{text} {words.enumeration(guessed)}: rough guess." if guessed else text
