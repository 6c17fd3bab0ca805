"""Fold files: one fold's model, its checkpoints and its record, found again by content.

In: bytes of a model or a checkpoint. Out: files, and a record with the SHA-256 of each. Order of a
commit of a checkpoint X: new bytes to a temporary file, fsync; X to ``X.prev``; temporary file to
X; fsync of the folder; record. So at every instant the record names at least one whole file.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from trainer.store.durable import (
    StoreError,
    reach,
    replace,
    sha256,
    sync_folder,
    write_atomic,
    write_new,
)
from trainer.store.file_kinds import read_file
from trainer.store.names import FoldPaths
from trainer.store.records import FileRef, FoldRecord, ModelState, dump_record, read_record


@dataclass
class FoldFiles:
    """The files of one fold of one model.

    Attributes:
        paths: Their paths.
        attempt: Number of the trainer's start.
        record: The fold's record; it changes only together with the record file.
        problems: Damage that was found, in words.
    """

    paths: FoldPaths
    attempt: int
    record: FoldRecord
    problems: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, paths: FoldPaths, attempt: int, state: ModelState | None) -> FoldFiles:
        """Open a fold by its own record or, if that is damaged, by the model's state file."""
        problems: list[str] = []
        record = FoldRecord(model=paths.model, fold=paths.fold)
        if state is not None:
            wanted = (paths.model, paths.fold)
            matching = (one for one in state.folds if (one.model, one.fold) == wanted)
            record = next(matching, record)
        try:
            own = read_record(paths.record, FoldRecord)
            if (own.model, own.fold) == (paths.model, paths.fold):
                record = max(record, own, key=lambda one: one.generation)
            else:
                problems.append(f"{paths.record}: belongs to {own.model} fold {own.fold}; not used")
        except FileNotFoundError:
            pass  # the fold has not begun
        except StoreError as error:
            problems.append(str(error))
        return cls(paths, attempt, record, problems)

    def repair(self) -> None:
        """Write the fold's own record again if it is damaged, missing or older."""
        if not self.record.generation:
            return
        try:
            own = read_record(self.paths.record, FoldRecord)
        except FileNotFoundError:
            self.problems.append(f"{self.paths.record}: missing; written again")
        except StoreError:
            pass  # ``open`` has noted it
        else:
            if own == self.record:
                return
        write_atomic(self.paths.record, dump_record(self.record))

    def load_final(self) -> bytes | None:
        """Return the finished fold's verified bytes; None if it is not done or is damaged."""
        if not self.record.done or self.record.final is None:
            return None
        data = self._read_verified(self.paths.final_path, self.record.final)
        if data is None:
            start = "from its last checkpoint" if self.record.last else "from its beginning"
            self.problems.append(
                f"{self.record.final.name}: content differs from its recorded SHA-256; the fold "
                f"is redone {start}"
            )
        return data

    def load_last(self) -> bytes | None:
        """Return the newest verified checkpoint, or None."""
        newest, previous = self.record.last, self.record.last_previous
        places = (self.paths.last_path, self.paths.previous_path)
        for ref in (newest, previous):
            if ref is None:
                continue
            for place in places:
                data = self._read_verified(place, ref)
                if data is not None:
                    return data
            self.problems.append(
                f"{ref.name}: no file with its recorded SHA-256; using an earlier checkpoint"
            )
        return None

    def commit_last(self, data: bytes, progress: FoldRecord) -> None:
        """Replace the checkpoint and keep the previous generation.

        Args:
            data: The checkpoint.
            progress: The new record, without files, generation and attempt.
        """
        self._check_newest()
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
        """Write the finished fold: model, out-of-fold block, scores and importance in one file."""
        self._check_newest()
        write_atomic(self.paths.final_path, data)
        ref = FileRef(name=self.paths.final, sha256=sha256(data), num_bytes=len(data))
        self._commit_record(
            progress.model_copy(update={"final": ref, "done": True, **self._generations()}),
        )

    def start_over(self) -> None:
        """Commit an empty record; the fold's files stay, unnamed, until they are replaced."""
        self._commit_record(FoldRecord(model=self.paths.model, fold=self.paths.fold))

    def drop_checkpoints(self) -> None:
        """Delete both checkpoints of a finished fold, whose own file is enough from now on.

        The record stops naming them first, so a kill leaves unnamed files at most, which the next
        call deletes. A fold that is not done, or whose file is damaged, keeps its checkpoints.
        """
        final = self.record.final
        if final is None or not self.record.done:
            return
        if self._read_verified(self.paths.final_path, final) is None:
            return
        if self.record.last is not None or self.record.last_previous is not None:
            self._check_newest()
            self._commit_record(
                self.record.model_copy(update={"last": None, "last_previous": None})
            )
        for path in (self.paths.last_path, self.paths.previous_path):
            with contextlib.suppress(OSError):  # open in another program: the next call deletes it
                path.unlink(missing_ok=True)

    def _generations(self) -> dict[str, FileRef | None]:
        return {"last": self.record.last, "last_previous": self.record.last_previous}

    def _keep_previous(self) -> FileRef | None:
        """Move the newest whole checkpoint that the record names to X.prev; return which it is."""
        path, previous = self.paths.last_path, self.paths.previous_path
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

    def _check_newest(self) -> None:
        """Refuse to commit if a later start, or another worker, has taken the fold over.

        A commit of an earlier start that has not yet seen this one is replaced: without locks one
        of the two has to continue, and its bits are the same.
        """
        try:
            newest = read_record(self.paths.record, FoldRecord)
        except (FileNotFoundError, StoreError):
            return
        if newest.attempt > self.attempt:
            raise StoreError(
                f"{self.paths.record}: written by attempt {newest.attempt}, this is attempt "
                f"{self.attempt}: another trainer has taken the run over. This one stops"
            )
        if newest.generation <= self.record.generation:
            return
        if newest.attempt == self.attempt:
            raise StoreError(
                f"{self.paths.record}: expected generation {self.record.generation}, got "
                f"{newest.generation}: another worker has taken the fold over. This one stops"
            )
        self.record = self.record.model_copy(update={"generation": newest.generation})

    def _read_verified(self, path: Path, ref: FileRef) -> bytes | None:
        try:
            data = read_file(path)
        except (FileNotFoundError, StoreError):
            return None
        return data if sha256(data) == ref.sha256 else None
