"""Archive: a run is exported to one zip file, or imported from it.

In: a run folder, a zip, or a folder that was copied or mounted from another machine. Out: a zip, or
a run in the state folder. Nothing in an archive is executed or written outside the run's folder;
its files are checked by kind and size (``parts``) before the first of them is unpacked.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from trainer.run import RefusedError
from trainer.run.control import is_in_use
from trainer.run.transfer.moving import ARRIVING, TransferError, record_name, remove_leftovers
from trainer.run.transfer.parts import MAX_FILES, Part, files_below, is_foreign, select
from trainer.store.durable import (
    PRIVATE_FILE,
    StoreError,
    create,
    make_folder,
    open_regular,
    replace,
    sync_folder,
)
from trainer.store.file_kinds import belongs_to_process, open_file
from trainer.store.names import RunNameError, check_run_name
from trainer.store.reader import RunReader

MAX_TABLE_BYTES = 4 << 20  # the table of contents of MAX_FILES files: 46 bytes and a name each
BLOCK_BYTES = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what export and common programs write
UNREADABLE = (  # raised by zipfile for damaged, encrypted or foreign archives
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError, OverflowError),
)


def export_run(root: Path, target: Path) -> None:
    """Write a run as one zip, which only this user may read.

    Raises:
        RefusedError: There is no run, or a trainer is writing to it.
        TransferError: The zip cannot be written, or the run contains a link.
    """
    if not RunReader(root).paths.has_config:
        raise RefusedError(
            f"{root}: no run in this folder. List the runs: python -m trainer status"
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _demand_idle(root, "export")
        _pack(root, temporary)
        _demand_idle(root, "export")  # a trainer may have begun meanwhile
        replace(temporary, target)
    except OSError as error:
        raise TransferError(
            f"{target}: could not be written ({error.strerror or error}). Make room or choose "
            f"another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def import_run(
    source: Path,
    state_dir: Path,
    name: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Copy a run into the state folder.

    Args:
        source: A zip that ``export_run`` wrote, or a run folder, perhaps read-only.
        state_dir: The state folder.
        name: The run's new name; None keeps the name in its ``config.json``.
        report: Receives a line that names the files which are no part of a run and are left out.

    Returns:
        The new run folder.

    Raises:
        TransferError: It is not a run, is damaged, is too large, or cannot be copied.
        RefusedError: A run of that name exists, or a trainer is writing to the folder.
        RunNameError: The name cannot be used.
        StoreError: The source is neither a folder nor a regular file.
    """
    if name is not None:
        check_run_name(name)
    arriving = state_dir / f"{ARRIVING}{uuid.uuid4().hex[:8]}"
    try:
        make_folder(state_dir)
        remove_leftovers(state_dir)
        left_out = _copy_folder(source, arriving) if source.is_dir() else _unpack(source, arriving)
        own_name = _check(arriving, source)
        target = state_dir / (name or own_name)
        _demand_free(target)
        record_name(arriving, target.name)
        _place(arriving, target)
    except OSError as error:
        raise TransferError(
            f"{error.filename or state_dir}: could not be read or written "
            f"({error.strerror or error}). Make room in {state_dir} or allow writing to it"
        ) from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    if left_out:
        report(left_out)
    return target


def _place(arriving: Path, target: Path) -> None:
    """Give a run that has arrived its name, unless another run has got it meanwhile."""
    try:
        replace(arriving, target)
    except OSError:
        _demand_free(target)
        raise
    sync_folder(target.parent)


def _demand_free(target: Path) -> None:
    if target.exists():
        raise RefusedError(
            f"run {target.name}: it already exists. Import this run under another name, or "
            f"delete the existing one first"
        )


def _demand_idle(root: Path, wish: str) -> None:
    if is_in_use(RunReader(root)):
        raise RefusedError(f"run {root.name}: a trainer is writing to it. Pause it, then {wish} it")


