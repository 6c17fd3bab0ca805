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

RunState = Literal["running", "pausing", "paused", "failed", "finished"]
Stage = Literal["starting", "data", "features", "folds", "lgbm", "torch", "blend", "done"]


def _check_schema(value: object) -> object:
    if isinstance(value, int) and value > SCHEMA:
        raise ValueError(
            f"schema {value} is newer than this version's {SCHEMA}: update the project to read it"
        )
    return value


class Record(BaseModel):
    """What all JSON files share."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Annotated[int, BeforeValidator(_check_schema)] = Field(SCHEMA, alias="schema")


class Labels(BaseModel):
    """The label table: targets first."""

    model_config = ConfigDict(frozen=True)

    gestures: tuple[str, ...]
    num_targets: int


class DataSummary(BaseModel):
    """What the run was made from, by content.

    ``is_simulated`` is what the recordings themselves say; files written before it was kept say
    False, so ask ``RunFile.is_simulated``.
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
    """Where a run was made; another processor may give other last bits."""

    model_config = ConfigDict(frozen=True)

    host: str
    platform: str
    processor: str
    num_cpus: int


class RunFile(Config):
    """``config.json``: the frozen configuration and what it was frozen with.

    ``code`` holds the versions of our own code that moves numbers; another one is refused.
    ``canary`` is a hash per model of a tiny fit on this machine; another one is not bit-exact.
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
        """Return whether the recordings are simulated, by the source's name or their content."""
        return self.data.is_simulated or self.recordings.is_simulated

    def settings(self) -> Config:
        """Return the configuration alone."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})


class WorkerStatus(Record):
    """``units/at_work/*.beat``: what a worker says of the fold it fits, replaced at every beat.

    Inside ``status.json`` both times are the coordinator's, of when it saw them change.
    ``longest_step_s`` and ``longest_save_s`` are what a time limit must leave room for.
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
    """``status.json``: what the trainer says of itself, replaced at every beat.

    Times are seconds since 1970; intervals on the trainer's side are measured on the monotonic
    clock. ``process_started`` is the operating system's, so that a recycled pid is told apart.
    ``pause_costs_s`` and ``kill_costs_s`` are the seconds of work that a pause or a kill right now
    would have to redo. Where several folds are fitted side by side, ``workers`` says which worker
    does what, and model, fold and step are of the one that moved last.
    """

    run: str
    state: RunState
    stage: Stage = "starting"
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
        """Return how much of the folds that are in work is done, in folds."""
        if self.workers:
            return sum(at.step / at.total_steps for at in self.workers if at.total_steps)
        return self.step / self.total_steps if self.total_steps and self.model else 0.0


class Command(Record):
    """``command.json``: what people ask of the trainer."""

    id: str
    command: Literal["pause", "run"]
    after: Literal["now", "fold"] = "now"
    asked_by: str
    asked_at: float


class Notes(Record):
    """``notes.json``: what people call the run."""

    title: str = ""
    note: str = ""


class FileRef(BaseModel):
    """A file by name, relative to the run folder, and by content."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    num_bytes: int


class ScoreRow(BaseModel):
    """The competition's score, its halves, and plain accuracy; each in 0..1."""

    model_config = ConfigDict(frozen=True)

    score: float
    binary_f1: float
    macro_f1: float
    accuracy: float
    num_sequences: int


class FoldRecord(Record):
    """One fold of one model: the truth about how far it is and which files hold it."""

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


class Interruption(BaseModel):
    """One end of an attempt that was not the end of the run."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    how: Literal["paused", "killed", "failed"]
    time: float
    model: str | None = None
    fold: int | None = None
    step: int | None = None
    redone_s: float = 0.0
    text: str = ""


class ResumeRecord(Record):
    """``resume_record.json``: how a finished run came to its end.

    Attributes:
        attempts: Starts of the trainer.
        interruptions: Ends of attempts that were not the end of the run.
        is_exact: Whether nothing speaks against the bits of a run never interrupted.
        redone_points: Segments and epochs that more than one attempt computed, so that their
            numbers could be held against each other.
        unequal_points: Those of them that came out otherwise, in words.
        remarks: What was damaged, missing or other on the way.
    """

    attempts: int
    interruptions: tuple[Interruption, ...]
    is_exact: bool
    redone_points: int = 0
    unequal_points: tuple[str, ...] = ()
    remarks: tuple[str, ...]


class ModelState(Record):
    """``lgbm_state.json``, ``torch_state.json``: all folds of one model."""

    model: str
    folds: tuple[FoldRecord, ...] = ()
    bundle: FileRef | None = None


class SensorScores(BaseModel):
    """Scores under one choice of sensors: per fold (None: not done), mean, spread, out of fold."""

    model_config = ConfigDict(frozen=True)

    folds: tuple[ScoreRow | None, ...]
    mean: float | None = None
    std: float | None = None
    oof: ScoreRow | None = None


class ModelScores(BaseModel):
    """All sensors; IMU only where thermopiles or time of flight exist; and their mean."""

    model_config = ConfigDict(frozen=True)

    all_sensors: SensorScores
    imu_only: SensorScores | None = None
    half_and_half: float | None = None


class Scores(Record):
    """``scores.json``: a view, rebuilt from the fold files.

    Attributes:
        weights: Of the blend, by model.
        models: At each fold's best round or epoch, which was chosen on the fold that is scored.
        fixed: At the round or epoch that was fixed before training, so nothing was chosen on the
            fold that is scored; only models all of whose done folds have it, and the blend of them.
        fixed_steps: Which round or epoch that is, by model.
    """

    weights: dict[str, float]
    models: dict[str, ModelScores]
    fixed: dict[str, ModelScores] = {}
    fixed_steps: dict[str, int] = {}


R = TypeVar("R", bound=BaseModel)


def read_record(path: Path, kind: type[R]) -> R:
    """Read and check one JSON file.

    Raises:
        FileNotFoundError: It is not there.
        StoreError: It is damaged or of a newer schema; the message names it and what is wrong.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from error
    return parse_record(data, path, kind)


def parse_record(data: bytes, path: Path, kind: type[R]) -> R:
    """Check the bytes of one JSON file; the path is for the message.

    Raises:
        StoreError: They are damaged or of a newer schema.
    """
    try:
        return kind.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        detail = first_error(error) if isinstance(error, ValidationError) else str(error)
        raise StoreError(f"{path}: expected a {kind.__name__} record; {detail}") from error


def dump_record(record: BaseModel) -> bytes:
    """Return the record as JSON bytes."""
    return dump_json(record.model_dump(mode="json", by_alias=True))


def first_error(error: ValidationError) -> str:
    """Return the first complaint of a validation as one line: field, problem, what came."""
    detail: Any = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{where}: {detail['msg']}"  # what came is the whole record
    return f"{where}: {detail['msg']}, got {str(detail.get('input'))[:80]!r}"
