"""The options of the command ``study``.

In: arguments. Out: checked options for ``trainer.cli.studying``.

    python -m trainer study night --seeds 42,43,44 --grid boosting.num_leaves=7,15,31
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli import commands, own_code, studying, training
from trainer.cli.options import (
    Assignments,
    Data,
    EngineName,
    Epochs,
    Folds,
    FoldsPath,
    Models,
    Notify,
    PausedOk,
    Preset,
    Rounds,
    SharedSubjects,
    State,
    TimeLimit,
    Workers,
)


def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the study")],
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Train every trial with each of these seeds (default: the setting seed)",
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2",
            help="Values of a setting; all combinations are trained, the first setting varies "
            "slowest. The items of a list are joined by +: network.conv_channels=8+16,16+32. "
            "use=none,FILE.py compares runs without and with your own code",
        ),
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Search settings with Optuna: a table per setting with low and high (and log or "
            "step), or choices",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Number of trials of a search; a higher one adds"),
    ] = None,
    data: Data = None,
    preset: Preset = None,
    models: Models = None,
    folds: Folds = None,
    folds_file: FoldsPath = None,
    allow_shared_subjects: SharedSubjects = False,
    rounds: Rounds = None,
    epochs: Epochs = None,
    set_: Assignments = None,
    use: own_code.Use = None,
    time_limit: TimeLimit = "auto",
    paused_is_success: PausedOk = False,
    workers: Workers = None,
    engine: EngineName = "local",
    notify: Notify = None,
    state: State = None,
) -> None:
    """Train runs that differ in seeds and settings, or continue the study of that name.

    Each run is an ordinary one, named NAME-0, NAME-1 and so on. Ctrl-C pauses; the same command,
    or NAME alone, continues inside the fold and then with the trials that would have come. A search
    ends a trial early that is clearly worse than the best one on the same folds.
    """
    given = training.run_options(data, models, folds, rounds, epochs)
    studying.study(
        state_dir=commands.state_dir(state),
        name=name,
        wanted=studying.StudyOptions(
            seeds=seeds,
            grid=grid or [],
            search=search,
            num_trials=trials,
            preset=preset,
            options=given,
            assignments=set_ or [],
            use=use or [],
            folds=training.read_folds(folds_file, allow_shared_subjects, given, set_ or []),
        ),
        limits=training.read_limits(time_limit, None, {}),  # as resume, without the RESUME names
        paused_is_success=paused_is_success,
        pool=training.read_pool(workers, os.environ, engine),
        notify=notify or [],
    )
