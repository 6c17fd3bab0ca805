"""The commands ``train`` and ``resume``: choose the run and its configuration, then execute it.

In: checked options. Out: a run that is new, adopted from the input folder or resumed; an exit code.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trainer.cli import own_code
from trainer.cli.commands import PAUSED, known_errors, model_path
from trainer.cli.reports import outcome_lines
from trainer.config import (
    Config,
    ConfigError,
    environment_settings,
    is_switched_on,
    make_config,
    overlay,
    restarted_models,
)
from trainer.store.names import RunPaths, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

MAX_WORKERS = 1024

if TYPE_CHECKING:
    from trainer.notify.notifier import Notifier
    from trainer.own_code.code_files import CodeFile
    from trainer.run.inputs.folds_file import FoldsFile
    from trainer.run.pipeline import Limits
    from trainer.run.transfer.adoption import InputRun
    from trainer.run.workers.pool import WorkerPool


def read_limits(
    time_limit: str, stop_after_folds: int | None, environment: Mapping[str, str]
) -> Limits:
    """Return the conditions under which the trainer pauses by itself."""
    from trainer.run.pipeline import Limits
    from trainer.run.time_limit import parse_time_limit

    return Limits(
        time_limit_s=parse_time_limit(time_limit),
        stop_after_folds=stop_after_folds,
        restarted_models=restarted_models(environment),
    )


def read_pool(
    workers: str | None, environment: Mapping[str, str], engine: str = "local"
) -> WorkerPool:
    """Return the workers that fit the folds.

    Args:
        workers: A number or ``auto``; None reads the environment's ``WORKERS``.
        environment: The process environment.
        engine: ``local``, ``dask`` or ``dask://HOST:PORT``.

    Raises:
        ConfigError: An argument has another form.
    """
    from trainer.run.workers.pool import WorkerPool

    if not re.fullmatch(r"local|dask|dask://[^/]+:\d+", engine):
        raise ConfigError(f"--engine: expected local, dask or dask://HOST:PORT; got {engine!r}")
    text = workers or environment.get("WORKERS") or "auto"
    if text == "auto":
        return WorkerPool(None, engine)
    number = int(text) if re.fullmatch(r"\d{1,4}", text) else 0
    if not 1 <= number <= MAX_WORKERS:
        name = "--workers" if workers else "WORKERS"
        raise ConfigError(
            f"{name}: expected auto or a number from 1 to {MAX_WORKERS}; got {text[:80]!r}"
        )
    return WorkerPool(number, engine)


def run_options(
    data: str | None,
    models: str | None,
    folds: int | None,
    rounds: int | None,
    epochs: int | None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the options that were given, by the dotted names of their settings."""
    options = {
        "data.source": data,
        "models": models.split(",") if models else None,
        "folds.count": folds,
        "boosting.rounds": rounds,
        "network.epochs": epochs,
        "seed": seed,
    }
    return {key: value for key, value in options.items() if value is not None}


def read_folds(
    path: Path | None,
    shares_subjects: bool,
    options: Mapping[str, Any],
    assignments: Sequence[str],
) -> FoldsFile | None:
    """Return the folds of ``--folds-file``, or None without it.

    Raises:
        ConfigError: Another option contradicts the file.
        DataError: The file cannot be used.
    """
    from trainer.run.inputs.folds_file import check_stated_count, read_folds_file

    if path is None:
        if shares_subjects:
            raise ConfigError("--allow-shared-subjects: expected with --folds-file FILE alone")
        return None
    file = read_folds_file(path, shares_subjects)
    check_stated_count(file, options, assignments)
    return file


def train(
    state_dir: Path,
    name: str | None,
    preset: str | None,
    options: Mapping[str, Any],
    assignments: Sequence[str],
    limits: Limits,
    paused_is_success: bool,
    pool: WorkerPool | None = None,
    folds_file: FoldsFile | None = None,
    use: Sequence[Path] = (),
    notify: Sequence[str] = (),
) -> None:
    """Train a new run, or continue the run of that name."""
    from trainer.notify.notifier import read_notifier
    from trainer.run.control import next_run_name
    from trainer.run.transfer.moving import start_over

    if model_path() is not None:
        print(f"MODEL_PATH is set: nothing is trained, {model_path()} is used as it is")
        return
    notifier = read_notifier(notify, os.environ)
    if folds_file is not None:
        options = {**options, **folds_file.settings()}
    may_continue = is_switched_on(os.environ, "RESUME", default=True)
    code = own_code.open_files(state_dir, name if may_continue else None, use, assignments)
    if code:
        options = {**options, "use": [file.entry for file in code]}
    wanted = make_config(preset, options, assignments)
    root = state_dir / check_run_name(name or next_run_name(state_dir, wanted.data.source))
    if RunPaths(root).config.exists() and not may_continue:
        print(f"RESUME=0: the old run is now {start_over(root)}")
    frozen = RunReader(root).run_file()
    found = _input_run(root, name is not None) if frozen is None and may_continue else None
    if found is not None:
        frozen = found.run_file
    if frozen is not None:
        wanted = _same_config(frozen, preset, options, assignments)
    elif code:
        own_code.check_loaded(is_new_only=True)
    origin = "" if found is None else _adopt(found, root)
    _execute(
        *(root, wanted, limits, paused_is_success, origin, pool, frozen is None),
        *(notifier, folds_file, code),
    )


