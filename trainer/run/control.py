"""Control: launch, pause, resume a run.

In: a state folder or a run folder. Out: a detached process, ``command.json``, ``notes.json``. The
trainer starts in its own session with its output in a file, so it outlives its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from trainer.config import OF_FOLDS_FILE, Config, flat_settings, make_config, setting_text
from trainer.models import registry
from trainer.own_code.code_files import CodeRefusedError, demand_approved, demand_files
from trainer.run import RefusedError
from trainer.store.durable import APPEND, StoreError, make_folder, open_regular, write_atomic
from trainer.store.locks import is_held
from trainer.store.names import RunPaths, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import Command, Notes, Record, dump_record
from trainer.store.run_state import derive_state

PROJECT = Path(__file__).resolve().parents[2]  # where ``python -m trainer`` finds this package
NOT_INHERITED = (  # the command has every setting, and wins over the dashboard's environment
    *("RESUME", "RESUME_TORCH", "USE_TORCH", "MODEL_PATH", "FAIL_IF_TORCH_MISSING"),
    *("ENSEMBLE_W_LGBM", "ENSEMBLE_W_TORCH"),
)
ENDING_S = 1.0  # a killed process frees its lock first and can be waited for a moment later
NOTIFY_URLS = "NOTIFY_URLS"  # of the environment: addresses for notifications, which hold secrets
DETACHED = "TRAINER_DETACHED"  # set where the trainer's output is the log file already


def next_run_name(state_dir: Path, source: str) -> str:
    """Return ``<source>-<n>`` with the next free n.

    Args:
        state_dir: The state folder.
        source: As given to ``--data``; of a path the last part counts.
    """
    name = "simulated" if source.startswith("simulated:") else source
    stem = name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower()).strip("-")
    number = 1
    while (state_dir / f"{(plain or 'run')[:56]}-{number}").exists():
        number += 1
    return f"{(plain or 'run')[:56]}-{number}"


def command_line(
    state_dir: Path,
    name: str,
    config: Config,
    folds_file: Path | None = None,
    use: Sequence[Path] = (),
) -> list[str]:
    """Return the command that starts a run, as people would type it.

    Args:
        state_dir: The state folder.
        name: Of the run.
        config: Of the run.
        folds_file: Where the folds of the configuration are read from, if they are a file's.
        use: Paths of the files of own code that the configuration names.
    """
    words = ["python", "-m", "trainer", "train", "--run", name, "--state", str(state_dir)]
    return words + setting_words(config, folds_file, use)


def setting_words(
    config: Config, folds_file: Path | None = None, use: Sequence[Path] = ()
) -> list[str]:
    """Return the options that give a configuration; arguments as for ``command_line``."""
    base = make_config(config.preset, environment={})
    words = ["--preset", config.preset]
    if config.data.source != base.data.source:
        words += ["--data", config.data.source]
    stated = ["preset", "data.source", "use"]
    if folds_file is not None:
        words += ["--folds-file", str(folds_file)]
        words += ["--allow-shared-subjects"] * config.folds.shared_subjects
        stated += ["folds.count", *OF_FOLDS_FILE]
    usual = flat_settings(base)
    for key, value in flat_settings(config).items():
        if value != usual.get(key) and key not in stated:
            words += ["--set", f"{key}={setting_text(value)}"]
    words += [word for path in use for word in ("--use", str(path))]
    return words


def start(
    state_dir: Path,
    name: str,
    config: Config,
    folds_file: Path | None = None,
    use: Sequence[Path] = (),
    notify: Sequence[str] = (),
) -> int:
    """Start a new run in a process of its own and return its pid.

    Arguments as of ``command_line``; ``notify`` as of ``launch``.

    Raises:
        RefusedError: The name cannot be used or is taken, or own code is not approved.
    """
    try:
        root = state_dir / check_run_name(name)
        demand_files(use, config.use)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if RunPaths(root).has_config:
        raise RefusedError(f"run {name}: there already. Resume it, or choose another name")
    if is_in_use(RunReader(root)):
        raise RefusedError(f"run {name}: a trainer is at work on it. Wait, or choose another name")
    make_folder(root)
    paths = [path.resolve() for path in use]
    words = command_line(state_dir.resolve(), name, config, folds_file, paths)
    return launch(root, words, notify)


def resume(root: Path, notify: Sequence[str] = ()) -> int:
    """Resume a run in a process of its own and return its pid; ``notify`` as of ``launch``.

    Raises:
        RefusedError: Nothing to resume, or a trainer is at work on it.
    """
    reader = RunReader(root)
    if not reader.paths.has_config:
        raise RefusedError(
            f"run {root.name}: it ended before its configuration was written, so there is nothing "
            f"to resume. Start it again"
        )
    derived = derive_state(reader)
    if derived.is_active:
        raise RefusedError(f"run {root.name}: {derived.state} already. {derived.reason}")
    if derived.state == "finished":
        raise RefusedError(f"run {root.name}: finished. Start another run to train more")
    if is_in_use(reader):
        raise RefusedError(f"run {root.name}: a trainer has just begun with it")
    run_file = reader.run_file()
    try:
        demand_approved(root, run_file.use if run_file else ())
    except CodeRefusedError as error:
        raise RefusedError(str(error)) from error
    for model, problem in registry.not_installed(run_file.models if run_file else ()).items():
        raise RefusedError(
            f"run {root.name}: {registry.get(model).phrase} is part of it, and {problem}. Install "
            f"it, then resume"
        )
    send_command(root, "run", "resume")
    words = ["python", "-m", "trainer", "resume", root.name, "--state", str(root.parent.resolve())]
    return launch(root, words, notify)


def is_in_use(reader: RunReader) -> bool:
    """Return whether a trainer holds the run: by its lock, whatever the status says."""
    held = is_held(reader.paths.lock)
    return derive_state(reader).is_active if held is None else held


def send_command(
    root: Path,
    command: Literal["pause", "run"],
    asked_by: str,
    after: Literal["now", "fold"] = "now",
) -> Command:
    """Write a command to the trainer, which acknowledges it by its id.

    Raises:
        RefusedError: The run was renamed or deleted.
    """
    sent = Command(
        id=uuid.uuid4().hex[:12],
        command=command,
        after=after,
        asked_by=asked_by,
        asked_at=time.time(),
    )
    _write(root, RunPaths(root).command, sent, durable=False)
    return sent


def write_notes(root: Path, notes: Notes) -> None:
    """Keep title and note of a run.

    Raises:
        RefusedError: The run was renamed or deleted.
    """
    _write(root, RunPaths(root).notes, notes)


def _write(root: Path, path: Path, record: Record, durable: bool = True) -> None:
    """Write a record into a run's folder, which another dashboard may move at any instant."""
    _demand_folder(root)
    try:
        write_atomic(path, dump_record(record), durable)
    except StoreError:
        _demand_folder(root)
        raise


