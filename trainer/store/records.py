"""Records: every JSON file of a run folder, checked when it is written and when it is read.

In: JSON bytes. Out: frozen models. Each carries ``schema``; a newer one is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from trainer.config import SCHEMA, Config, is_own_name
from trainer.own_description import OwnDescription, note
from trainer.store.durable import StoreError, dump_json
from trainer.store.file_kinds import read_file
from trainer.store.record_types import (
    Attempt,
    Count,
    FileName,
    Fold,
    Name,
    Number,
    Pid,
    Score,
    Seconds,
    Temperature,
    Text,
    Time,
)

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

    gestures: tuple[Name, ...]
    num_targets: Count


class DataSummary(BaseModel):
    """The recordings that a run is trained on.

    ``is_simulated`` is read from the recordings themselves. Files of earlier versions lack it and
    read as False; ``RunFile.is_simulated`` also looks at the source's name.
    ``orientation_detector`` holds the numbers of ``trainer.data.orientation_detector``, where one
    was fitted.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: Name
    num_sequences: Count
    num_rows: Count
    num_subjects: Count
    groups: tuple[Name, ...]
    is_simulated: bool = False
    turned_subjects: tuple[Name, ...] = ()
    orientation_detector: dict[Name, tuple[Number, ...]] = Field(default_factory=dict)


class Machine(BaseModel):
    """The machine that created a run; another processor may give other last bits."""

    model_config = ConfigDict(frozen=True)

    host: Name
    platform: Name
    processor: Name
    num_cpus: Count


class RunFile(Config):
    """``config.json``: the frozen configuration, the recordings, versions and machine.

    ``code`` holds the versions of the project's code that changes results; a run of another version
    is refused. ``canary`` holds the hash of a tiny fit per model; where another machine gives
    another hash, the run is not bit-exact. ``left_out`` holds the requested
    models that are not in ``models`` because a library could not be imported, and why, in words.
    ``own_code`` has the names and words of the files in ``use``.
    ``project_version`` is for people; what decides whether a run can be resumed is ``code``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, BeforeValidator(_check_schema)] = Field(SCHEMA, alias="schema")
    run: Name
    created_at: Time
    labels: Labels
    recordings: DataSummary
    versions: dict[Name, Name]
    code: dict[Name, Count]
    machine: Machine
    canary: dict[Name, Name]
    left_out: dict[Name, Text] = Field(default_factory=dict)
    own_code: OwnDescription = OwnDescription()
    project_version: Name = "0.1"  # of runs that do not contain it

    @model_validator(mode="after")
    def _note_own_code(self) -> RunFile:
        """Remember the names of own code for the pages, which do not execute it."""
        used = (*self.models, *self.blend.weights)
        unknown = [name for name in used if is_own_name(name) and self.use]
        unknown = [name for name in unknown if name not in self.own_code.models]
        if unknown or (not self.use and self.own_code != OwnDescription()):
            raise ValueError(f"own_code: expected the models of own code; {unknown or 'no use'}")
        note(self.own_code)
        return self

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what only runs with own code have."""
        values: dict[str, Any] = serialize(self)
        if not self.use:
            values.pop("own_code", None)
        return values

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

    model: Name
    fold: Fold
    attempt: Attempt
    host: Name
    pid: Pid
    step: Count = 0
    total_steps: Count = 0
    step_name: Name = "step"
    heartbeat_at: Time
    progress_at: Time
    pause_costs_s: Seconds = 0.0
    kill_costs_s: Seconds = 0.0
    longest_step_s: Seconds = 0.0
    longest_save_s: Seconds = 0.0
    used_memory_mb: Count | None = None


class Status(Record):
    """``status.json``: the state and progress of the trainer, replaced at every beat.

    Times are seconds since 1970; the trainer measures intervals on the monotonic clock.
    ``process_started`` comes from the operating system, so that a recycled pid is recognised.
    ``pause_costs_s`` and ``kill_costs_s`` are the seconds of work to redo after a pause or a kill
    now. If several folds are fitted side by side, ``workers`` holds the progress of each worker,
    and model, fold and step are those of the worker that moved last.
    """

    run: Name
    state: RunState
    stage: Name = "starting"  # then data, features, folds, the name of a model, done
    message: Text = ""
    model: Name | None = None
    fold: Fold | None = None
    step: Count = 0
    total_steps: Count = 0
    step_name: Name = "step"
    done_units: Count = 0
    total_units: Count = 0
    eta_s: Seconds | None = None
    host: Name
    boot_id: Name
    pid: Pid
    process_started: Time
    attempt: Attempt
    heartbeat_at: Time
    next_heartbeat_at: Time
    progress_at: Time
    lock_kind: Literal["system", "owner file"] = "system"
    acknowledged_command: Name | None = None
    acknowledged_at: Time | None = None
    pauses_at: Time | None = None
    pause_costs_s: Seconds = 0.0
    kill_costs_s: Seconds = 0.0
    used_memory_mb: Count | None = None
    free_memory_mb: Count | None = None
    free_disk_mb: Count | None = None
    error: Text | None = None
    workers: tuple[WorkerStatus, ...] = ()

    @property
    def units_begun(self) -> float:
        """Return the finished part of the folds that are being fitted, in folds."""
        if self.workers:
            return sum(at.step / at.total_steps for at in self.workers if at.total_steps)
        return self.step / self.total_steps if self.total_steps and self.model else 0.0


