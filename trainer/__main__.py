"""The command line: ``python -m trainer COMMAND``.

In: words. Out: exit code 0 finished, 1 failed, 2 wrong usage or refused, 3 paused.

    python -m trainer train --run first        train on the embedded recordings
    python -m trainer resume first             go on after a pause, a kill or a timeout
    python -m trainer predict first FILE.csv   ask it what a recording is
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli import commands, training

State = Annotated[
    Path | None,
    typer.Option("--state", help="State folder (default: $CKPT_DIR or state/)", metavar="DIR"),
]
TimeLimit = Annotated[
    str,
    typer.Option(
        help="Pause in time: 90s, 45m, 11.5h; none; auto: half an hour before a session ends"
    ),
]
StopAfter = Annotated[
    int | None, typer.Option(min=1, help="Pause by itself after so many folds, to try a resume")
]
PausedOk = Annotated[
    bool, typer.Option("--paused-is-success", help="Exit with 0 instead of 3 when paused")
]
Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Folds fitted side by side, each in a process of its own; the result is the same to "
        "the last bit (default: $WORKERS or auto, as many as cores and memory have room for)",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        metavar="ENGINE",
        help="Where: local; dask, a Dask cluster on this machine; dask://HOST:PORT, a scheduler "
        "whose workers see the state folder at the same path",
    ),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder's path")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train gesture models on wrist-sensor recordings; pause, resume and use them.",
    epilog="Exit codes: 0 finished, 1 failed, 2 wrong usage or refused, 3 paused.",
)


@app.command()
def train(
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="watch (real recordings that ship with the project), a CSV or Parquet file or a "
            "folder in the competition's schema, simulated[:SUBJECTS] (made from a model of the "
            "arm), or kaggle (default: watch)",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run (default: SOURCE-n)")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick (minutes) or full (default: full)")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="lgbm,torch or one of them (default: both)")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Folds by subject (default: 5)")] = None,
    rounds: Annotated[int | None, typer.Option(help="LightGBM's rounds at most")] = None,
    epochs: Annotated[int | None, typer.Option(help="The network's epochs at most")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: 42)")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting by the dotted name in config.json"
        ),
    ] = None,
    time_limit: TimeLimit = "auto",
    stop_after_folds: StopAfter = None,
    paused_is_success: PausedOk = False,
    workers: Workers = None,
    engine: EngineName = "local",
    state: State = None,
) -> None:
    """Train a new run, or go on with the run of that name.

    Prints the plan, trains LightGBM and a network over folds by subject, blends them and ends
    with the score. Ctrl-C pauses; a second one ends at once; either way resume goes on.
    """
    options = {
        "data.source": data,
        "models": models.split(",") if models else None,
        "folds.count": folds,
        "boosting.rounds": rounds,
        "network.epochs": epochs,
        "seed": seed,
    }
    training.train(
        state_dir=commands.state_dir(state),
        name=run,
        preset=preset,
        options={key: value for key, value in options.items() if value is not None},
        assignments=set_ or [],
        limits=training.read_limits(time_limit, stop_after_folds, os.environ),
        paused_is_success=paused_is_success,
        pool=training.read_pool(workers, os.environ, engine),
    )


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One run; all if left out")] = (
        None
    ),
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs")] = False,
    state: State = None,
) -> None:
    """Show what is there, what runs, and what that rests on."""
    commands.status(commands.state_dir(state), run, as_json)


@app.command()
def pause(run: RunName, state: State = None) -> None:
    """Ask a run to pause and wait until it has saved everything."""
    commands.pause(commands.find_run(commands.state_dir(state), run))


@app.command()
def resume(
    run: RunName,
    time_limit: TimeLimit = "auto",
    stop_after_folds: StopAfter = None,
    paused_is_success: PausedOk = False,
    workers: Workers = None,
    engine: EngineName = "local",
    state: State = None,
) -> None:
    """Go on with a paused, interrupted or failed run, with the configuration it was made with."""
    folder = commands.state_dir(state)
    limits = training.read_limits(time_limit, stop_after_folds, {})
    pool = training.read_pool(workers, os.environ, engine)
    training.resume(commands.find_run(folder, run), folder, limits, paused_is_success, pool)


@app.command()
def predict(
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet with sequences")],
    demographics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Handedness by subject, CSV or Parquet")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to a .csv or .parquet file")
    ] = None,
    by_model: Annotated[
        bool, typer.Option("--by-model", help="Also each model's probabilities")
    ] = False,
    state: State = None,
) -> None:
    """Say which gesture each sequence of a file is, with probabilities.

    Where MODEL_PATH is set, the run or bundle that it names answers instead of RUN.
    """
    root = commands.model_path() or commands.find_run(commands.state_dir(state), run)
    commands.predict(root, file, demographics, out, by_model)


@app.command()
def verify(run: RunName, state: State = None) -> None:
    """Check every file of a run against its recorded checksum."""
    commands.verify(commands.find_run(commands.state_dir(state), run))


@app.command()
def export(
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="Where to write it")],
    dataset_metadata: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/SLUG",
            help="Also write dataset-metadata.json beside it, for a dataset of this name on Kaggle",
        ),
    ] = None,
    state: State = None,
) -> None:
    """Write a run as one zip, to take elsewhere and resume there."""
    commands.export(commands.find_run(commands.state_dir(state), run), file, dataset_metadata)


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE_OR_FOLDER", help="A zip that export wrote, or a run's folder"),
    ],
    state: State = None,
) -> None:
    """Take in a run from a zip, or from a folder that may be read-only."""
    commands.import_run(source, commands.state_dir(state))


@app.command()
def serve(
    run: RunName,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Ask a local gateway for FOLDER/test.csv (default: the competition's folder)",
        ),
    ] = None,
    state: State = None,
) -> None:
    """Answer the competition's gateway; away from it, a local one, and write submission.parquet.

    Uses the competition's own package where it is mounted, else a stand-in that asks the same way.
    Where MODEL_PATH is set, the run or bundle that it names answers instead of RUN.
    """
    root = commands.model_path() or commands.find_run(commands.state_dir(state), run)
    commands.serve(root, data)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder")],
    subjects: Annotated[int, typer.Option(min=1, max=1000, help="How many people")] = 81,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random")] = 42,
    state: State = None,
) -> None:
    """Write simulated recordings of all sensors in the competition's schema; nothing goes to state.

    They are made from a model of the arm: a score on them says nothing about the competition's.
    Their acceleration carries a mark, by which a run knows them under any name.
    81 subjects take 1.1 GB and about a minute.
    """
    from trainer.simulation.simulate import write_folder

    num_rows = write_folder(folder, subjects, seed)
    print(f"{folder}: {subjects} simulated subjects, {num_rows:,} rows")
    print(f"Train on them: python -m trainer train --data {folder}")


def main() -> None:
    """Run the command line; known errors end with their message and their exit code."""
    try:
        app(standalone_mode=True)
    except SystemExit:  # how every command ends: the errors below are not looked up for it
        raise
    except commands.known_errors() as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(commands.exit_code(error))


if __name__ == "__main__":
    main()
