"""Reader: a run folder as people and pages see it. Never writes, never trusts half a file.

In: a run folder, perhaps of a trainer that is writing it now, perhaps damaged, perhaps read-only.
Out: records, frames and lists; ``StoreError`` names a damaged file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.feature_cache import load_features
from trainer.store.names import RunPaths
from trainer.store.records import (
    Command,
    FoldRecord,
    ModelState,
    Notes,
    ResumeRecord,
    RunFile,
    Scores,
    Status,
    parse_record,
    read_record,
)

if TYPE_CHECKING:
    import polars as pl

R = TypeVar("R", bound=BaseModel)

LOG_TAIL_BYTES = 65_536
CURVE_EVENTS = ("segment", "epoch")  # the events that carry a point of a curve


@dataclass(frozen=True)
class Event:
    """One line of ``metrics.jsonl``.

    Attributes:
        event: "segment", "epoch", "fold", "start", "resume", "pause", "interrupted", "finish",
            "fail", "problem", "beat".
        time: Seconds since 1970, for people; results never depend on it.
        attempt: Which start of the trainer wrote it, from 1.
        model: "lgbm", "torch" or None.
        fold: From 0, or None.
        values: The numbers, such as step, train_loss, valid_loss, score, learning_rate.
        text: What happened in words, or "".
    """

    event: str
    time: float
    attempt: int
    model: str | None
    fold: int | None
    values: dict[str, float]
    text: str


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
            StoreError: It and its copy are damaged or gone.
        """
        path = self.paths.config
        folder = CheckedFolder(self.root)
        verified = folder.read(path.name)
        if verified is None and folder.is_damaged(path.name):
            raise StoreError(
                f"{path}: expected a RunFile record with its recorded SHA-256, here or in "
                f"{path.name}.prev; got neither. Put one back from a copy, or begin another run"
            )
        return (
            _optional(path, RunFile) if verified is None else parse_record(verified, path, RunFile)
        )

    def status(self) -> Status | None:
        """Return what the trainer last said of itself; see ``derived`` for whether it is true."""
        return _optional(self.paths.status, Status)

    def command(self) -> Command | None:
        """Return what was last asked of the trainer."""
        return _optional(self.paths.command, Command)

    def notes(self) -> Notes:
        """Return title and note."""
        return _optional(self.paths.notes, Notes) or Notes()

    def model_state(self, model: str) -> ModelState | None:
        """Return the record of one model's folds."""
        return _optional(self.paths.model_state(model), ModelState)

    def units(self) -> tuple[FoldRecord, ...]:
        """Return every fold of every model of the run, in the order of work."""
        run_file = self.run_file()
        if run_file is None:
            return ()
        units: list[FoldRecord] = []
        for model in run_file.models:
            state = self.model_state(model)
            known = {} if state is None else {unit.fold: unit for unit in state.folds}
            units += [
                known.get(fold, FoldRecord(model=model, fold=fold))
                for fold in range(run_file.folds.count)
            ]
        return tuple(units)

    def scores(self) -> Scores | None:
        """Return the scores of the models and the blend, as far as folds are done."""
        return _optional(self.paths.scores, Scores)

    def resume_record(self) -> ResumeRecord | None:
        """Return the record of the attempts, or None before the run is finished."""
        return _optional(self.paths.resume_record, ResumeRecord)

    def folds(self) -> pl.DataFrame | None:
        """Return sequence_id, subject, gesture, fold per sequence, or None before it is written."""
        return _parquet(self.paths.folds)

    def oof(self) -> pl.DataFrame | None:
        """Return the out-of-fold table, or None before the first fold is done."""
        return _parquet(self.paths.oof)

    def importance(self) -> pl.DataFrame | None:
        """Return feature, sensor, gain_mean, gain_std, split_mean, split_std, and per fold gain."""
        import polars as pl

        path = self.paths.importance
        if not path.exists():
            return None
        try:
            return pl.read_csv(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreError(f"{path}: not a readable CSV file ({error})") from error

    def grid_map(self) -> dict[str, tuple[str, int, int, int, int]]:
        """Return where features lie on the 8 x 8 grids: sensor, first and last row and column."""
        cache = load_features(CheckedFolder(self.root))
        return {} if isinstance(cache, str) else cache.grid_map

    def events(self) -> list[Event]:
        """Return all events, oldest first; an unfinished last line is left out."""
        return list(read_events(self.paths.metrics)[0])

    def log_tail(self, num_lines: int = 200) -> list[str]:
        """Return the last lines of the trainer's log."""
        path = self.paths.log
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
        return text.splitlines()[-num_lines:]

    def signature(self) -> dict[str, tuple[int, int]]:
        """Return (modified in ns, bytes) of every file that pages show; changes when they do."""
        paths = self.paths
        files = [
            *(paths.config, paths.status, paths.command, paths.notes, paths.metrics, paths.scores),
            *(paths.oof, paths.importance, paths.folds, paths.log),
            *(paths.model_state(model) for model in ("lgbm", "torch")),
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

    A run is a folder that holds a configuration or a status; the order goes by the status file.
    """
    if not state_dir.is_dir():
        return []
    readers = [RunReader(folder) for folder in state_dir.iterdir() if _is_run(folder)]
    return sorted(readers, key=_last_activity, reverse=True)


def read_events(path: Path, offset: int = 0) -> tuple[tuple[Event, ...], int]:
    """Return the events after a byte offset, and the offset to go on from.

    Args:
        path: ``metrics.jsonl``.
        offset: Where an earlier call ended; 0 for all.
    """
    if not path.exists():
        return (), 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return tuple(_parse_events(data[:end])), offset + end


def curves(events: list[Event]) -> pl.DataFrame:
    """Return the points of all curves: of two with one model, fold and step the newest attempt's.

    Returns:
        Columns model, fold, step, attempt, time, then one Float64 column per number.
    """
    import polars as pl

    points = {
        (event.model, event.fold, event.values.get("step")): event
        for event in sorted(
            (event for event in events if event.event in CURVE_EVENTS),
            key=lambda event: event.attempt,
        )
    }
    rows = [
        {
            "model": event.model,
            "fold": event.fold,
            "attempt": event.attempt,
            "time": event.time,
            **{key: float(value) for key, value in event.values.items()},
        }
        for event in points.values()
    ]
    if not rows:
        return pl.DataFrame(schema={"model": pl.String, "fold": pl.Int64, "step": pl.Float64})
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.sort("model", "fold", "step")


def merge_curves(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the points of two stretches of one history, as ``curves`` of both would.

    Args:
        old: Of the events before.
        new: Of those that came after.
    """
    import polars as pl

    if old.is_empty() or new.is_empty():
        return new if old.is_empty() else old
    key = ["model", "fold", "step"]
    return (
        pl.concat([old, new], how="diagonal_relaxed")
        .sort("attempt", maintain_order=True)
        .unique(key, keep="last", maintain_order=True)
        .sort(key)
    )


def _parse_events(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            raw: dict[str, Any] = json.loads(line)
            yield Event(
                event=str(raw["event"]),
                time=float(raw["time"]),
                attempt=int(raw["attempt"]),
                model=raw.get("model"),
                fold=raw.get("fold"),
                values={
                    key: float(value)
                    for key, value in raw.get("values", {}).items()
                    if value is not None
                },
                text=str(raw.get("text", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a damaged line: a point of a curve less, never a wrong one


def _optional(path: Path, kind: type[R]) -> R | None:
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        return None


def _parquet(path: Path) -> pl.DataFrame | None:
    import polars as pl

    if not path.exists():
        return None
    try:
        return pl.read_parquet(path.read_bytes())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(f"{path}: not a readable Parquet file ({error})") from error


def _is_run(folder: Path) -> bool:
    """Tell whether a folder is a run that can be looked into and has a name that can be shown."""
    is_hidden = folder.name.startswith(".")  # a run that is arriving or being deleted
    try:
        paths = RunPaths(folder)
        is_run = folder.is_dir() and (paths.has_config or paths.status.exists())
    except OSError:  # somebody else's
        return False
    return is_run and not is_hidden and folder.name.isprintable()


def _last_activity(reader: RunReader) -> float:
    for path in (reader.paths.status, reader.paths.config):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0
