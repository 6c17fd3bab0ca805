"""Options that several commands have, or that need many lines, with their help texts.

In: nothing. Out: annotated types for ``trainer.__main__`` and ``study_command``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer import __version__


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print(__version__)
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and exit", callback=_print_version, is_eager=True
    ),
]
State = Annotated[
    Path | None,
    typer.Option("--state", help="State folder (default: $CKPT_DIR or state/)", metavar="DIR"),
]
TimeLimit = Annotated[
    str,
    typer.Option(
        help="Pause before this time is over, such as 90s, 45m or 11.5h; none: no limit; auto: "
        "pause half an hour before a Kaggle or Colab session ends"
    ),
]
StopAfter = Annotated[
    int | None,
    typer.Option(
        min=1, max=10_000, help="Pause after this number of folds, for example to try a resume"
    ),
]
PausedOk = Annotated[
    bool, typer.Option("--paused-is-success", help="Exit with code 0 instead of 3 when paused")
]
Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Number of folds to fit side by side, each in its own process; the results are "
        "identical for any number (default: $WORKERS, or auto: as many as cores and memory allow)",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        metavar="ENGINE",
        help="Where workers run. local: processes on this machine; dask: a Dask cluster on this "
        "machine; dask://HOST:PORT: a Dask scheduler whose workers see the state folder at the "
        "same path",
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        help="Send a notification to this address of Apprise, such as ntfy://TOPIC, at the end or "
        "an interruption; repeatable. Set NOTIFY_URLS instead for an address with a secret: other "
        "users see a command line",
    ),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, or path of its folder")]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Recordings to train on. watch: real recordings that ship with the project; a "
        "CSV or Parquet file or a folder in the competition's schema; simulated[:SUBJECTS]: "
        "computed from a model of the arm; kaggle: the competition's data (default: watch)",
    ),
]
Preset = Annotated[
    str | None, typer.Option(help="Preset of settings: quick (minutes) or full (default: full)")
]
Models = Annotated[
    str | None,
    typer.Option(help="Models to train, separated by commas: lgbm, torch (default: lgbm,torch)"),
]
Folds = Annotated[
    int | None,
    typer.Option(help="Number of cross-validation folds, split by subject (default: 5)"),
]
Rounds = Annotated[int | None, typer.Option(help="Maximum number of LightGBM rounds")]
Epochs = Annotated[int | None, typer.Option(help="Maximum number of epochs of the network")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its name in config.json, such as boosting.learning_rate=0.05",
    ),
]
FoldsPath = Annotated[
    Path | None,
    typer.Option(
        "--folds-file",
        metavar="FILE",
        help="Your own folds: a CSV or Parquet file with sequence_id and fold (from 0), such as "
        "folds.parquet of another run (default: split by subject, stratified by gesture)",
    ),
]
SharedSubjects = Annotated[
    bool,
    typer.Option(
        "--allow-shared-subjects",
        help="Accept a folds file with subjects in several folds; all scores of the run are "
        "marked as optimistic",
    ),
]
