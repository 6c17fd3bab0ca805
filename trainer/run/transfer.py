"""Transfer: a run as one zip, and back; deleting a run.

In: a run folder, a zip, or a folder that was copied or mounted from somewhere else. Out: a run in
the state folder. Nothing that an archive brings is run, and nothing lands outside the run's folder.
"""

from __future__ import annotations

import shutil
import uuid
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from trainer.run.refusal import RefusedError
from trainer.store.durable import StoreError, replace, sync_folder
from trainer.store.names import RunNameError, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import RunFile, read_record
from trainer.store.verdict import judge

MAX_BYTES = 20 * 2**30  # Kaggle's output limit; a run is far smaller
MAX_FILES = 10_000
MAX_RATIO = 200  # real checkpoints shrink by less than 10; a bomb by 1,000 and more
UNREADABLE = (  # what zipfile raises at damaged, encrypted or foreign archives
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, UnicodeError),
)
LEFT_OUT = ("lock", "command.json")  # of this process and this moment, not of the run


class TransferError(ValueError):
    """An archive or folder that is not a run, or not safely one."""


def export_run(root: Path, target: Path) -> None:
    """Write a run as one zip.

    Raises:
        RefusedError: There is no run, or a trainer is writing it now.
    """
    if not RunReader(root).paths.config.exists():
        raise RefusedError(f"{root}: no run there. See python -m trainer status")
    if judge(RunReader(root)).is_active:
        raise RefusedError(f"run {root.name}: a trainer is writing it. Pause it, then export")
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


def import_run(source: Path, state_dir: Path) -> Path:
    """Copy a run into the state folder.

    Args:
        source: A zip that ``export_run`` wrote, or a run folder, perhaps read-only.
        state_dir: Where it goes, under the name in its ``config.json``.

    Returns:
        The new run folder.

    Raises:
        TransferError: It is not a run, is damaged, or holds what no run holds.
        RefusedError: A run of that name is there.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    arriving = state_dir / f".arriving-{uuid.uuid4().hex[:8]}"
    try:
        if source.is_dir():
            if not RunReader(source).paths.config.exists():
                raise TransferError(f"{source}: no config.json in it. Expected a run folder")
            if judge(RunReader(source)).is_active:
                raise RefusedError(f"{source}: a trainer is writing it. Pause it, then import")
            _copy_folder(source, arriving)
        else:
            _unpack(source, arriving)
        name = _check(arriving, source)
        target = state_dir / name
        if target.exists():
            raise RefusedError(
                f"run {name}: there already. Start it over or delete it, then import again"
            )
        replace(arriving, target)
        sync_folder(state_dir)
        return target
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def delete_run(root: Path) -> None:
    """Delete a run and everything it holds.

    Raises:
        RefusedError: A trainer is at work on it, or it is no run.
    """
    reader = RunReader(root)
    if not (reader.paths.config.exists() or reader.paths.status.exists()):
        raise RefusedError(f"{root}: no run there")
    if judge(reader).is_active:
        raise RefusedError(f"run {root.name}: a trainer is at work on it. Pause it first")
    going = root.with_name(f".deleting-{uuid.uuid4().hex[:8]}")  # a kill may leave one
    replace(root, going)
    shutil.rmtree(going)


def _pack(root: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not _is_left_out(path):
                name = f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
                archive.write(path, name)


def _is_left_out(path: Path) -> bool:
    return path.name in LEFT_OUT or path.suffix in (".lock", ".tmp")


def _copy_folder(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_symlink():
            raise TransferError(f"{path}: a link. Expected plain files; copy what it points to")
        if path.is_file() and not _is_left_out(path):
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
            f"{source.name}: expected a zip that export wrote; {error}. Export the run again"
        ) from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise TransferError(f"expected at most {MAX_FILES:,} files, got {len(members):,}")
    num_bytes = sum(item.file_size for item in members)
    packed = max(1, sum(item.compress_size for item in members))
    if num_bytes > MAX_BYTES or num_bytes / packed > MAX_RATIO:
        raise TransferError(
            f"unpacks from {packed:,} to {num_bytes:,} bytes: no run does. Nothing was unpacked"
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
                raise TransferError(f"{item.filename!r}: larger than the archive says")
            file.write(block)


def _check(folder: Path, source: Path) -> str:
    """Return the name of the run in a folder."""
    try:
        return check_run_name(read_record(folder / "config.json", RunFile).run)
    except FileNotFoundError as error:
        raise TransferError(
            f"{source.name}: no config.json in it. Expected a run folder or its export"
        ) from error
    except (StoreError, RunNameError) as error:
        raise TransferError(f"{source.name}: {error}") from error
