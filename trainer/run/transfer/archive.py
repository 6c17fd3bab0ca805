"""Archive: a run is exported to one zip file, or imported from it.

In: a run folder, a zip, or a folder that was copied or mounted from another machine. Out: a zip, or
a run in the state folder. Nothing in an archive is executed or written outside the run's folder.
"""

from __future__ import annotations

import shutil
import uuid
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from trainer.run import RefusedError
from trainer.run.control import is_in_use
from trainer.run.transfer.moving import ARRIVING, TransferError, record_name, remove_leftovers
from trainer.store.durable import StoreError, replace, sync_folder
from trainer.store.names import RunNameError, check_run_name
from trainer.store.reader import RunReader

MAX_BYTES = 20 * 2**30  # Kaggle's output limit; a run is far smaller
MAX_FILES = 10_000
MAX_RATIO = 200  # real checkpoints compress by less than 10; a zip bomb by 1,000 and more
UNREADABLE = (  # raised by zipfile for damaged, encrypted or foreign archives
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, UnicodeError),
)
EXCLUDED = ("lock", "command.json", "stop")  # they belong to a live process, not to the run
EXCLUDED_SUFFIXES = (".lock", ".owner", ".tmp", ".beat", ".npy")


def export_run(root: Path, target: Path) -> None:
    """Write a run as one zip.

    Raises:
        RefusedError: There is no run, or a trainer is writing to it.
    """
    if not RunReader(root).paths.has_config:
        raise RefusedError(
            f"{root}: no run in this folder. List the runs: python -m trainer status"
        )
    if is_in_use(RunReader(root)):
        raise RefusedError(f"run {root.name}: a trainer is writing to it. Pause it, then export it")
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        _pack(root, temporary)
        replace(temporary, target)
    except OSError as error:
        raise TransferError(
            f"{target}: could not be written ({error.strerror or error}). Make room or choose "
            f"another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def import_run(source: Path, state_dir: Path, name: str | None = None) -> Path:
    """Copy a run into the state folder.

    Args:
        source: A zip that ``export_run`` wrote, or a run folder, perhaps read-only.
        state_dir: The state folder.
        name: The run's new name; None keeps the name in its ``config.json``.

    Returns:
        The new run folder.

    Raises:
        TransferError: It is not a run, is damaged, or contains files that no run contains.
        RefusedError: A run of that name exists.
        RunNameError: The name cannot be used.
    """
    if name is not None:
        check_run_name(name)
    state_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(state_dir)
    arriving = state_dir / f"{ARRIVING}{uuid.uuid4().hex[:8]}"
    try:
        _copy_or_unpack(source, arriving)
        own_name = _check(arriving, source)
        target = state_dir / (name or own_name)
        if target.exists():
            raise RefusedError(
                f"run {target.name}: it already exists. Import this run under another name, or "
                f"delete the existing one first"
            )
        record_name(arriving, target.name)
        replace(arriving, target)
        sync_folder(state_dir)
        return target
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _copy_or_unpack(source: Path, target: Path) -> None:
    """Copy or unpack a source; a folder must be a run that no trainer writes to."""
    if not source.is_dir():
        _unpack(source, target)
        return
    if not RunReader(source).paths.has_config:
        raise TransferError(f"{source}: no config.json in it. Expected a run folder")
    if is_in_use(RunReader(source)):
        raise RefusedError(f"{source}: a trainer is writing to it. Pause it, then import it")
    _copy_folder(source, target)


def _pack(root: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not _is_excluded(path):
                name = f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
                archive.write(path, name)


def _is_excluded(path: Path) -> bool:
    return path.name in EXCLUDED or path.suffix in EXCLUDED_SUFFIXES


def _copy_folder(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_symlink():
            raise TransferError(
                f"{path}: a link. Expected plain files; copy the file that it points to"
            )
        if path.is_file() and not _is_excluded(path):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _unpack(source: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
            _check_members(members)
            for item in members:
                _unpack_member(archive, item, target)
    except UNREADABLE as error:
        raise TransferError(
            f"{source.name}: expected a zip written by export; {error}. Export the run again"
        ) from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise TransferError(f"expected at most {MAX_FILES:,} files, got {len(members):,}")
    num_bytes = sum(item.file_size for item in members)
    packed = max(1, sum(item.compress_size for item in members))
    if num_bytes > MAX_BYTES or num_bytes / packed > MAX_RATIO:
        raise TransferError(
            f"expected a run, got an archive that unpacks from {packed:,} to {num_bytes:,} bytes. "
            f"Nothing was unpacked"
        )
    folders = [item.filename.replace("\\", "/").partition("/")[0] for item in members]
    for item in members:
        parts = PurePosixPath(item.filename.replace("\\", "/")).parts
        is_link = (item.external_attr >> 16) & 0o170000 == 0o120000
        is_outside = parts[:1] == ("/",) or ".." in parts or any(":" in part for part in parts)
        if is_link or is_outside or len(parts) < 2 or parts[0] != folders[0]:
            raise TransferError(
                f"{item.filename!r}: expected plain files in one folder. Nothing was unpacked"
            )


def _unpack_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo, target: Path) -> None:
    parts = PurePosixPath(item.filename.replace("\\", "/")).parts[1:]
    place = target.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(item) as packed, place.open("wb") as file:
        num_bytes = 0
        while block := packed.read(1 << 20):
            num_bytes += len(block)
            if num_bytes > item.file_size:
                raise TransferError(f"{item.filename!r}: larger than its entry in the archive")
            file.write(block)


def _check(folder: Path, source: Path) -> str:
    """Return the name of the run in a folder."""
    try:
        run_file = RunReader(folder).run_file()
        if run_file is not None:
            return check_run_name(run_file.run)
    except (StoreError, RunNameError) as error:
        raise TransferError(f"{source.name}: {error}") from error
    raise TransferError(f"{source.name}: no config.json in it. Expected a run folder or its export")
