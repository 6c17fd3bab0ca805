"""Shared run: what is handed over of a run, read once; every text of it may come from anywhere.

In: a run folder, which a trainer may be writing. Out: ``SharedRun``. Reading again later gives the
same points in the same order and perhaps more, so that a second call can add what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.config import flat_settings, setting_text
from trainer.models.libraries import import_problem
from trainer.run import LibraryError, RefusedError
from trainer.store.durable import StoreError, sha256
from trainer.store.event_log import CURVE_EVENTS, Event
from trainer.store.locks import LockedError, acquire
from trainer.store.names import RUN_NAME
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, RunFile, Scores
from trainer.store.run_state import DerivedState, derive_state

MAX_VALUE = 500  # characters of a setting
INSTALL = "pip install -r requirements-share.txt"

FoldKey = tuple[str, int]


@dataclass(frozen=True)
class SharedRun:
    """A run at one moment.

    Attributes:
        root: Its folder.
        name: Its name, of letters that are safe in file names and markup.
        identity: The same for every copy of the run under any name, and for no other run.
        run_file: The frozen configuration.
        derived: Its state.
        scores: None before the first fold is done.
        folds: The record of each fold that has begun.
        points: The points of each fold's curves, by step.
        fold_ends: When each finished fold ended.
    """

    root: Path
    name: str
    identity: str
    run_file: RunFile
    derived: DerivedState
    scores: Scores | None
    folds: tuple[FoldRecord, ...]
    points: dict[FoldKey, tuple[Event, ...]]
    fold_ends: dict[FoldKey, Event]

    @property
    def is_finished(self) -> bool:
        """Return whether nothing can come any more."""
        return self.derived.state == "finished"

    @property
    def num_scored(self) -> int:
        """Return the number of finished folds of all models in the scores."""
        known = {} if self.scores is None else self.scores.models
        parts = [known[model].all_sensors for model in self.run_file.models if model in known]
        return sum(fold is not None for part in parts for fold in part.folds)

    @property
    def settings(self) -> dict[str, str]:
        """Return the configuration by dotted name."""
        flat = flat_settings(self.run_file.settings())
        return {safe_key(name): setting_text(value)[:MAX_VALUE] for name, value in flat.items()}


def read_run(root: Path) -> SharedRun:
    """Read what is handed over of a run.

    Raises:
        RefusedError: It has no configuration yet.
        StoreError: A file of it is damaged.
    """
    reader = RunReader(root)
    run_file = reader.run_file()
    if run_file is None:
        raise RefusedError(f"run {root.name}: it has no configuration yet. Share it again later")
    made = f"{run_file.created_at!r} {run_file.recordings.fingerprint} {run_file.machine.host}"
    identity = sha256(made.encode())[:16]
    # what is written last is read first: a finished run has all folds, a finished fold all points
    derived = derive_state(reader)
    records = reader.fold_records()
    events = [
        event
        for event in reader.events()
        if event.model in run_file.models and event.fold is not None
    ]
    name = root.resolve().name
    return SharedRun(
        root=root,
        name=name if RUN_NAME.fullmatch(name) else f"run-{identity}",
        identity=identity,
        run_file=run_file,
        derived=derived,
        scores=reader.scores(),
        folds=tuple(record for record in records if record.step or record.done),
        points=_points(events),
        fold_ends={_key(event): event for event in events if event.event == "fold"},
    )


def safe_key(name: str) -> str:
    """Return the name of a setting or number with letters, digits, ``_``, ``-`` and single dots."""
    parts = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in name.split("."))
    return ".".join(filter(None, parts))[:200] or "_"


def demand(library: str, title: str) -> None:
    """Refuse where a library of another program cannot be imported.

    Raises:
        LibraryError: It contains the error and the command to install it.
    """
    if problem := import_problem([library]):
        raise LibraryError(f"{title} cannot be imported ({problem}). Install it: {INSTALL}")


@contextmanager
def only_one(run: SharedRun) -> Iterator[None]:
    """Refuse a second process that shares the same run meanwhile; each would add the same.

    A read-only folder has no such lock.

    Raises:
        RefusedError: There is one.
    """
    try:
        lock = acquire(run.root / "share.lock", creates_folder=False)
    except LockedError as error:
        raise RefusedError(f"run {run.name}: it is being shared already. Try again") from error
    except StoreError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _key(event: Event) -> FoldKey:
    assert event.model is not None, "an event of a fold"
    assert event.fold is not None, "an event of a fold"
    return event.model, event.fold


def _points(events: list[Event]) -> dict[FoldKey, tuple[Event, ...]]:
    """Return the points by fold and step; of equal ones the first, of others the newest."""
    found: dict[FoldKey, dict[float, Event]] = {}
    for event in events:
        if event.event not in CURVE_EVENTS:
            continue
        points, step = found.setdefault(_key(event), {}), event.values["step"]
        if step not in points or points[step].values != event.values:
            points[step] = event
    return {key: tuple(points[step] for step in sorted(points)) for key, points in found.items()}
