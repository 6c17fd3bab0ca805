"""Checkpoints of one unit of work, two generations of them, found again by content.

In: bytes of a checkpoint. Out: files, and a record that names the SHA-256 of both generations.
Order of a commit: temporary file, fsync; X to X.prev; temporary to X; fsync of the folder; record.
So at every instant the record names at least one file that is there and whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from trainer.store.durable import (
    StoreError,
    replace,
    sha256,
    sync_folder,
    write_atomic,
    write_new,
)
from trainer.store.failpoints import reach
from trainer.store.names import FoldPaths
from trainer.store.records import FileRef, FoldRecord, ModelState, dump_record, read_record


@dataclass
class FoldFiles:
    """The files of one fold of one model; nothing else is written through it.

    Attributes:
        paths: Where the files are.
        attempt: Of the trainer that holds the run.
        record: What is known of the unit; changed only together with the record file.
        problems: What was found damaged on the way, in words.
    """

    paths: FoldPaths
    attempt: int
    record: FoldRecord
    problems: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, paths: FoldPaths, attempt: int, state: ModelState | None) -> FoldFiles:
        """Open a unit from its own record or, where that is damaged, the model's state file."""
        problems: list[str] = []
        record = FoldRecord(model=paths.model, fold=paths.fold)
        if state is not None:
            wanted = (paths.model, paths.fold)
            named = (unit for unit in state.folds if (unit.model, unit.fold) == wanted)
            record = next(named, record)
        try:
            own = read_record(paths.record, FoldRecord)
            if (own.model, own.fold) == (paths.model, paths.fold):
                record = max(record, own, key=lambda unit: unit.generation)
            else:
                problems.append(f"{paths.record}: is of {own.model} fold {own.fold}; not used")
        except FileNotFoundError:
            pass  # a unit that has not begun
        except StoreError as error:
            problems.append(str(error))
        return cls(paths, attempt, record, problems)

    def repair(self) -> None:
        """Write the unit's own record again where it is damaged, missing or behind."""
        if not self.record.generation:
            return
        try:
            own = read_record(self.paths.record, FoldRecord)
        except FileNotFoundError:
            self.problems.append(f"{self.paths.record}: missing; made again")
        except StoreError:
            pass  # it is among the problems already
        else:
            if own == self.record:
                return
        write_atomic(self.paths.record, dump_record(self.record))

    def load_final(self) -> bytes | None:
        """Return the finished fold's bytes, verified; None where it is not done or is damaged."""
        if not self.record.done or self.record.final is None:
            return None
        data = self._read_verified(self.paths.final_path, self.record.final)
        if data is None:
            self.problems.append(
                f"{self.record.final.name}: content differs from its recorded SHA-256; the fold "
                f"is redone from its last checkpoint"
            )
        return data

    def load_last(self) -> bytes | None:
        """Return the newest verified checkpoint, or None."""
        newest, previous = self.record.last, self.record.last_previous
        places = (self.paths.last_path, _previous(self.paths.last_path))
        for ref in (newest, previous):
            if ref is None:
                continue
            for place in places:
                data = self._read_verified(place, ref)
                if data is not None:
                    return data
            self.problems.append(
                f"{ref.name}: no file with its recorded SHA-256; using an earlier point"
            )
        return None

    def commit_last(self, data: bytes, progress: FoldRecord) -> None:
        """Replace the checkpoint to resume from, keeping the previous generation.

        Args:
            data: The checkpoint.
            progress: The record to be, but for its files, generation and attempt.
        """
        self._demand_newest()
        path = self.paths.last_path
        ref = FileRef(name=self.paths.last, sha256=sha256(data), num_bytes=len(data))
        if ref == self.record.last and self._read_verified(path, ref) is not None:
            self._commit_record(progress.model_copy(update=self._generations()))
            return  # a pause right after a save: the same bytes would push out the older ones
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            write_new(temporary, data)
            kept = self._keep_previous()
            replace(temporary, path)
            sync_folder(path.parent)
            reach("unit.placed")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(
                f"{path}: could not write {len(data):,} bytes ({error.strerror or error}). The "
                f"earlier checkpoint is intact. Make room, then resume"
            ) from error
        self._commit_record(progress.model_copy(update={"last": ref, "last_previous": kept}))

    def commit_final(self, data: bytes, progress: FoldRecord) -> None:
        """Write the finished fold: model, out-of-fold block, scores and importance as one."""
        self._demand_newest()
        write_atomic(self.paths.final_path, data)
        ref = FileRef(name=self.paths.final, sha256=sha256(data), num_bytes=len(data))
        self._commit_record(
            progress.model_copy(update={"final": ref, "done": True, **self._generations()}),
        )

    def start_over(self) -> None:
        """Forget every file of the unit; they stay on the disk, unnamed, until replaced."""
        self._commit_record(FoldRecord(model=self.paths.model, fold=self.paths.fold))

    def _generations(self) -> dict[str, FileRef | None]:
        return {"last": self.record.last, "last_previous": self.record.last_previous}

    def _keep_previous(self) -> FileRef | None:
        """Make the newest whole checkpoint that the record names X.prev; return which it is."""
        path, previous = self.paths.last_path, _previous(self.paths.last_path)
        if self.record.last is None:
            return None
        if self._read_verified(path, self.record.last) is not None:
            replace(path, previous)
            reach("unit.rotated")
            return self.record.last
        named = (self.record.last, self.record.last_previous)  # path is unnamed or damaged
        whole = (ref for ref in named if ref and self._read_verified(previous, ref) is not None)
        return next(whole, None)

    def _commit_record(self, record: FoldRecord) -> None:
        self.record = record.model_copy(
            update={"generation": self.record.generation + 1, "attempt": self.attempt}
        )
        write_atomic(self.paths.record, dump_record(self.record))
        reach("unit.recorded")

    def _demand_newest(self) -> None:
        """Refuse to commit where a later start, or another worker, has taken the unit over.

        An earlier start that committed once more, before it saw this one, is written over: where
        locks do not hold one of two has to go on, and its bits are the same.
        """
        try:
            newest = read_record(self.paths.record, FoldRecord)
        except (FileNotFoundError, StoreError):
            return
        if newest.attempt > self.attempt:
            raise StoreError(
                f"{self.paths.record}: written by attempt {newest.attempt}, this is attempt "
                f"{self.attempt}: another trainer has taken the run over. This one ends"
            )
        if newest.generation <= self.record.generation:
            return
        if newest.attempt == self.attempt:
            raise StoreError(
                f"{self.paths.record}: expected generation {self.record.generation}, got "
                f"{newest.generation}: another worker has taken the fold over. This one ends"
            )
        self.record = self.record.model_copy(update={"generation": newest.generation})

    def _read_verified(self, path: Path, ref: FileRef) -> bytes | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data if sha256(data) == ref.sha256 else None


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".prev")
