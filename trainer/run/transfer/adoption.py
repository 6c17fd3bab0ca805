"""Adoption: a run that is found under the input folder is copied into the state folder.

In: an input folder such as Kaggle's ``/kaggle/input``, which is read-only and has other paths each
time. Out: the runs found there, the most advanced first; a copy of one of them, each file compared
with its checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.data.sources import input_folder
from trainer.models import registry
from trainer.predict.fitted_models import PredictError
from trainer.run.transfer.archive import import_run
from trainer.run.transfer.verification import Check, verify_run
from trainer.store.durable import StoreError
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader, list_runs
from trainer.store.records import FoldRecord, RunFile

MAX_DEPTH = 6  # /kaggle/input/notebooks/OWNER/NOTEBOOK/state/RUN is 5 deep
MAX_FOLDERS = 20_000  # a data set with a million folders must not delay a start


@dataclass(frozen=True)
class InputRun:
    """A run that was found under an input folder.

    Attributes:
        root: Its folder, perhaps read-only.
        run_file: Its frozen configuration.
        folds: The records of its folds.
    """

    root: Path
    run_file: RunFile
    folds: tuple[FoldRecord, ...]

    @property
    def num_done(self) -> int:
        """Return how many folds are done according to the records."""
        return sum(fold.done for fold in self.folds)

    @property
    def progress(self) -> str:
        """Return the progress in words."""
        return f"{self.num_done} of {len(self.folds)} folds done"

    @cached_property
    def damaged(self) -> tuple[Check, ...]:
        """Return the files that do not match their checksums; the first call reads all files."""
        return tuple(check for check in verify_run(self.root) if not check.is_good)

    @property
    def _advance(self) -> tuple[int, int, int, float]:
        steps = sum(fold.step for fold in self.folds if not fold.done)
        generation = sum(fold.generation for fold in self.folds)
        return self.num_done, steps, generation, -float(len(str(self.root)))


def find_input_runs(name: str | None = None, mount: Path | None = None) -> list[InputRun]:
    """Return the runs under an input folder, the most advanced first.

    Args:
        name: Only runs whose folder or configuration has this name; None returns all.
        mount: The input folder; None is the folder where this machine mounts inputs.
    """
    roots = _run_folders(input_folder() if mount is None else mount)
    found = [run for run in map(_open, roots) if run is not None]
    if name is not None:
        found = [run for run in found if name in (run.root.name, run.run_file.run)]
    return sorted(found, key=lambda run: run._advance, reverse=True)


def choose(found: list[InputRun]) -> InputRun | None:
    """Return the most advanced run without damaged files; if all are damaged, the first."""
    whole = (run for run in found if not run.damaged)
    return next(whole, found[0] if found else None)


def adopt(run: InputRun, state_dir: Path, name: str) -> str:
    """Copy a run into the state folder and verify the copy.

    Returns:
        A phrase with its origin, its progress, the number of files and the damaged ones.

    Raises:
        TransferError: It cannot be copied.
        RefusedError: A run of that name exists.
    """
    left_out: list[str] = []
    root = import_run(run.root, state_dir, name, left_out.append)
    checks = verify_run(root)
    bad = [f"{check.name}: {check.detail}" for check in checks if not check.is_good]
    outcome = "all checksums match"
    if bad:
        outcome = f"{len(bad)} damaged, redone from the whole ones ({'; '.join(bad)})"
    num_files = len({check.name for check in checks})
    outcome = "; ".join([outcome, *left_out])
    return f"copied from {run.root} ({run.progress}): {num_files} files, {outcome}"


def newest_model(environment: Mapping[str, str]) -> Path:
    """Return the run to predict with if the caller names none.

    It is the run of ``MODEL_PATH``; else the most recently active one in the state folder
    (``CKPT_DIR``) or the most advanced one under the input folder that has a finished model.

    Raises:
        PredictError: No run has a finished model.
    """
    if environment.get("MODEL_PATH"):
        return Path(environment["MODEL_PATH"])
    state_dir = Path(environment.get("CKPT_DIR") or "state")
    roots = [reader.root for reader in list_runs(state_dir)]
    roots += [run.root for run in find_input_runs()]
    for root in roots:
        if any(RunPaths(root).bundle(model.name).exists() for model in registry.all_models()):
            return root
    raise PredictError(
        f"no run with a finished model in {state_dir} or under {input_folder()}. Set MODEL_PATH to "
        f"a run folder, or add the notebook that trained it as an input"
    )


def _open(root: Path) -> InputRun | None:
    """Return a folder's run, or None if its configuration cannot be read."""
    reader = RunReader(root)
    try:
        run_file = reader.run_file()
        return None if run_file is None else InputRun(root, run_file, reader.fold_records())
    except (StoreError, OSError):
        return None  # another program's config.json, or a damaged one


def _run_folders(mount: Path) -> Iterator[Path]:
    """Yield the folders that hold a configuration and a status; those are not searched."""
    budget = MAX_FOLDERS
    level = [mount] if mount.is_dir() else []
    for _ in range(MAX_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if budget <= 0:
                return
            budget -= 1
            paths = RunPaths(folder)
            if paths.has_config and paths.status.exists():
                yield folder
                continue
            below += _subfolders(folder)
        level = below


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return []  # a mount that cannot be listed
