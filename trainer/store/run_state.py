"""Verdict: what a run is doing, derived from evidence and never from one file's word.

In: a run folder and the time. Out: one of seven states, each with what it rests on.
Order of evidence: the lock, then the process by (host, boot, pid, start time), then the heartbeat
against its own promise, then the time of the last progress.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from trainer.store.durable import StoreError
from trainer.store.identity import Liveness, ProcessIdentity, liveness
from trainer.store.lock import is_held
from trainer.store.reader import RunReader
from trainer.store.records import Command, Status, WorkerStatus

StateName = Literal["running", "pausing", "paused", "interrupted", "stalled", "failed", "finished"]

HEARTBEAT_GRACE_S = 4.0  # beyond the promise, before a silent trainer is called stalled
STALL_AFTER_S = 180.0  # alive and beating, but no round, batch or block for so long
SCARCE_MEMORY_MB = 256  # less than a fold's tables: the next allocation may be the last
SCARCE_DISK_MB = 64


@dataclass(frozen=True)
class Evidence:
    """One observation, in words for people."""

    what: str
    seen: str


@dataclass(frozen=True)
class DerivedState:
    """What a run is doing.

    Attributes:
        state: One of the seven.
        reason: One sentence for people.
        evidence: What it rests on.
        status: What the trainer said, where that can be read.
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
        """Return whether Resume would go on with it."""
        return self.state in ("paused", "interrupted", "failed")


def derive_state(reader: RunReader, now: float | None = None) -> DerivedState:
    """Return the verdict on a run.

    Args:
        reader: The run.
        now: Seconds since 1970; None is the present.
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
            f"The trainer stopped without a word while it was at {describe(status)}; everything "
            f"up to the last checkpoint is kept. Resume goes on from there.{_likely_cause(status)}"
        )
    silence_s = now - status.next_heartbeat_at
    if silence_s > HEARTBEAT_GRACE_S:
        return "stalled", f"The process is there, but its heartbeat is {silence_s:.0f} s overdue."
    idle_s = now - status.progress_at
    if idle_s > STALL_AFTER_S:
        return "stalled", f"The process is alive, but nothing has moved for {idle_s:.0f} s."
    if status.state == "pausing" or _is_pause_open(status, command):
        return "pausing", "Asked to pause; it saves at the next safe point."
    return "running", f"Working on {describe(status)}."


def _likely_cause(status: Status) -> str:
    """Say what the last heartbeat knows of why the process is gone."""
    if status.free_memory_mb is not None and status.free_memory_mb < SCARCE_MEMORY_MB:
        return (
            f" Memory was nearly full at its last heartbeat ({status.free_memory_mb:,} MB free, "
            f"{status.used_memory_mb:,} MB its own): the system probably ended it."
        )
    if status.free_disk_mb is not None and status.free_disk_mb < SCARCE_DISK_MB:
        return f" The disk was nearly full at its last heartbeat ({status.free_disk_mb:,} MB free)."
    return ""


def describe(status: Status) -> str:
    """Say where the trainer is: stage, or model, fold and step."""
    if status.model is None or status.fold is None:
        return f"stage {status.stage}"
    return " and ".join(_place(at) for at in status.workers or (status,))


def _place(at: Status | WorkerStatus) -> str:
    unit = "round" if at.model == "lgbm" else "step"
    return f"{at.model} fold {at.fold}, {unit} {at.step} of {at.total_steps}"


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
    beat_s, progress_s = now - status.heartbeat_at, now - status.progress_at
    lines = [
        _lock_evidence(held, status.lock_kind),
        Evidence("Process", f"pid {status.pid} on {status.host}: {process}"),
        Evidence("Heartbeat", f"{beat_s:.1f} s ago"),
        Evidence("Last progress", f"{progress_s:.1f} s ago"),
        Evidence("Status file", f"says {status.state}, attempt {status.attempt}"),
    ]
    if status.used_memory_mb is not None and status.free_memory_mb is not None:
        used, free = f"{status.used_memory_mb:,} MB", f"{status.free_memory_mb:,} MB"
        lines.append(Evidence("Memory", f"{used} used, {free} free, at the last heartbeat"))
    lines += [
        Evidence(
            "Worker", f"pid {at.pid} on {at.host}: {_place(at)}, {now - at.progress_at:.1f} s ago"
        )
        for at in status.workers
    ]
    if command is not None:
        answer = "acknowledged" if command.id == status.acknowledged_command else "not answered yet"
        lines.append(Evidence("Command", f"{command.command} by {command.asked_by}: {answer}"))
    return tuple(lines)


def _lock_evidence(held: bool | None, kind: str = "system") -> Evidence:
    seen = {True: "held", False: "free", None: "cannot be seen here (read-only folder)"}[held]
    if kind != "system":
        seen += f" (an {kind} and its renewals; this folder has no locks of the system)"
    return Evidence("Lock", seen)
