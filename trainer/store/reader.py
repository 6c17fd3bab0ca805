"""Reader: everything that is read from a run folder; it never writes.

In: a run folder, which a trainer may be writing, and which may be damaged or read-only. Out:
records, frames and lists; ``StoreError`` names a damaged file.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.event_log import Event, read_events
from trainer.store.file_kinds import open_file
from trainer.store.names import RunPaths
from trainer.store.records import (
    Command,
    FoldRecord,
    ModelState,
    Notes,
    RunFile,
    Scores,
    Status,
    parse_record,
    read_record,
)
from trainer.store.resume_record import ResumeRecord
from trainer.store.tables import run_tables
from trainer.store.tables.feature_cache import load_features

if TYPE_CHECKING:
    import polars as pl

R = TypeVar("R", bound=BaseModel)

_NAMES = RunPaths(Path())
LOG_TAIL_BYTES = 65_536
_FILES_OF_A_RUN = tuple(
    path.name for path in (_NAMES.status, _NAMES.config, _NAMES.config_copy)
)  # one of them makes a folder a run; the first that exists shows its last activity


@dataclass(frozen=True)
class RunReader:
    """Reads one run folder."""

    root: Path

    @property
    def name(self) -> str:
        """Return the run's name, which is its folder's."""
        return self.root.name

    @property
    def paths(self) -> RunPaths:
        """Return the run's file names."""
        return RunPaths(self.root)

    def run_file(self) -> RunFile | None:
        """Return the frozen configuration, or None before it is written.

        Raises:
            StoreError: It and its copy are damaged or missing.
        """
        path = self.paths.config
        folder = CheckedFolder(self.root)
        verified = folder.read(path.name)
        if verified is None and folder.is_damaged(path.name):
            raise StoreError(
                f"{path}: expected a RunFile record with its recorded SHA-256, here or in "
                f"{path.name}.prev; got neither. Restore one from a copy, or start another run"
            )
        return (
            _optional(path, RunFile) if verified is None else parse_record(verified, path, RunFile)
        )

    def status(self) -> Status | None:
        """Return the last status of the trainer; ``run_state`` derives whether it still holds."""
        return _optional(self.paths.status, Status)

    def command(self) -> Command | None:
        """Return the last command to the trainer."""
        return _optional(self.paths.command, Command)

    def notes(self) -> Notes:
        """Return title and note."""
        return _optional(self.paths.notes, Notes) or Notes()

    def model_state(self, model: str) -> ModelState | None:
        """Return the records of one model's folds."""
        return _optional(self.paths.model_state(model), ModelState)

    def fold_records(self) -> tuple[FoldRecord, ...]:
        """Return the record of every fold of every model of the run, in the order of work."""
        run_file = self.run_file()
        if run_file is None:
            return ()
        records: list[FoldRecord] = []
        for model in run_file.models:
            state = self.model_state(model)
            known = {} if state is None else {record.fold: record for record in state.folds}
            records += [
                known.get(fold, FoldRecord(model=model, fold=fold))
                for fold in range(run_file.folds.count)
            ]
        return tuple(records)

    def scores(self) -> Scores | None:
        """Return the scores of the models and the blend over the finished folds."""
        return _optional(self.paths.scores, Scores)

    def resume_record(self) -> ResumeRecord | None:
        """Return the record of the attempts, or None before the run is finished."""
        return _optional(self.paths.resume_record, ResumeRecord)

    def folds(self) -> pl.DataFrame | None:
        """Return sequence_id, subject, gesture, fold per sequence, or None before that."""
        return run_tables.read_folds(CheckedFolder(self.root), self._num_sequences())

    def oof(self) -> pl.DataFrame | None:
        """Return the out-of-fold table, or None before the first fold is done."""
        return run_tables.read_oof(CheckedFolder(self.root), self._num_sequences())

    def importance(self) -> pl.DataFrame | None:
        """Return feature, sensor, mean and standard deviation of gain and split, gain per fold."""
        return run_tables.read_importance(CheckedFolder(self.root))

    def grid_map(self) -> dict[str, tuple[str, int, int, int, int]]:
        """Return features' places on the 8 x 8 grids: sensor, first and last row and column."""
        cache = load_features(CheckedFolder(self.root))
        return {} if isinstance(cache, str) else cache.grid_map

    def events(self) -> list[Event]:
        """Return all events, oldest first; an unfinished last line is left out."""
        return list(read_events(self.paths.metrics).events)

    def log_tail(self, num_lines: int = 200) -> list[str]:
        """Return the last lines of the trainer's log."""
        try:
            with open_file(self.paths.log, is_bounded=False) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                text = file.read(LOG_TAIL_BYTES).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-num_lines:]

    def _num_sequences(self) -> int | None:
        """Return the number of sequences that the run is trained on, if its file can be read."""
        try:
            run_file = self.run_file()
        except StoreError:
            return None
        return None if run_file is None else run_file.recordings.num_sequences

    def signature(self) -> dict[str, tuple[int, int]]:
        """Return (modified in ns, bytes) of every file that pages show; it changes with them."""
        paths = self.paths
        files = [
            *(paths.config, paths.status, paths.command, paths.notes, paths.metrics, paths.scores),
            *(paths.oof, paths.importance, paths.folds, paths.log),
            *sorted(self.root.glob(paths.model_state("*").name)),
        ]
        signature = {}
        for path in files:
            try:
                stat = path.stat()
            except OSError:
                continue
            signature[path.name] = (stat.st_mtime_ns, stat.st_size)
        return signature


def list_runs(state_dir: Path) -> list[RunReader]:
    """Return every run in a state folder, the most recently active first.

    A run is a folder that holds a configuration or a status; its status file shows its last
    activity.
    """
    if not state_dir.is_dir():
        return []
    with os.scandir(state_dir) as entries:
        found = [(_last_activity(entry), entry.path) for entry in entries]
    active = [(at, path) for at, path in found if at is not None]
    return [RunReader(Path(path)) for _, path in sorted(active, key=lambda each: -each[0])]


def _optional(path: Path, kind: type[R]) -> R | None:
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        return None


def _last_activity(entry: os.DirEntry[str]) -> float | None:
    """Return when a run was last active, in seconds since 1970; None for what is no run.

    A run is a folder that can be read and whose name can be shown; a hidden one is being imported
    or deleted. A state folder can have hundreds, and every page lists them.
    """
    if entry.name.startswith(".") or not entry.name.isprintable():
        return None
    for name in _FILES_OF_A_RUN:
        with contextlib.suppress(OSError):  # another user's folder, or no folder at all
            return os.stat(f"{entry.path}/{name}").st_mtime  # noqa: PTH116 - 3 times faster
    return None
