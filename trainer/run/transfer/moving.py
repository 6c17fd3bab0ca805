"""Moving: a run is renamed, moved aside or deleted, but never while a trainer works on it.

In: a run folder. Out: the folder under another name, or gone. Whether a trainer works on it is
decided by the locks, not by the status: this process holds the run's lock while the folder moves,
so that no trainer begins meanwhile.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from trainer.run import RefusedError
from trainer.run.control import is_in_use
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, replace, sync_folder
from trainer.store.file_kinds import read_file
from trainer.store.locks import Lease, LockedError, acquire, is_held
from trainer.store.names import RunPaths, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import dump_record

ARRIVING, DELETING = ".arriving-", ".deleting-"  # a run gets or loses its name in one rename
ABANDONED_S = 86_400.0  # no import takes a day: an older unfinished one was killed


class TransferError(ValueError):
    """An archive or folder that is not a run, cannot be trusted, or cannot be read or written."""


def start_over(root: Path) -> Path:
    """Move a run aside, so that its name is free; nothing is deleted.

    Returns:
        Where it is now: ``<run>.old-<n>``.

    Raises:
        RefusedError: There is no run, a trainer works on it, or it cannot be moved.
    """
    number = 1
    while (aside := root.with_name(f"{root.name}.old-{number}")).exists():
        number += 1
    _move(root, aside, "start over")
    return aside


def rename(root: Path, name: str) -> Path:
    """Give a run another name: its folder moves, with everything in it.

    Returns:
        Where it is now.

    Raises:
        RefusedError: The name cannot be used or is taken, there is no run, it cannot be moved, or a
            trainer works on it.
        StoreError: Its configuration, which holds its name too, cannot be read or written.
    """
    try:
        target = root.with_name(check_run_name(name))
    except ValueError as error:
        raise RefusedError(str(error)) from error
    _move(root, target, "rename it", lambda: record_name(root, name))
    return target


def delete_run(root: Path) -> None:
    """Delete a run and all its files; of a link, only the link.

    The folder is renamed first, so that a kill leaves no incomplete run; the next deletion or
    import removes the remains.

    Raises:
        RefusedError: A trainer is running it, the folder is not a run, or it cannot be moved.
        TransferError: Not every file could be deleted.
    """
    going = root.with_name(f"{DELETING}{uuid.uuid4().hex[:8]}")
    _move(root, going, "delete it")
    remove_leftovers(root.parent, but=going)
    try:
        if going.is_symlink():
            going.unlink()
        else:
            shutil.rmtree(going)
    except OSError as error:
        raise TransferError(
            f"run {root.name}: could not be deleted completely ({error.strerror or error}). Allow "
            f"writing to {root.parent}; the rest is in {going}"
        ) from error


def remove_leftovers(state_dir: Path, but: Path | None = None) -> None:
    """Remove what killed deletions and killed imports left."""
    for folder in state_dir.glob(f"{DELETING}*"):
        if folder != but:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in state_dir.glob(f"{ARRIVING}*"):
        with contextlib.suppress(FileNotFoundError):  # its import has just finished
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def record_name(root: Path, name: str) -> None:
    """Write a run's name into its configuration; one that is damaged is put back from its copy.

    The folder's name is the one that counts; this one comes along in an export.

    Raises:
        StoreError: It cannot be read or written.
    """
    run_file = RunReader(root).run_file()
    if run_file is None:
        return
    path, folder = RunPaths(root).config, CheckedFolder(root)
    data = folder.read(path.name)
    if run_file.run != name:
        data = dump_record(run_file.model_copy(update={"run": name}))
    if data is not None and not _has_content(path, data):
        folder.write(path.name, data)


def _has_content(path: Path, data: bytes) -> bool:
    """Return whether a file can be read and holds these bytes."""
    try:
        return read_file(path) == data
    except (FileNotFoundError, StoreError):
        return False


def _move(root: Path, target: Path, wish: str, prepare: Callable[[], None] = lambda: None) -> None:
    """Rename a run's folder while this process holds the run.

    Windows cannot rename a folder that has an open file, and a lease writes into its folder: both
    are released right before the rename.
    """
    if target.exists():
        raise RefusedError(f"run {target.name}: there already. Choose another name")
    lock = _hold(root, wish)
    try:
        prepare()
        if sys.platform == "win32" or isinstance(lock, Lease):
            _release(lock)
        replace(root, target)
        sync_folder(root.parent)
    except OSError as error:
        raise RefusedError(
            f"run {root.name}: could not be moved to {target} ({error.strerror or error}). Allow "
            f"writing to {root.parent}"
        ) from error
    finally:
        _release(lock)


def _hold(root: Path, wish: str) -> FileLock | Lease | None:
    """Return the run's lock, held; None where it cannot be written, so that no trainer can begin.

    Raises:
        RefusedError: There is no run, or a trainer or a worker of it holds a lock.
    """
    _demand_run(root)
    paths = RunPaths(root)
    in_use = RefusedError(f"run {root.name}: a trainer is running it. Pause it, then {wish}")
    lock: FileLock | Lease | None = None
    try:
        lock = acquire(paths.lock, creates_folder=False)
    except LockedError as error:
        _demand_run(root)
        raise in_use from error
    except StoreError as error:
        if is_in_use(RunReader(root)):
            raise in_use from error
    try:
        _demand_run(root)  # nor moved while this process waited for the lock
        if any(is_held(path) for path in paths.units.glob("*.lock")):
            raise in_use  # by a worker that has lost its trainer
    except RefusedError:
        _release(lock)
        raise
    return lock


def _release(lock: FileLock | Lease | None) -> None:
    if lock is not None:
        lock.release()


def _demand_run(root: Path) -> None:
    paths = RunPaths(root)
    if not (paths.has_config or paths.status.exists()):
        raise RefusedError(f"{root}: no run in this folder")