def _demand_folder(root: Path) -> None:
    if not root.is_dir():
        raise RefusedError(f"run {root.name}: it is no longer here; it was renamed or deleted")


def launch(root: Path, words: list[str], notify: Sequence[str] = ()) -> int:
    """Start the command detached, its output appended to the run's log.

    Args:
        root: The run folder.
        words: The command.
        notify: Addresses for notifications beside those of the environment. They hold secrets: the
            environment of a process is its user's alone, its command line is not.
    """
    _demand_folder(root)
    environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    environment |= {DETACHED: "1", "PYTHONPATH": python_path(environment)}
    if notify:
        environment[NOTIFY_URLS] = " ".join([environment.get(NOTIFY_URLS, ""), *notify])
    with os.fdopen(open_regular(RunPaths(root).log, APPEND), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            **detached(),
        )
    _CHILDREN[process.pid] = process
    return process.pid


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # kept, so that an ended trainer is no zombie


def reap() -> None:
    """Take note of trainers that ended, so that none stays a zombie of this process."""
    for child in tuple(_CHILDREN.values()):
        child.poll()


def exit_code(pid: int, is_ending: bool = False) -> int | None:
    """Return how a trainer ended that this process started.

    Args:
        pid: Of the trainer.
        is_ending: Whether it is known to be gone or going: its lock is free, which it is some
            moments before its parent can know.

    Returns:
        Its exit code, or minus the number of the signal that ended it; None while it lives, and
        where another process started it.
    """
    child = _CHILDREN.get(pid)
    if child is None or not is_ending:
        return None if child is None else child.poll()
    try:
        return child.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        return None


def detached() -> dict[str, Any]:
    """Return the arguments of ``Popen`` for a process that Ctrl-C here does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def side_environment() -> dict[str, str]:
    """Return the environment of a process that helps this one: it finds this project.

    It has no addresses for notifications, which are secrets.
    """
    environment = {name: text for name, text in os.environ.items() if name != NOTIFY_URLS}
    return environment | {"PYTHONPATH": python_path(environment)}


def python_path(environment: Mapping[str, str]) -> str:
    """Return where another process finds this project, before what it has already."""
    known = environment.get("PYTHONPATH", "")
    return f"{PROJECT}{os.pathsep}{known}" if known else str(PROJECT)
