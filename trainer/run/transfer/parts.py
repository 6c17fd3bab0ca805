"""Parts of a run: which files of an archive or of a folder belong to a copy of the run.

In: names and sizes, before anything is read. Out: those that are copied, and a line on those that
are left out: what no run contains (``.DS_Store``, ``__MACOSX``). What belongs to a live process
(locks, commands, progress of workers) is never copied. Too large a file, or too many, are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from trainer.models import registry
from trainer.run.transfer.moving import TransferError
from trainer.store.checksums import CODE_FOLDER
from trainer.store.file_kinds import OTHER, PREVIOUS, belongs_to_process, kind_of

MAX_BYTES = 20 * 2**30  # Kaggle's output limit; a run is far smaller
MAX_FILES = 10_000
MAX_RATIO = 200  # real checkpoints compress by less than 10; a zip bomb by 1,000 and more
MAX_NAME = 200  # characters; file systems allow 255 bytes
MAX_NAMED = 5  # of the files that are left out
FOREIGN_FOLDER = "__MACOSX"  # beside what macOS puts into an archive
FOREIGN_FILES = ("thumbs.db", "desktop.ini")  # of Windows, in lower case


@dataclass(frozen=True)
class Part:
    """A file of an archive or of a folder.

    Attributes:
        name: Its path inside the run folder, with ``/``.
        num_bytes: Its size, as the archive or the folder states it.
        open: Opens it to be read.
    """

    name: str
    num_bytes: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def select(parts: list[Part], num_packed: int | None = None) -> tuple[list[Part], str]:
    """Return the parts that are copied, and a line that names those that are left out, or "".

    Args:
        parts: All files that were found.
        num_packed: Bytes of all of them in their archive; None where they are not packed.

    Raises:
        TransferError: Too many, too large, or two of one name.
    """
    _demand_few(len(parts))
    parts = [part for part in parts if not belongs_to_process(part.name)]
    copied = [part for part in parts if _is_known(part.name)]
    names = [part.name.casefold() for part in copied]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise TransferError(f"{double!r}: expected one file of this name, got several")
    for part in copied:
        kind = kind_of(part.name)
        if part.num_bytes > kind.max_bytes:
            raise TransferError(
                f"{part.name}: expected a {kind.title} of at most {kind.max_bytes:,} bytes, got "
                f"{part.num_bytes:,}. Nothing was copied"
            )
    num_bytes = sum(part.num_bytes for part in copied)
    is_bomb = num_packed is not None and num_bytes > MAX_RATIO * max(1, num_packed)
    if num_bytes > MAX_BYTES or is_bomb:
        packed = "" if num_packed is None else f"from {num_packed:,} "
        raise TransferError(
            f"expected a run, got an archive that unpacks {packed}to {num_bytes:,} bytes. "
            f"Nothing was unpacked"
        )
    unknown = [part.name for part in parts if not _is_known(part.name)]
    return copied, _left_out(unknown)


def files_below(root: Path) -> Iterator[Path]:
    """Yield everything below a folder but the folders, sorted within each.

    Raises:
        TransferError: There is a link, or too much.
    """
    folders, num_files = [root], 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        num_files += len(found)
        _demand_few(num_files)
        for entry in found:
            if entry.is_symlink():
                raise TransferError(
                    f"{entry.path}: a link. Expected plain files; copy the file that it points to"
                )
            if entry.is_dir():
                folders.append(Path(entry.path))
            else:
                yield Path(entry.path)


def is_foreign(name: str) -> bool:
    """Return whether an operating system adds such files to folders and archives by itself."""
    parts = PurePosixPath(name).parts
    is_hidden = bool(parts) and parts[-1].startswith(".") and parts[-1] != ".."
    return FOREIGN_FOLDER in parts[:1] or is_hidden or "".join(parts[-1:]).lower() in FOREIGN_FILES


def _demand_few(number: int) -> None:
    if number > MAX_FILES:
        raise TransferError(f"expected at most {MAX_FILES:,} files, got {number:,}")


def _is_known(name: str) -> bool:
    """Return whether a run can contain a file of this name."""
    if is_foreign(name) or len(name) > MAX_NAME or not name.isprintable():
        return False
    if PurePosixPath(name.removesuffix(PREVIOUS)).suffix == ".py":
        return PurePosixPath(name).parent == PurePosixPath(CODE_FOLDER)  # plain data there too
    return kind_of(name) is not OTHER or any(fnmatchcase(name, own) for own in _model_files())


def _model_files() -> Iterator[str]:
    """Yield the patterns of the files that models name themselves."""
    for model in registry.all_models():
        for pattern in (model.fold_file, model.checkpoint_file):
            yield re.sub(r"\{fold.*?\}", "*", pattern)
            yield re.sub(r"\{fold.*?\}", "*", pattern) + ".prev"


def _left_out(names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(repr(name[:MAX_NAME]) for name in names[:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"left out, because no run contains such files: {shown}{more}"
