"""File kinds: what each file of a run folder is, how large it may be, and the one way to read it.

In: the path of a file. Out: its kind, its bytes. A run folder may come from anywhere: before a byte
is read, the file must be a regular file (a pipe would block, a device never ends) and not larger
than its kind can be.

The greatest sizes leave room for a run on 100,000 sequences (the competition has 8,151) with ten
times as many gestures and folds. Measured at 810 sequences, 18 gestures and 5 folds: records of 1
to 19 KB, 0.2 MB of events, models of 2 MB, a bundle of 11 MB, a feature table of 11 KB a sequence.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePath
from typing import BinaryIO

from trainer.store.durable import StoreError, open_regular

PREVIOUS = ".prev"  # ends the name of a copy or of an earlier checkpoint; its kind is the file's
AT_WORK = "at_work"  # the folder of the workers' progress

_KB, _MB, _GB = 1 << 10, 1 << 20, 1 << 30
_PIECE_BYTES = 1 << 24  # of a large file that is hashed


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Attributes:
        title: What it is, in words.
        max_bytes: Its greatest size.
        patterns: Of its names, without their folder.
        is_live: Whether it belongs to a process that runs, not to the run: a copy of the run must
            not have it.
    """

    title: str
    max_bytes: int
    patterns: tuple[str, ...]
    is_live: bool = False


KINDS = (  # the first that matches
    FileKind("lock", 4 * _KB, ("lock", "*.lock"), is_live=True),
    FileKind("owner of a lock", 64 * _KB, ("*.owner",), is_live=True),
    FileKind("command", 64 * _KB, ("command.json",), is_live=True),
    FileKind("mark of a notification", 4 * _KB, ("*.notified",), is_live=True),
    FileKind("request to stop", 4 * _KB, ("stop",), is_live=True),
    FileKind("progress of a worker", 64 * _KB, ("*.beat",), is_live=True),
    FileKind("lines of a worker", 256 * _MB, ("*.lines",), is_live=True),
    FileKind("array for workers", 1024 * _GB, ("*.npy",), is_live=True),  # mapped, never read
    FileKind("temporary file", 1024 * _GB, ("*.tmp",), is_live=True),
    FileKind("record", 16 * _MB, ("checksums.json", "resume_record.json")),  # of many files, events
    FileKind("record", 4 * _MB, ("*.json",)),
    FileKind("event log", 256 * _MB, ("*.jsonl",)),  # a beat every 10 s for four months
    FileKind("log", 256 * _MB, ("*.log",)),
    FileKind("table", 256 * _MB, ("*.parquet",)),
    FileKind("table", 64 * _MB, ("*.csv",)),
    FileKind("Python file", 1 * _MB, ("*.py",)),
    FileKind("feature table", 16 * _GB, ("*.joblib",)),
    FileKind("model", 4 * _GB, ("*.pkl", "*.pt", "*.pth")),
)
OTHER = FileKind("file", 4 * _GB, ("*",))
LARGE_BYTES = 256 * _MB  # from here on a file is compared with the free memory


@lru_cache(maxsize=1024)
def kind_of(name: str) -> FileKind:
    """Return the kind of a file by its name, which may begin with folders."""
    last = PurePath(name).name.removesuffix(PREVIOUS)
    matching = (kind for kind in KINDS for one in kind.patterns if fnmatchcase(last, one))
    return next(matching, OTHER)


def belongs_to_process(name: str) -> bool:
    """Return whether a file belongs to a process that runs, so that a copy must not have it.

    Args:
        name: Its path inside the run folder.
    """
    return AT_WORK in PurePath(name).parts or kind_of(name).is_live


def read_file(path: Path) -> bytes:
    """Return the content of a file of a run folder.

    Raises:
        FileNotFoundError: It does not exist.
        StoreError: It is no regular file, is larger than its kind can be or than half of the free
            memory, or cannot be read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGE_BYTES:
            import psutil

            free = psutil.virtual_memory().available
            if size > free // 2:  # what is read is parsed into as much again
                raise StoreError(
                    f"{path}: expected a file of at most half of the free memory ({free:,} bytes), "
                    f"got {size:,}. It is not read: close other programs, or move it away"
                )
        return file.read(size)


@contextlib.contextmanager
def open_file(path: Path, is_bounded: bool = True) -> Iterator[BinaryIO]:
    """Open a file of a run folder to read it in pieces.

    Args:
        path: The file.
        is_bounded: Whether its size is checked; not where only its end is read.

    Raises:
        FileNotFoundError: It does not exist.
        StoreError: It is no regular file, is larger than its kind can be, or cannot be read.
    """
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            kind, size = kind_of(path.name), os.fstat(file.fileno()).st_size
            if is_bounded and size > kind.max_bytes:
                raise StoreError(
                    f"{path}: expected a {kind.title} of at most {kind.max_bytes:,} bytes, got "
                    f"{size:,}. It is not read: restore it from a copy, or move it away"
                )
            yield file
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as error:
        detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise StoreError(f"{path}: cannot be read ({detail})") from error


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a large file, read in pieces.

    Raises:
        FileNotFoundError: It does not exist.
        StoreError: As ``read_file``.
    """
    digest = hashlib.sha256()
    with open_file(path) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
