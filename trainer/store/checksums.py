"""``checksums.json``: the SHA-256 of every whole file that the coordinator writes.

In: names and bytes. Out: one JSON file; a file that it does not name does not exist. Files that
cannot be made again have a copy, ``<name>.prev``; if the checksums themselves are damaged, two
equal copies count as whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.store.durable import StoreError, reach, sha256, write_atomic
from trainer.store.file_kinds import read_file
from trainer.store.records import FileRef, Record, dump_record, read_record

FILE_NAME = "checksums.json"
PRECIOUS = ("config.json", "folds.parquet")  # all others but code are made again from others
CODE_FOLDER = "code"  # copies of the user's own code; precious too


class Checksums(Record):
    """Checksum and size of each file."""

    files: tuple[FileRef, ...] = ()

    def find(self, name: str) -> FileRef | None:
        """Return the record of a file, or None."""
        return next((ref for ref in self.files if ref.name == name), None)


@dataclass(frozen=True)
class CheckedFolder:
    """The files of a run folder that are written as a whole, together with their checksum."""

    root: Path

    def checksums(self) -> Checksums:
        """Return the recorded checksums; none if their file is missing or damaged."""
        try:
            return read_record(self.root / FILE_NAME, Checksums)
        except (FileNotFoundError, StoreError):
            return Checksums()

    def write(self, name: str, data: bytes) -> None:
        """Write a file, then record its checksum."""
        if is_precious(name):
            write_atomic(self._copy(name), data)
        write_atomic(self.root / name, data)
        reach("checksum.file_written")
        self._record(name, FileRef(name=name, sha256=sha256(data), num_bytes=len(data)))

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, from its copy if the file is damaged; None if both are."""
        ref = self.checksums().find(name)
        found = [_read(place) for place in self._places(name)]
        if ref is not None:
            for data in found:
                if data and sha256(data) == ref.sha256:
                    return data
        return found[0] if len(found) == 2 and found[0] == found[1] and found[0] else None

    def is_damaged(self, name: str) -> bool:
        """Return whether a precious file was written and both it and its copy are damaged."""
        if self.read(name) is not None:
            return False
        copies = [_read(place) for place in self._places(name)]
        return self.checksums().find(name) is not None or None not in copies

    def remove(self, name: str) -> None:
        """Remove a file from the checksums, then delete it."""
        if self.checksums().find(name) is not None:
            self._record(name, None)
        (self.root / name).unlink(missing_ok=True)

    def repair(self) -> list[str]:
        """Restore damaged files that have a copy; return the problems found, in words."""
        problems = []
        try:
            read_record(self.root / FILE_NAME, Checksums)
        except FileNotFoundError:
            pass  # a new run
        except StoreError as error:
            problems.append(f"{error}; written again")
        code = [ref.name for ref in self.checksums().files if ref.name not in PRECIOUS]
        for name in (*PRECIOUS, *filter(is_precious, code)):
            problems += self._repair_precious(name)
        problems += self._forget_missing()
        return problems

    def _repair_precious(self, name: str) -> list[str]:
        """Write a file and its copy again if one of them or their checksum is wrong."""
        data = self.read(name)
        if data is None:
            return []
        problems = []
        ref = self.checksums().find(name)
        if any(_read(place) != data for place in self._places(name)):
            problems.append(f"{name}: damaged or missing; restored from its copy")
        if ref is not None and ref.sha256 != sha256(data):
            problems.append(f"{FILE_NAME}: its checksum of {name} differs from both copies")
        if problems or ref is None:
            self.write(name, data)
        return problems

    def _forget_missing(self) -> list[str]:
        """Remove missing files from the checksums; no kill causes that, so they are reported."""
        known = [ref.name for ref in self.checksums().files if not is_precious(ref.name)]
        missing = [name for name in known if not (self.root / name).exists()]
        for name in missing:
            self._record(name, None)
        return [f"{name}: missing; made again" for name in missing]

    def _places(self, name: str) -> list[Path]:
        return [self.root / name, *([self._copy(name)] if is_precious(name) else [])]

    def _copy(self, name: str) -> Path:
        return self.root / f"{name}.prev"

    def _record(self, name: str, ref: FileRef | None) -> None:
        known = self.checksums()
        others = tuple(other for other in known.files if other.name != name)
        files = tuple(sorted((*others, *([ref] if ref else [])), key=lambda item: item.name))
        if files != known.files:
            write_atomic(self.root / FILE_NAME, dump_record(Checksums(files=files)))


def is_precious(name: str) -> bool:
    """Return whether a file cannot be made again, so that it has a copy."""
    return name in PRECIOUS or name.startswith(f"{CODE_FOLDER}/")


def write_if_changed(path: Path, data: bytes) -> None:
    """Write a file that has no checksum, unless it has this content."""
    if _read(path) != data:
        write_atomic(path, data)


def _read(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except (FileNotFoundError, StoreError):
        return None
