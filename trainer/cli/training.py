"""Starting: what ``train`` and ``resume`` do before and after the trainer is at work.

In: checked options. Out: a run that was begun, adopted or gone on with, and an exit code.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trainer.cli.commands import PAUSED, known_errors, model_path
from trainer.cli.reports import outcome_lines
from trainer.config import (
    Config,
    ConfigError,
    differences,
    environment_settings,
    is_switched_on,
    make_config,
    overlay,
    restarted_models,
)
from trainer.store.names import RunPaths, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from trainer.run.pipeline import Limits
    from trainer.run.transfer.adoption import EarlierRun
    from trainer.run.workers.pool import WorkerPool


def read_limits(
    time_limit: str, stop_after_folds: int | None, environment: Mapping[str, str]
) -> Limits:
    """Return when the trainer is to pause by itself."""
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
    """Return who fits the folds.

    Args:
        workers: A number or ``auto``; None asks the environment's ``WORKERS``.
        environment: The process environment.
        engine: ``local``, ``dask`` or ``dask://HOST:PORT``.

    Raises:
        ConfigError: Neither.
    """
    from trainer.run.workers.pool import WorkerPool

    if not re.fullmatch(r"local|dask|dask://[^/]+:\d+", engine):
        raise ConfigError(f"--engine: expected local, dask or dask://HOST:PORT; got {engine!r}")
    text = workers or environment.get("WORKERS") or "auto"
    if text == "auto":
        return WorkerPool(None, engine)
    if not text.isdecimal() or int(text) < 1:
        name = "--workers" if workers else "WORKERS"
        raise ConfigError(f"{name}: expected auto or a number from 1; got {text!r}")
    return WorkerPool(int(text), engine)


def train(
    state_dir: Path,
    name: str | None,
    preset: str | None,
    options: Mapping[str, Any],
    assignments: Sequence[str],
    limits: Limits,
    paused_is_success: bool,
    pool: WorkerPool | None = None,
) -> None:
    """Train a new run, or go on with the run of that name."""
    from trainer.run.control import next_run_name, start_over

    if model_path() is not None:
        print(f"MODEL_PATH is set: nothing is trained, {model_path()} is used as it is")
        return
    wanted = make_config(preset, options, assignments)
    root = state_dir / check_run_name(name or next_run_name(state_dir, wanted.data.source))
    goes_on = is_switched_on(os.environ, "RESUME", default=True)
    if RunPaths(root).config.exists() and not goes_on:
        print(f"RESUME=0: the old run is now {start_over(root)}")
    frozen = RunReader(root).run_file()
    earlier = _earlier_run(root, name is not None) if frozen is None and goes_on else None
    if earlier is not None:
        frozen = earlier.run_file
    if frozen is not None:
        wanted = _same_config(frozen, preset, options, assignments)
    origin = "" if earlier is None else _adopt(earlier, root)
    _execute(root, wanted, limits, paused_is_success, origin, pool)


def resume(
    root: Path,
    state_dir: Path,
    limits: Limits,
    paused_is_success: bool,
    pool: WorkerPool | None = None,
) -> None:
    """Go on with a run as it was configured; one under the input folder is copied first."""
    from trainer.run.refusal import RefusedError
    from trainer.run.transfer.adoption import find_earlier

    origin = ""
    earlier = next((run for run in find_earlier() if run.root == root), None)
    if earlier is not None:
        root = state_dir / check_run_name(root.name)
        origin = _adopt(earlier, root)
    frozen = RunReader(root).run_file()
    if frozen is None:
        raise RefusedError(
            f"run {root.name}: it ended before its configuration was written, so there is nothing "
            f"to resume. Train it again: python -m trainer train --run {root.name}"
        )
    _execute(root, frozen.settings(), limits, paused_is_success, origin, pool)


def _same_config(
    frozen: RunFile, preset: str | None, options: Mapping[str, Any], assignments: Sequence[str]
) -> Config:
    """Return the frozen configuration if nothing else was asked for.

    Raises:
        RefusedError: Lists what differs.
    """
    from trainer.run.refusal import RefusedError

    settings = frozen.settings()
    base = settings
    if preset is not None:  # its own settings count, but where the recordings lie is not one
        base = make_config(preset, {"data.source": settings.data.source}, environment={})
    asked = overlay(base, environment_settings(os.environ), assignments, options)
    changed = differences(settings, asked)
    if changed:
        raise RefusedError(
            f"run {frozen.run} was made with other options:\n  " + "\n  ".join(changed) + "\n"
            f"Go on with its own: python -m trainer resume {frozen.run}; or begin another with "
            f"--run NAME; or start it over with RESUME=0"
        )
    return overlay(settings, {"data.source": asked.data.source})


def _earlier_run(root: Path, is_named: bool) -> EarlierRun | None:
    """Return the earlier run under the input folder that a new start of this name goes on with.

    A run that nobody named is a new one; then those that are there are told.
    """
    from trainer.run.control import DETACHED
    from trainer.run.transfer.adoption import choose, find_earlier

    if os.environ.get(DETACHED) == "1":
        return None  # the dashboard starts new runs; it imports earlier ones
    if is_named:
        return choose(find_earlier(root.name))
    for run in find_earlier():
        print(
            f"earlier run {run.run_file.run} in {run.root}: {run.progress}. Go on with it: "
            f"--run {run.run_file.run}"
        )
    return None


def _adopt(earlier: EarlierRun, root: Path) -> str:
    """Copy an earlier run to where it is to go on; return from where, for the plan."""
    from trainer.run.transfer.adoption import adopt

    return adopt(earlier, root.parent, root.name)


def _execute(
    root: Path,
    config: Config,
    limits: Limits,
    paused_is_success: bool,
    origin: str,
    pool: WorkerPool | None,
) -> None:
    """Run the trainer in this process and exit with its code."""
    from rich.console import Console

    from trainer.cli.display import Display
    from trainer.run.control import DETACHED
    from trainer.run.execution import execute
    from trainer.run.refusal import RefusedError
    from trainer.run.workers.pool import WorkerPool

    is_detached = os.environ.get(DETACHED) == "1"
    display = Display(Console(quiet=is_detached))
    was_there = root.exists()
    try:
        with display.live():
            outcome = execute(
                root, config, limits, display.log, display.show, origin, pool or WorkerPool()
            )
    except known_errors() as error:
        is_begun = was_there or RunPaths(root).config.exists()
        if not (is_detached or is_begun or isinstance(error, RefusedError)):
            shutil.rmtree(root, ignore_errors=True)  # bad recordings: there is no run yet
        raise
    if not is_detached:
        print("\n".join(outcome_lines(root, outcome)))
    if outcome == "paused" and not paused_is_success:
        raise typer.Exit(PAUSED)
