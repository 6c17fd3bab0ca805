"""Run table: one row per run, and the settings in which the runs differ.

In: the runs of a state folder. Out: a frame for the Runs page.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from pages.ui import live, readers
from trainer.config import Config, setting_names
from trainer.store.reader import RunReader
from trainer.store.records import Scores
from trainer.store.verdict import judge

SHOWN_ANYWAY = ("data.source",)  # has a column of its own


def run_table(runs: Sequence[RunReader], problems: list[str]) -> pl.DataFrame:
    """Return one row per run, in the order given.

    Args:
        runs: The runs.
        problems: Files that cannot be read are added here.

    Returns:
        Run, Title, State, mean fold score of blend and models (null: none yet), Recordings,
        Sequences, Started, then one text column per setting that differs between the runs.
    """
    configs = [_config(run, problems) for run in runs]
    names = differing_settings(configs)
    rows = [
        _row(run, problems) | {name: _setting(config, name) for name in names}
        for run, config in zip(runs, configs, strict=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def differing_settings(configs: Sequence[Config | None]) -> list[str]:
    """Return the dotted names of the settings that have more than one value among the runs."""
    return [
        name
        for name in setting_names()
        if name not in SHOWN_ANYWAY
        and len({_setting(config, name) for config in configs if config is not None}) > 1
    ]


def _row(run: RunReader, problems: list[str]) -> dict[str, object]:
    run_file, scores = readers.run_file(run, problems), readers.scores(run, problems)
    verdict = judge(run)
    is_launching = live.is_launching(run, verdict)
    return {
        "Run": run.name,
        "Title": readers.notes(run, problems).title,
        "State": "Launching" if is_launching else verdict.state.capitalize(),
        "Blend": _mean(scores, "blend"),
        "LightGBM": _mean(scores, "lgbm"),
        "Network": _mean(scores, "torch"),
        "Recordings": None if run_file is None else run_file.data.source,
        "Sequences": None if run_file is None else run_file.recordings.num_sequences,
        "Started": None if run_file is None else datetime.fromtimestamp(run_file.created_at),
    }


def _config(run: RunReader, problems: list[str]) -> Config | None:
    run_file = readers.run_file(run, problems)
    return None if run_file is None else run_file.settings()


def _mean(scores: Scores | None, model: str) -> float | None:
    found = None if scores is None else scores.models.get(model)
    return None if found is None else found.all_sensors.mean


def _setting(config: Config | None, name: str) -> str:
    if config is None:
        return ""
    value = functools.reduce(getattr, name.split("."), config)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
