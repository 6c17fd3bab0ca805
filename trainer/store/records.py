"""Records: every JSON file of a run folder, checked when it is written and when it is read.

In: JSON bytes. Out: frozen models. Each carries ``schema``; a newer one is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from trainer.config import SCHEMA, Config
from trainer.store.durable import StoreError, dump_json
from trainer.store.file_kinds import read_file

RunState = Literal["running", "pausing", "paused", "failed", "finished"]


def _check_schema(value: object) -> object:
    if isinstance(value, int) and value > SCHEMA:
        raise ValueError(
            f"schema {value} is newer than this version's {SCHEMA}: update the project to read it"
        )
    return value


class Record(BaseModel):
    """Base of all JSON files: frozen, and refused if its schema is newer than this version's."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Annotated[int, BeforeValidator(_check_schema)] = Field(SCHEMA, alias="schema")


class Labels(BaseModel):
    """The gestures, targets first."""

    model_config = ConfigDict(frozen=True)

    gestures: tuple[str, ...]
    num_targets: int


class DataSummary(BaseModel):
    """The recordings that a run is trained on.

    ``is_simulated`` is read from the recordings themselves. Files of earlier versions lack it and
    read as False; ``RunFile.is_simulated`` also looks at the source's name.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    num_sequences: int
    num_rows: int
    num_subjects: int
    groups: tuple[str, ...]
    is_simulated: bool = False
    turned_subjects: tuple[str, ...] = ()


class Machine(BaseModel):
    """The machine that created a run; another processor may give other last bits."""

    model_config = ConfigDict(frozen=True)

    host: str
    platform: str
    processor: str
    num_cpus: int


class RunFile(Config):
    """``config.json``: the frozen configuration, the recordings, versions and machine.

    ``code`` holds the versions of the project's code that changes results; a run of another version
    is refused. ``canary`` holds the hash of a tiny fit per model; where another machine gives
    another hash, the run is not bit-exact.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, BeforeValidator(_check_schema)] = Field(SCHEMA, alias="schema")
    run: str
    created_at: float
    labels: Labels
    recordings: DataSummary
    versions: dict[str, str]
    code: dict[str, int]
    machine: Machine
    canary: dict[str, str]

    @property
    def is_simulated(self) -> bool:
        """Return whether the recordings are simulated, by their source's name or their content."""
        return self.data.is_simulated or self.recordings.is_simulated

    def settings(self) -> Config:
        """Return the configuration without what was frozen with it."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})


class WorkerStatus(Record):
    """``units/at_work/*.beat``: the progress of a worker on its fold, replaced at every beat.

    Inside ``status.json`` both times are those at which the coordinator saw a change. A time limit
    must leave time for ``longest_step_s`` and ``longest_save_s``.
    """

    model: str
    fold: int
    attempt: int
    host: str
    pid: int
    step: int = 0
    total_steps: int = 0
    step_name: str = "step"
    heartbeat_at: float
    progress_at: float
    pause_costs_s: float = 0.0
    kill_costs_s: float = 0.0
    longest_step_s: float = 0.0
    longest_save_s: float = 0.0
    used_memory_mb: int | None = None


class Status(Record):
    """``status.json``: the state and progress of the trainer, replaced at every beat.

    Times are seconds since 1970; the trainer measures intervals on the monotonic clock.
    ``process_started`` comes from the operating system, so that a recycled pid is recognised.
    ``pause_costs_s`` and ``kill_costs_s`` are the seconds of work to redo after a pause or a kill
    now. If several folds are fitted side by side, ``workers`` holds the progress of each worker,
    and model, fold and step are those of the worker that moved last.
    """

    run: str
    state: RunState
    stage: str = "starting"  # then data, features, folds, the name of a model, done
    message: str = ""
    model: str | None = None
    fold: int | None = None
    step: int = 0
    total_steps: int = 0
    step_name: str = "step"
    done_units: int = 0
    total_units: int = 0
    eta_s: float | None = None
    host: str
    boot_id: str
    pid: int
    process_started: float
    attempt: int
    heartbeat_at: float
    next_heartbeat_at: float
    progress_at: float
    lock_kind: Literal["system", "owner file"] = "system"
    acknowledged_command: str | None = None
    acknowledged_at: float | None = None
    pauses_at: float | None = None
    pause_costs_s: float = 0.0
    kill_costs_s: float = 0.0
    used_memory_mb: int | None = None
    free_memory_mb: int | None = None
    free_disk_mb: int | None = None
    error: str | None = None
    workers: tuple[WorkerStatus, ...] = ()

    @property
    def units_begun(self) -> float:
        """Return the finished part of the folds that are being fitted, in folds."""
        if self.workers:
            return sum(at.step / at.total_steps for at in self.workers if at.total_steps)
        return self.step / self.total_steps if self.total_steps and self.model else 0.0


class Command(Record):
    """``command.json``: the last command of a user to the trainer."""

    id: str
    command: Literal["pause", "run"]
    after: Literal["now", "fold"] = "now"
    asked_by: str
    asked_at: float


class Notes(Record):
    """``notes.json``: title and note that a user gave the run."""

    title: str = ""
    note: str = ""


class FileRef(BaseModel):
    """A file's name, relative to the run folder, its checksum and its size."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    num_bytes: int


class ScoreRow(BaseModel):
    """The competition's score, its two parts, and accuracy; each in 0..1."""

    model_config = ConfigDict(frozen=True)

    score: float
    binary_f1: float
    macro_f1: float
    accuracy: float
    num_sequences: int


class FoldRecord(Record):
    """One fold of one model: its progress and its files; this record counts above all others."""

    model: str
    fold: int
    attempt: int = 0
    generation: int = 0
    done: bool = False
    step: int = 0
    total_steps: int = 0
    best_step: int | None = None
    score: ScoreRow | None = None
    seconds: float = 0.0
    resumed_at: tuple[int, ...] = ()
    final: FileRef | None = None
    last: FileRef | None = None
    last_previous: FileRef | None = None


class ModelState(Record):
    """``<model>_state.json``: all folds of one model."""

    model: str
    folds: tuple[FoldRecord, ...] = ()
    bundle: FileRef | None = None


class SensorScores(BaseModel):
    """Scores for one choice of sensors: per fold (None: not done), mean, spread, out of fold."""

    model_config = ConfigDict(frozen=True)

    folds: tuple[ScoreRow | None, ...]
    mean: float | None = None
    std: float | None = None
    oof: ScoreRow | None = None


class ModelScores(BaseModel):
    """All sensors; IMU only, if thermopiles or time of flight exist; and the mean of both."""

    model_config = ConfigDict(frozen=True)

    all_sensors: SensorScores
    imu_only: SensorScores | None = None
    half_and_half: float | None = None


class Scores(Record):
    """``scores.json``: a view, rebuilt from the fold files.

    Attributes:
        weights: Weights of the blend, by model.
        models: Scores at each fold's best round or epoch, which was chosen on the scored fold.
        fixed: Scores at the round or epoch that was fixed before training, so that nothing was
            chosen on the scored fold; only of models whose finished folds all have it.
        fixed_steps: That round or epoch, by model.
    """

    weights: dict[str, float]
    models: dict[str, ModelScores]
    fixed: dict[str, ModelScores] = {}
    fixed_steps: dict[str, int] = {}


R = TypeVar("R", bound=BaseModel)


def read_record(path: Path, kind: type[R]) -> R:
    """Read and check one JSON file.

    Raises:
        FileNotFoundError: The file does not exist.
        StoreError: It is damaged, unreadable or of a newer schema; the message names file and problem.
    """
    return parse_record(read_file(path), path, kind)


def parse_record(data: bytes, path: Path, kind: type[R]) -> R:
    """Check the bytes of one JSON file; the path only appears in the message.

    Raises:
        StoreError: They are damaged or have a newer schema.
    """
    try:
        return kind.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        detail = _first_error(error) if isinstance(error, ValidationError) else str(error)
        raise StoreError(f"{path}: expected a {kind.__name__} record; {detail}") from error


def dump_record(record: BaseModel) -> bytes:
    """Return the record as JSON bytes."""
    return dump_json(record.model_dump(mode="json", by_alias=True))


def _first_error(error: ValidationError) -> str:
    """Return the first error of a validation as one line: field, problem, value."""
    detail: Any = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{where}: {detail['msg']}"  # the value is the whole record
    return f"{where}: {detail['msg']}, got {str(detail.get('input'))[:80]!r}"