def resume(
    root: Path,
    state_dir: Path,
    limits: Limits,
    paused_is_success: bool,
    pool: WorkerPool | None = None,
    notify: Sequence[str] = (),
) -> None:
    """Continue a run with its own configuration; a run in the input folder is copied first."""
    from trainer.notify.notifier import read_notifier
    from trainer.run import RefusedError
    from trainer.run.transfer.adoption import find_input_runs

    notifier = read_notifier(notify, os.environ)
    origin = ""
    found = next((run for run in find_input_runs() if run.root == root), None)
    if found is not None:
        root = state_dir / check_run_name(root.name)
        origin = _adopt(found, root)
    frozen = RunReader(root).run_file()
    if frozen is None:
        raise RefusedError(
            f"run {root.name}: it ended before its configuration was written, so it cannot be "
            f"resumed. Train it again: python -m trainer train --run {root.name}"
        )
    _execute(root, frozen.settings(), limits, paused_is_success, origin, pool, False, notifier)


def _same_config(
    frozen: RunFile, preset: str | None, options: Mapping[str, Any], assignments: Sequence[str]
) -> Config:
    """Return the frozen configuration if the options agree with it.

    Raises:
        RefusedError: They differ; the message lists the differences.
    """
    from trainer.run.frozen_config import continued

    settings = frozen.settings()
    base = settings
    if preset is not None:  # its settings count; it has none for recordings and models
        kept = {
            "data.source": settings.data.source,
            "models": settings.models,
            "use": settings.use,
        }
        base = make_config(preset, kept, environment={})
    wanted = overlay(base, environment_settings(os.environ), assignments, options)
    return continued(
        frozen,
        wanted,
        f"Continue with its own: python -m trainer resume {frozen.run}; or start another run "
        f"with --run NAME; or start this one over with RESUME=0",
    )


def _input_run(root: Path, is_named: bool) -> InputRun | None:
    """Return the run under the input folder to continue, or None.

    Only a run of the name given with ``--run`` is continued. Without ``--run`` the run is a new
    one, and the runs under the input folder are listed.
    """
    from trainer.run.control import DETACHED
    from trainer.run.transfer.adoption import choose, find_input_runs

    if os.environ.get(DETACHED) == "1":
        return None  # the dashboard starts new runs, and imports others
    if is_named:
        return choose(find_input_runs(root.name))
    for run in find_input_runs():
        print(
            f"run {run.run_file.run} found in {run.root}: {run.progress}. Continue it with "
            f"--run {run.run_file.run}"
        )
    return None


def _adopt(found: InputRun, root: Path) -> str:
    """Copy a run into the state folder; return its origin in words, for the plan."""
    from trainer.run.transfer.adoption import adopt

    return adopt(found, root.parent, root.name)


def _execute(
    root: Path,
    config: Config,
    limits: Limits,
    paused_is_success: bool,
    origin: str,
    pool: WorkerPool | None,
    is_new: bool,
    notifier: Notifier,
    folds_file: FoldsFile | None = None,
    code: tuple[CodeFile, ...] = (),
) -> None:
    """Run the trainer in this process; exit with code 3 if it paused."""
    from rich.console import Console

    from trainer.cli.display import Display
    from trainer.notify.one_start import notified
    from trainer.run import LibraryError, RefusedError
    from trainer.run.control import DETACHED
    from trainer.run.execution import execute
    from trainer.run.workers.pool import WorkerPool

    is_detached = os.environ.get(DETACHED) == "1"
    display = Display(Console(quiet=is_detached))
    has_existed = root.exists()
    try:
        with notified(root, notifier), display.live():
            outcome = execute(
                root,
                config,
                limits,
                display.log,
                display.show,
                origin,
                pool or WorkerPool(),
                is_new,
                folds_file,
                code=code,
            )
    except known_errors() as error:
        is_begun = has_existed or RunPaths(root).config.exists()
        is_other = isinstance(error, RefusedError) and not isinstance(error, LibraryError)
        if not (is_detached or is_begun or is_other):  # recordings or libraries: there is no run
            shutil.rmtree(root, ignore_errors=True)
        raise
    if not is_detached:
        print("\n".join(outcome_lines(root, outcome)))
    notifier.close()
    if outcome == "paused" and not paused_is_success:
        raise typer.Exit(PAUSED)