class Command(Record):
    """``command.json``: the last command of a user to the trainer."""

    id: Name
    command: Literal["pause", "run"]
    after: Literal["now", "fold"] = "now"
    asked_by: Name
    asked_at: Time


class Notes(Record):
    """``notes.json``: title and note that a user gave the run."""

    title: Text = ""
    note: Text = ""


class FileRef(BaseModel):
    """A file's name, relative to the run folder, its checksum and its size."""

    model_config = ConfigDict(frozen=True)

    name: FileName
    sha256: Name
    num_bytes: Count


class ScoreRow(BaseModel):
    """The competition's score, its two parts, and accuracy; each in 0..1."""

    model_config = ConfigDict(frozen=True)

    score: Score
    binary_f1: Score
    macro_f1: Score
    accuracy: Score
    num_sequences: Count


class FoldRecord(Record):
    """One fold of one model: its progress and its files; this record counts above all others."""

    model: Name
    fold: Fold
    attempt: Attempt = 0
    generation: Count = 0
    done: bool = False
    step: Count = 0
    total_steps: Count = 0
    best_step: Count | None = None
    score: ScoreRow | None = None
    seconds: Seconds = 0.0
    resumed_at: tuple[Count, ...] = ()
    final: FileRef | None = None
    last: FileRef | None = None
    last_previous: FileRef | None = None


class ModelState(Record):
    """``<model>_state.json``: all folds of one model."""

    model: Name
    folds: tuple[FoldRecord, ...] = ()
    bundle: FileRef | None = None


class SensorScores(BaseModel):
    """Scores for one choice of sensors: per fold (None: not done), mean, spread, out of fold."""

    model_config = ConfigDict(frozen=True)

    folds: tuple[ScoreRow | None, ...]
    mean: Score | None = None
    std: Score | None = None
    oof: ScoreRow | None = None


class ModelScores(BaseModel):
    """All sensors; IMU only, if thermopiles or time of flight exist; and the mean of both."""

    model_config = ConfigDict(frozen=True)

    all_sensors: SensorScores
    imu_only: SensorScores | None = None
    half_and_half: Score | None = None


class Scores(Record):
    """``scores.json``: a view, rebuilt from the fold files.

    Attributes:
        weights: Weights of the blend, by model.
        models: Scores of the models that predict, and of their blend.
        best: Scores at each fold's best round or epoch, chosen on the rows that are scored, so they
            are optimistic; of models whose finished folds all have it.
        optimistic: Those of ``models`` that were chosen on the rows that are scored; None in a file
            of an earlier version, where all were.
        shared_subjects: Whether subjects are in several folds, so that all scores are optimistic;
            written only where they are.
        fold_temperatures: Of the blend's out-of-fold rows of each fold, fitted on the other folds;
            none where the blend is not calibrated.
    """

    weights: dict[Name, Number]
    models: dict[Name, ModelScores]
    best: dict[Name, ModelScores] = {}
    optimistic: tuple[Name, ...] | None = None
    shared_subjects: bool = False
    fold_temperatures: tuple[Temperature, ...] = ()

    def is_optimistic(self, model: str) -> bool:
        """Return whether a score was chosen on the scored rows, or scores people it has seen."""
        return self.shared_subjects or self.is_chosen(model)

    @property
    def has_optimistic(self) -> bool:
        """Return whether the score of any model is optimistic."""
        return any(map(self.is_optimistic, self.models))

    @property
    def has_chosen(self) -> bool:
        """Return whether the score of any model was chosen on the scored rows."""
        return any(map(self.is_chosen, self.models))

    def is_chosen(self, model: str) -> bool:
        """Return whether a model's or the blend's score was chosen on the scored rows."""
        return self.optimistic is None or model in self.optimistic

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        if not self.shared_subjects:
            del values["shared_subjects"]
        if not self.fold_temperatures:
            del values["fold_temperatures"]
        return values


MAX_VALUES = 100_000  # of a record; the checksums of 10,000 files have 30,000
R = TypeVar("R", bound=BaseModel)


def read_record(path: Path, kind: type[R]) -> R:
    """Read and check one JSON file.

    Raises:
        FileNotFoundError: The file does not exist.
        StoreError: It is damaged, unreadable or has a newer schema; the message names the file.
    """
    return parse_record(read_file(path), path, kind)


def parse_record(data: bytes, path: Path, kind: type[R]) -> R:
    """Check the bytes of one JSON file; the path only appears in the message.

    Raises:
        StoreError: They are damaged or have a newer schema.
    """
    num_values = data.count(b",") + 1
    if num_values > MAX_VALUES:  # each may be an error to report, of a hundred times its bytes
        raise StoreError(
            f"{path}: expected a {kind.__name__} record of at most {MAX_VALUES:,} values, got "
            f"{num_values:,}"
        )
    try:
        return kind.model_validate_json(data)
    except (ValidationError, MemoryError) as error:
        detail = _first_error(error) if isinstance(error, ValidationError) else "out of memory"
        raise StoreError(f"{path}: expected a {kind.__name__} record; {detail}") from error


def dump_record(record: BaseModel) -> bytes:
    """Return the record as JSON bytes."""
    return dump_json(record.model_dump(mode="json", by_alias=True))


def _first_error(error: ValidationError) -> str:
    """Return the first error of a validation as one line: field, problem, value."""
    detail: Any = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    problem = f"{where}: {detail['msg']}" if where else str(detail["msg"])
    if detail["type"] in ("missing", "json_invalid"):
        return problem  # the value is the whole record
    return f"{problem}, got {str(detail.get('input'))[:80]!r}"
