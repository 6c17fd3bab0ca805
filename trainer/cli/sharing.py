"""The command ``share``: hand a run, or the runs of a study, over to another program.

In: a run and a target. Out: what was handed over, in a line for each run.

    python -m trainer share first --to mlflow:http://127.0.0.1:5000
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.cli import commands
from trainer.cli.options import RunName, State
from trainer.store.names import STUDIES, RunPaths

MLFLOW, TENSORBOARD, HUGGINGFACE = "mlflow", "tensorboard", "huggingface"
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="TARGET",
        help="mlflow:URI: a tracking server (without URI: $MLFLOW_TRACKING_URI); tensorboard:DIR: "
        "event files in a log folder; huggingface:DIR: a folder to upload, with a model card",
    ),
]


def share(run: RunName, to: To, state: State = None) -> None:
    """Hand a run over to MLflow, TensorBoard or Hugging Face, also while it is trained.

    A second call adds what is new, and nothing twice. The name of a study stands for all its runs.
    Needs pip install -r requirements-share.txt.
    """
    program, _, place = to.partition(":")
    if program not in (MLFLOW, TENSORBOARD, HUGGINGFACE):
        raise commands.UsageError(
            f"--to: expected mlflow[:URI], tensorboard:DIR or huggingface:DIR, got {to!r:.80}"
        )
    if program != MLFLOW and not place:
        raise commands.UsageError(f"--to: expected {program}:DIR, got no folder")
    root = commands.find_run(commands.state_dir(state), run, with_studies=True)
    is_study = root.parent.name == STUDIES
    if is_study and program == HUGGINGFACE:
        raise commands.UsageError(f"{run} is a study. Share one of its runs to huggingface")
    for each in _runs_of(root) if is_study else [root]:
        print(f"{each.name}: {_share(each, program, place)}", flush=True)


def _share(root: Path, program: str, place: str) -> str:
    from trainer.share.shared_run import only_one, read_run

    shared = read_run(root)
    with only_one(shared):
        if program == MLFLOW:
            from trainer.share.mlflow_tracking import share_to_mlflow

            return share_to_mlflow(shared, place or None)
        if program == TENSORBOARD:
            from trainer.share.tensorboard_events import share_to_tensorboard

            return share_to_tensorboard(shared, Path(place))
        from trainer.share.huggingface import share_to_huggingface

        return share_to_huggingface(shared, Path(place))


def _runs_of(study: Path) -> list[Path]:
    """Return the runs of a study that have begun."""
    from trainer.study.trials import read_study, read_trials, run_names

    definition, state_dir = read_study(study), study.parent.parent
    if definition is None:
        return []
    names = [name for trial in read_trials(study) for name in run_names(definition, trial.number)]
    return [state_dir / name for name in names if RunPaths(state_dir / name).has_config]
