"""The command line: ``python -m trainer COMMAND``.

In: arguments. Out: exit code 0 finished, 1 failed, 2 wrong usage or refused, 3 paused.

    python -m trainer train --run first        train on the recordings that ship with the project
    python -m trainer resume first             continue after a pause, a kill or a timeout
    python -m trainer predict first FILE.csv   predict the gestures of recordings
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli import commands, own_code, sharing, study_command, training
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
    RunName,
    SharedSubjects,
    State,
    StopAfter,
    TimeLimit,
    Version,
    Workers,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 finished, 1 failed, 2 wrong usage or refused, 3 paused.",
)


@app.callback()
def options_of_all(version: Version = False) -> None:
    """Train gesture models on wrist-sensor recordings, pause and resume training, and predict."""


@app.command()
def train(
    data: Data = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the run (default: the source's name and the next free number)",
        ),
    ] = None,
    preset: Preset = None,
    models: Models = None,
    folds: Folds = None,
    folds_file: FoldsPath = None,
    allow_shared_subjects: SharedSubjects = False,
    rounds: Rounds = None,
    epochs: Epochs = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (default: 42)")] = None,
    set_: Assignments = None,
    use: own_code.Use = None,
    time_limit: TimeLimit = "auto",
    stop_after_folds: StopAfter = None,
    paused_is_success: PausedOk = False,
    workers: Workers = None,
    engine: EngineName = "local",
    notify: Notify = None,
    state: State = None,
) -> None:
    """Train a new run, or continue the run of that name.

    Prints the plan, trains LightGBM and a network with cross-validation by subject, blends their
    predictions and prints the score. Ctrl-C pauses the run; a second Ctrl-C stops it at once.
    After both, resume continues it.
    """
    given = training.run_options(data, models, folds, rounds, epochs, seed)
    training.train(
        state_dir=commands.state_dir(state),
        name=run,
        preset=preset,
        options=given,
        assignments=set_ or [],
        limits=training.read_limits(time_limit, stop_after_folds, os.environ),
        paused_is_success=paused_is_success,
        pool=training.read_pool(workers, os.environ, engine),
        folds_file=training.read_folds(folds_file, allow_shared_subjects, given, set_ or []),
        use=use or [],
        notify=notify or [],
    )


app.command()(study_command.study)


@app.command()
def status(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name or path of one run (default: all runs)"),
    ] = (None),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    state: State = None,
) -> None:
    """Show all runs and their states, or one run with the evidence for its state."""
    commands.status(commands.state_dir(state), run, as_json)


@app.command()
def pause(run: RunName, state: State = None) -> None:
    """Pause a running run and wait until it has saved everything."""
    commands.pause(commands.find_run(commands.state_dir(state), run, with_studies=True))


@app.command()
def resume(
    run: RunName,
    time_limit: TimeLimit = "auto",
    stop_after_folds: StopAfter = None,
    paused_is_success: PausedOk = False,
    workers: Workers = None,
    engine: EngineName = "local",
    notify: Notify = None,
    state: State = None,
) -> None:
    """Continue a paused, interrupted or failed run with its own configuration."""
    folder = commands.state_dir(state)
    limits = training.read_limits(time_limit, stop_after_folds, {})
    pool = training.read_pool(workers, os.environ, engine)
    root = commands.find_run(folder, run)
    training.resume(root, folder, limits, paused_is_success, pool, notify or [])


@app.command()
def predict(
    run: RunName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or Parquet file with sequences")
    ],
    demographics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV or Parquet file with the handedness of the subjects"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to a .csv or .parquet file")
    ] = None,
    by_model: Annotated[
        bool, typer.Option("--by-model", help="Also write the probabilities of each model")
    ] = False,
    as_worn: Annotated[
        bool,
        typer.Option(
            "--as-worn",
            help="Predict the recordings as they are, also where the device looks reversed",
        ),
    ] = False,
    state: State = None,
) -> None:
    """Predict the gesture of each sequence of a file, with probabilities.

    If MODEL_PATH is set, the run or bundle that it names is used instead of RUN.
    """
    root = commands.model_path() or commands.find_models(commands.state_dir(state), run)
    commands.predict(root, file, demographics, out, by_model, as_worn)


@app.command()
def verify(run: RunName, state: State = None) -> None:
    """Compare every file of a run with its recorded checksum."""
    commands.verify(commands.find_run(commands.state_dir(state), run))


@app.command()
def export(
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The zip file to write")],
    dataset_metadata: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/SLUG",
            help="Also write dataset-metadata.json beside it, for a Kaggle dataset of this name",
        ),
    ] = None,
    state: State = None,
) -> None:
    """Write a run to one zip file, to import and resume it on another machine."""
    root = commands.find_run(commands.state_dir(state), run, with_studies=True)
    commands.export(root, file, dataset_metadata)


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE_OR_FOLDER", help="A zip file written by export, or a run's folder"
        ),
    ],
    state: State = None,
) -> None:
    """Import a run from a zip file, or from a folder, which may be read-only."""
    commands.import_run(source, commands.state_dir(state))


@app.command()
def example(state: State = None) -> None:
    """Import the example run, a finished quick run that ships with the project."""
    commands.example(commands.state_dir(state))


app.command()(sharing.share)
app.command()(own_code.check)


@app.command()
def approve(run: RunName, yes: own_code.Yes = False, state: State = None) -> None:
    """Show the own code that came with a run, and allow this machine to execute it."""
    own_code.approve(commands.find_models(commands.state_dir(state), run), yes)


@app.command()
def serve(
    run: RunName,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with the test.csv to predict (default: the competition's folder)",
        ),
    ] = None,
    state: State = None,
) -> None:
    """Serve predictions to the competition's gateway, and write submission.parquet.

    Outside the competition, a local gateway predicts a folder's test.csv: the gateway of the
    competition's own package if it is mounted, else a replacement that makes the same calls.
    If MODEL_PATH is set, the run or bundle that it names is used instead of RUN.
    """
    root = commands.model_path() or commands.find_models(commands.state_dir(state), run)
    commands.serve(root, data)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder")],
    subjects: Annotated[int, typer.Option(min=1, max=1000, help="Number of people")] = 81,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Random seed")] = 42,
    state: State = None,
) -> None:
    """Write simulated recordings of all sensors, in the competition's schema, to a folder.

    They are computed from a model of the arm: a score on them does not apply to real recordings.
    A mark in their acceleration identifies them as simulated in every run, under any name.
    81 subjects take 1.1 GB and about a minute. The state folder is not used.
    """
    from trainer.simulation.simulate import write_folder

    num_rows = write_folder(folder, subjects, seed)
    print(f"{folder}: {subjects} simulated subjects, {num_rows:,} rows")
    print(f"Train on them: python -m trainer train --data {folder}")


def main() -> None:
    """Run the command line; known errors are printed as a message and end with their exit code."""
    try:
        app(standalone_mode=True)
    except SystemExit:  # every command ends so; this avoids the imports of the errors below
        raise
    except commands.known_errors() as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(commands.exit_code(error))


if __name__ == "__main__":
    main()
