"""Run state: what a run is doing, derived from several observations, never from one file alone.

In: a run folder and the time. Out: one of seven states with its evidence. Order of evidence: the
lock; the process by host, boot, pid and start time; the time at which the next heartbeat is due;
the time of the last progress.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from trainer.store.durable import StoreError
from trainer.store.locks import is_held
from trainer.store.process import Liveness, ProcessIdentity, liveness
from trainer.store.reader import RunReader
from trainer.store.records import Command, Status, WorkerStatus

StateName = Literal["running", "pausing", "paused", "interrupted", "stalled", "failed", "finished"]

HEARTBEAT_GRACE_S = 4.0  # after a heartbeat is due, before the trainer counts as stalled
STALL_AFTER_S = 180.0  # with heartbeats, but without a round, batch or block for so long
SCARCE_MEMORY_MB = 256  # less than a fold's tables: the next allocation may be the last
SCARCE_DISK_MB = 64


@dataclass(frozen=True)
class Evidence:
    """One observation in words."""

    what: str
    seen: str


@dataclass(frozen=True)
class DerivedState:
    """What a run is doing.

    Attributes:
        state: One of seven.
        reason: One sentence that explains it.
        evidence: The observations from which it is derived.
        status: The trainer's last status; None if it cannot be read.
    """

    state: StateName
    reason: str
    evidence: tuple[Evidence, ...]
    status: Status | None

    @property
    def is_active(self) -> bool:
        """Return whether a trainer holds the run."""
        return self.state in ("running", "pausing", "stalled")

    @property
    def can_resume(self) -> bool:
        """Return whether the run can be resumed."""
        return self.state in ("paused", "interrupted", "failed")


def derive_state(reader: RunReader, now: float | None = None) -> DerivedState:
    """Return the state of a run.

    Args:
        reader: The run.
        now: Seconds since 1970; None is the current time.
    """
    moment = time.time() if now is None else now
    held = is_held(reader.paths.lock)
    try:
        status, command = reader.status(), reader.command()
    except StoreError as error:
        state: StateName = "running" if held else "interrupted"
        return DerivedState(state, f"A file is damaged: {error}", (_lock_evidence(held),), None)
    if status is None:
        state = "running" if held else "interrupted"
        reason = "Starting." if held else "No trainer has written a status here."
        return DerivedState(state, reason, (_lock_evidence(held),), None)
    process = liveness(
        ProcessIdentity(status.host, status.boot_id, status.pid, status.process_started)
    )
    evidence = _evidence(status, command, held, process, moment)
    state, reason = _decide(status, command, held, process, moment)
    return DerivedState(state, reason, evidence, status)


def _decide(
    status: Status, command: Command | None, held: bool | None, process: Liveness, now: float
) -> tuple[StateName, str]:
    if status.state in ("paused", "failed", "finished"):
        return status.state, status.error or status.message or f"The trainer {status.state}."
    is_alive = held if held is not None else process == "alive"
    if not is_alive:
        return "interrupted", (
            f"The trainer's process ended without a final status at {describe(status)}. Everything "
            f"up to the last checkpoint is kept; Resume continues there.{_likely_cause(status)}"
        )
    overdue_s = now - status.next_heartbeat_at
    if overdue_s > HEARTBEAT_GRACE_S:
        return "stalled", f"The process exists, but its heartbeat is {overdue_s:.0f} s overdue."
    idle_s = now - status.progress_at
    if idle_s > STALL_AFTER_S:
        return "stalled", f"The process is alive, but has made no progress for {idle_s:.0f} s."
    if status.state == "pausing" or _is_pause_open(status, command):
        return "pausing", "A pause was requested; the trainer saves at the next safe point."
    return "running", f"Working on {describe(status)}."


def _likely_cause(status: Status) -> str:
    """Return a sentence on a shortage that the last heartbeat shows, or ""."""
    if status.free_memory_mb is not None and status.free_memory_mb < SCARCE_MEMORY_MB:
        return (
            f" Memory was nearly full at its last heartbeat ({status.free_memory_mb:,} MB free, "
            f"{status.used_memory_mb:,} MB used by the trainer): the system probably killed it."
        )
    if status.free_disk_mb is not None and status.free_disk_mb < SCARCE_DISK_MB:
        return f" The disk was nearly full at its last heartbeat ({status.free_disk_mb:,} MB free)."
    return ""


def describe(status: Status) -> str:
    """Return where the trainer is: stage, or model, fold and step."""
    if status.model is None or status.fold is None:
        return f"stage {status.stage}"
    return " and ".join(_place(at) for at in status.workers or (status,))


def _place(at: Status | WorkerStatus) -> str:
    return f"{at.model} fold {at.fold}, {at.step_name} {at.step} of {at.total_steps}"


def _is_pause_open(status: Status, command: Command | None) -> bool:
    return (
        command is not None
        and command.command == "pause"
        and command.after == "now"
        and command.id != status.acknowledged_command
    )


def _evidence(
    status: Status,
    command: Command | None,
    held: bool | None,
    process: Liveness,
    now: float,
) -> tuple[Evidence, ...]:
    lines = [
        _lock_evidence(held, status.lock_kind),
        Evidence("Process", f"pid {status.pid} on {status.host}: {process}"),
        Evidence("Heartbeat", _age(status.heartbeat_at, now)),
        Evidence("Last progress", _age(status.progress_at, now)),
        Evidence("Status file", f"{status.state}, attempt {status.attempt}"),
    ]
    if status.used_memory_mb is not None and status.free_memory_mb is not None:
        used, free = f"{status.used_memory_mb:,} MB", f"{status.free_memory_mb:,} MB"
        lines.append(Evidence("Memory", f"{used} used, {free} free, at the last heartbeat"))
    lines += [
        Evidence("Worker", f"pid {at.pid} on {at.host}: {_place(at)}, {_age(at.progress_at, now)}")
        for at in status.workers
    ]
    if command is not None:
        is_acknowledged = command.id == status.acknowledged_command
        seen = "acknowledged" if is_acknowledged else "not acknowledged yet"
        lines.append(Evidence("Command", f"{command.command} by {command.asked_by}: {seen}"))
    return tuple(lines)


def _age(moment: float, now: float) -> str:
    """Return how long ago a moment of the trainer's clock was."""
    age_s = now - moment
    return f"{age_s:.1f} s ago" if age_s > -1.0 else "in the future: the clocks differ"


def _lock_evidence(held: bool | None, kind: str = "system") -> Evidence:
    seen = {True: "held", False: "free", None: "cannot be seen here (read-only folder)"}[held]
    if kind != "system":
        seen += f" (an {kind} that is renewed; this file system has no locks)"
    return Evidence("Lock", seen)
