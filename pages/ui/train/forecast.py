"""Forecast: what a new run is going to do and how long that should take, in plain words.

In: its configuration; the earlier runs of the state folder. Out: sentences. A time is as measured
here on the same recordings, else a rough guess, else unknown, and says which.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from pages.ui.shared import readers, words
from trainer.config import Config
from trainer.run.estimate import (
    Size,
    format_duration,
    guess_num_features,
    pace,
    seconds_per_fold,
    size_of,
)
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

WATCH_SIZE = Size(
    num_sequences=744,
    num_rows=44_640,
    num_classes=7,
    num_features=guess_num_features(("acc", "rot")),
)
MAX_LOOKED_AT = 20  # newest runs; the first that knows a model's pace is taken


@dataclass(frozen=True)
class Forecast:
    """How long a run should take.

    Attributes:
        seconds: Of all folds of each model, at most; empty where it is not known.
        basis: What that rests on, or why it is not known.
    """

    seconds: dict[str, float]
    basis: str


def plan_text(config: Config, source: str) -> str:
    """Say what will be trained on what."""
    folds = config.folds.count
    texts = {
        "lgbm": f"{folds} folds of LightGBM (up to {config.boosting.rounds} rounds)",
        "torch": f"{folds} folds of the network (up to {config.network.epochs} epochs)",
    }
    parts = [texts[model] for model in config.models]
    return (
        f"Trains {' and '.join(parts)} on {source}, each fold scored on people it has not seen; "
        f"early stopping ends a fold sooner."
    )


def time_text(forecast: Forecast) -> str:
    """Say how long it should take and what that rests on."""
    if not forecast.seconds:
        return f"How long it takes is not known: {forecast.basis}"
    parts = ", ".join(
        f"{words.MODELS[model]} {format_duration(seconds)}"
        for model, seconds in forecast.seconds.items()
    )
    total = format_duration(sum(forecast.seconds.values()))
    detail = f" ({parts})" if len(forecast.seconds) > 1 else ""
    return f"About {total} at most{detail}: {forecast.basis}"


def forecast(config: Config, runs: Sequence[RunReader]) -> Forecast:
    """Return how long a run should take.

    Args:
        config: Of the new run.
        runs: Of the state folder, the newest first.
    """
    known = [_same_recordings(run, config) for run in runs[:MAX_LOOKED_AT]]
    earlier = [pair for pair in known if pair is not None]
    if not earlier and config.data.source != "watch":
        return Forecast(
            {},
            "no run in this folder was made from these recordings. Once it works, the time left "
            "is measured and shown here.",
        )
    size = size_of(earlier[0][1]) if earlier else WATCH_SIZE
    guessed = {
        model: seconds * config.folds.count
        for model, seconds in seconds_per_fold(config, size).items()
    }
    paces, names = _paces(config, earlier)
    seconds = {model: guess * paces.get(model, 1.0) for model, guess in guessed.items()}
    return Forecast(seconds, _basis(config, paces, names))


def _same_recordings(run: RunReader, config: Config) -> tuple[RunReader, RunFile] | None:
    """Return the run where it was made from the same source."""
    run_file = readers.run_file(run, [])
    is_same = run_file is not None and run_file.data.source == config.data.source
    return (run, run_file) if is_same and run_file is not None else None


def _paces(
    config: Config, earlier: Sequence[tuple[RunReader, RunFile]]
) -> tuple[dict[str, float], list[str]]:
    """Return the pace of each model that the newest run on this machine knows, and whose it is."""
    paces: dict[str, float] = {}
    names: list[str] = []
    for run, run_file in earlier:
        if run_file.machine.host != socket.gethostname():
            continue
        measured = pace(run_file.settings(), size_of(run_file), readers.units(run, []))
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
    return (config.boosting.num_threads, config.network.num_threads) == (
        run_file.boosting.num_threads,
        run_file.network.num_threads,
    )


def _basis(config: Config, paces: dict[str, float], names: list[str]) -> str:
    if not paces:
        return "a rough guess from the size of the recordings; nothing was measured here yet."
    runs = f"run{'s' if len(names) > 1 else ''} {' and '.join(names)}"
    text = f"as fast as {runs} went on these recordings on this machine."
    guessed = [words.MODELS[model] for model in config.models if model not in paces]
    return f"{text} {guessed[0]} is a rough guess." if guessed else text
