"""``checksums.json``: the SHA-256 of every whole file that the coordinator writes.

In: names and bytes. Out: one JSON file; what it does not name does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.store.durable import sha256, write_atomic
from trainer.store.records import FileRef, Record, dump_record, read_record

FILE_NAME = "checksums.json"


class Checksums(Record):
    """What each file should hold."""

    files: tuple[FileRef, ...] = ()

    def find(self, name: str) -> FileRef | None:
        """Return what is recorded of a file."""
        return next((ref for ref in self.files if ref.name == name), None)


@dataclass(frozen=True)
class CheckedFolder:
    """Whole files of a run folder, written together with their checksum."""

    root: Path

    def checksums(self) -> Checksums:
        """Return the recorded checksums, none where the file is missing."""
        try:
            return read_record(self.root / FILE_NAME, Checksums)
        except FileNotFoundError:
            return Checksums()

    def write(self, name: str, data: bytes) -> None:
        """Write a file, then record its checksum."""
        write_atomic(self.root / name, data)
        self._record(name, FileRef(name=name, sha256=sha256(data), num_bytes=len(data)))

    def remove(self, name: str) -> None:
        """Forget a file, then delete it."""
        if self.checksums().find(name) is not None:
            self._record(name, None)
        (self.root / name).unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes if they are the recorded ones, else None."""
        ref = self.checksums().find(name)
        path = self.root / name
        if ref is None or not path.exists():
            return None
        data = path.read_bytes()
        return data if sha256(data) == ref.sha256 else None

    def _record(self, name: str, ref: FileRef | None) -> None:
        known = self.checksums()
        others = tuple(other for other in known.files if other.name != name)
        files = tuple(sorted((*others, *([ref] if ref else [])), key=lambda item: item.name))
        if files != known.files:
            write_atomic(self.root / FILE_NAME, dump_record(Checksums(files=files)))