def _pack(root: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with (
        os.fdopen(descriptor, "r+b") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in files_below(root):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not belongs_to_process(name) and not is_foreign(name):
                archive.write(path, f"{root.resolve().name}/{name}")


def _copy_folder(source: Path, target: Path) -> str:
    """Copy a run folder that no trainer writes to; return what was left out."""
    if not RunReader(source).paths.has_config:
        raise TransferError(f"{source}: no config.json in it. Expected a run folder")
    _demand_idle(source, "import")
    files = [path for path in files_below(source) if path.is_file()]
    parts = [
        Part(path.relative_to(source).as_posix(), path.stat().st_size, partial(open_file, path))
        for path in files
    ]
    left_out = _write_parts(parts, target)
    _demand_idle(source, "import")  # a trainer may have begun meanwhile
    return left_out


def _unpack(source: Path, target: Path) -> str:
    """Unpack an archive; return what was left out."""
    with open_archive(source) as archive:
        members = [item for item in archive.infolist() if not item.filename.endswith("/")]
        parts = _parts_of(archive, members)
        return _write_parts(parts, target, sum(item.compress_size for item in members))


@contextmanager
def open_archive(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip of bounded contents.

    Raises:
        TransferError: It cannot be read, also where the body finds that.
    """
    descriptor = open_regular(source, os.O_RDONLY)
    try:
        with _ArchiveFile(descriptor) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except TransferError:
        raise
    except UNREADABLE as error:
        raise TransferError(
            f"{source.name}: expected a zip written by export; {str(error)[:200]}. Export the run "
            f"again"
        ) from error


class _ArchiveFile(io.FileIO):
    """An archive on the disk; zipfile reads its whole table of contents at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_TABLE_BYTES:
            raise TransferError(
                f"expected at most {MAX_FILES:,} files, got a table of contents of {size:,} bytes. "
                f"Nothing was unpacked"
            )
        return super().read(size)


def _parts_of(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[Part]:
    """Return the files inside the archive's one folder; operating systems add others beside it."""
    named = [(item, PurePosixPath(item.filename.replace("\\", "/")).parts) for item in members]
    named = [(item, parts) for item, parts in named if not is_foreign("/".join(parts))]
    found = []
    for item, parts in named:
        is_special = stat.S_IFMT(item.external_attr >> 16) not in (0, stat.S_IFREG)
        is_outside = parts[:1] == ("/",) or ".." in parts or any(":" in part for part in parts)
        if is_special or is_outside or len(parts) < 2 or parts[0] != named[0][1][0]:
            raise TransferError(
                f"{item.filename[:200]!r}: expected plain files in one folder. Nothing was unpacked"
            )
        if item.compress_type not in METHODS:
            raise TransferError(
                f"{item.filename[:200]!r}: expected a file that is stored or deflated, got "
                f"compression method {item.compress_type}. Nothing was unpacked"
            )
        name = "/".join(parts[1:])
        found.append(Part(name, item.file_size, partial(archive.open, item)))
    return found


def _write_parts(parts: list[Part], target: Path, num_packed: int | None = None) -> str:
    """Write the files that belong to a run; return a line on those that were left out."""
    chosen, left_out = select(parts, num_packed)
    needed = sum(part.num_bytes for part in chosen)
    make_folder(target)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise TransferError(
            f"{target.parent}: {needed:,} bytes are needed, {free:,} are free. Make room"
        )
    for part in chosen:
        _write_part(part, target / part.name)
    return left_out


def _write_part(part: Part, place: Path) -> None:
    num_bytes = 0
    try:
        make_folder(place.parent)
        create(place)
        target = place.open("wb")
    except OSError as error:
        raise _unwritable(part, error) from error
    with target, part.open() as packed:
        while block := packed.read(BLOCK_BYTES):
            num_bytes += len(block)
            if num_bytes > part.num_bytes:
                raise TransferError(f"{part.name!r}: larger than its entry in the archive")
            try:
                target.write(block)
            except OSError as error:
                raise _unwritable(part, error) from error


def _unwritable(part: Part, error: OSError) -> TransferError:
    return TransferError(
        f"{part.name}: could not write {part.num_bytes:,} bytes ({error.strerror or error}). Make "
        f"room or allow writing to the state folder"
    )


def _check(folder: Path, source: Path) -> str:
    """Return the name of the run in a folder."""
    try:
        run_file = RunReader(folder).run_file()
        if run_file is not None:
            return check_run_name(run_file.run)
    except (StoreError, RunNameError) as error:
        raise TransferError(f"{source.name}: {error}") from error
    raise TransferError(f"{source.name}: no config.json in it. Expected a run folder or its export")
