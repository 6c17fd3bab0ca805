"""Earlier runs: found under input folders that somebody mounted, and adopted.

In: a mount such as Kaggle's ``/kaggle/input``: read-only, other paths every time. Out: run folders,
the furthest first; one of them copied into the state folder, every file held against its checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.data.sources import input_folder
from trainer.predict.bundles import PredictError
from trainer.run.transfer.archive import import_run
from trainer.run.transfer.verification import Check, verify_run
from trainer.store.durable import StoreError
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader, list_runs
from trainer.store.records import FoldRecord, RunFile

MAX_DEPTH = 6  # /kaggle/input/notebooks/OWNER/NOTEBOOK/state/RUN is 5 deep
MAX_FOLDERS = 20_000  # a data set of a million images in as many folders must not hold up a start


@dataclass(frozen=True)
class EarlierRun:
    """A run that lies under an input folder.

    Attributes:
        root: Its folder, perhaps read-only.
        run_file: Its frozen configuration.
        units: Its folds, as far as they can be read.
    """

    root: Path
    run_file: RunFile
    units: tuple[FoldRecord, ...]

    @property
    def num_done(self) -> int:
        """Return how many folds are done, by the run's own word."""
        return sum(unit.done for unit in self.units)

    @property
    def progress(self) -> str:
        """Say how far it is."""
        return f"{self.num_done} of {len(self.units)} folds done"

    @cached_property
    def damaged(self) -> tuple[Check, ...]:
        """Return the files that are not what their checksums say; reads all of them, once."""
        return tuple(check for check in verify_run(self.root) if not check.is_good)

    @property
    def _furthest(self) -> tuple[int, int, int, float]:
        steps = sum(unit.step for unit in self.units if not unit.done)
        generation = sum(unit.generation for unit in self.units)
        return self.num_done, steps, generation, -float(len(str(self.root)))


def find_earlier(name: str | None = None, mount: Path | None = None) -> list[EarlierRun]:
    """Return the runs under an input folder, the furthest first.

    Args:
        name: Only runs of this name, by their folder or their own word; None is all.
        mount: The input folder; None is the one where this machine mounts inputs.
    """
    roots = _run_folders(input_folder() if mount is None else mount)
    found = [run for run in map(_open, roots) if run is not None]
    if name is not None:
        found = [run for run in found if name in (run.root.name, run.run_file.run)]
    return sorted(found, key=lambda run: run._furthest, reverse=True)


def choose(found: list[EarlierRun]) -> EarlierRun | None:
    """Return the furthest run whose files are whole; else the furthest, damaged as it is."""
    whole = (run for run in found if not run.damaged)
    return next(whole, found[0] if found else None)


def adopt(run: EarlierRun, state_dir: Path, name: str) -> str:
    """Copy a run into the state folder and verify the copy.

    Returns:
        One sentence: from where, how far, how many files, which are damaged.

    Raises:
        TransferError: It cannot be copied.
        RefusedError: A run of that name is there.
    """
    root = import_run(run.root, state_dir, name)
    checks = verify_run(root)
    bad = [f"{check.name}: {check.detail}" for check in checks if not check.is_good]
    verdict = "every checksum right"
    if bad:
        verdict = f"{len(bad)} damaged, redone from what is whole ({'; '.join(bad)})"
    num_files = len({check.name for check in checks})
    return f"copied from {run.root} ({run.progress}): {num_files} files, {verdict}"


def newest_model(environment: Mapping[str, str]) -> Path:
    """Return the run that answers where nobody names one.

    ``MODEL_PATH`` is asked first, then the state folder (``CKPT_DIR``), the run that was active
    last, then the input folder, the furthest run.

    Raises:
        PredictError: None of them has a finished model.
    """
    if environment.get("MODEL_PATH"):
        return Path(environment["MODEL_PATH"])
    state_dir = Path(environment.get("CKPT_DIR") or "state")
    roots = [reader.root for reader in list_runs(state_dir)]
    roots += [run.root for run in find_earlier()]
    for root in roots:
        if any(RunPaths(root).bundle(model).exists() for model in ("lgbm", "torch")):
            return root
    raise PredictError(
        f"no run with a finished model in {state_dir} or under {input_folder()}. Set MODEL_PATH to "
        f"a run folder, or add the notebook that trained it as an input"
    )


def _open(root: Path) -> EarlierRun | None:
    """Return a folder's run, or None where its configuration cannot be read."""
    reader = RunReader(root)
    try:
        run_file = reader.run_file()
        return None if run_file is None else EarlierRun(root, run_file, reader.units())
    except (StoreError, OSError):
        return None  # another program's config.json, or a damaged one: no run to go on with


def _run_folders(mount: Path) -> Iterator[Path]:
    """Yield the folders that hold a configuration and a status, not looking inside of them."""
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
        return []  # a mount that does not let itself be listed
