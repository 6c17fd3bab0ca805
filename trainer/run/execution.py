"""The order of work: data, features, folds, models, blend; each from where it was left.

In: a run folder and a configuration. Out: the run folder, further on. Everything that is written
goes through ``trainer.store``; everything that is computed comes from the rooms before this one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from trainer.config import Config
from trainer.data.schema import DataError
from trainer.features.feature_table import FeatureError
from trainer.folds import FoldError
from trainer.models.monitor import Paused
from trainer.run.pipeline import Limits, Session
from trainer.run.refusal import RefusedError
from trainer.run.stop_signal import StopSwitch, TimeLimit
from trainer.run.workers.engine import EngineError
from trainer.run.workers.pool import Crew
from trainer.store.durable import StoreError
from trainer.store.locks import Lease, LeaseLostError, LockedError, acquire
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder, next_attempt
from trainer.store.records import Command, Status

Outcome = Literal["finished", "paused"]

NO_LOCKS_HERE = (
    "this folder has no locks of the system: an owner file and its renewals stand for them. Do not "
    "work on the run from two machines at once"
)

TOLD = (
    DataError,
    FeatureError,
    FoldError,
    StoreError,
    RefusedError,
    EngineError,
)  # their message is the whole story


def execute(
    root: Path,
    config: Config,
    limits: Limits,
    echo: Callable[[str], None],
    on_beat: Callable[[Status], None] = lambda _: None,
    origin: str = "",
    crew: Crew = Crew(),  # noqa: B008 - frozen
) -> Outcome:
    """Bring a run to its end, or to where it is asked to pause.

    Args:
        root: The run folder; made where missing.
        config: The run's configuration; of an existing run, the frozen one.
        limits: When to pause by itself.
        echo: Shows log lines to whoever started the trainer.
        on_beat: Given the status at every heartbeat.
        origin: Where the run was copied from just now, in words, for the plan.
        crew: Who fits the folds; the default is one by one, in this process.

    Raises:
        RefusedError: Another trainer holds the run, or it was made from something else.
        Exception: Whatever ended the run; it is recorded as failed first.
    """
    paths = RunPaths(root)
    try:
        lock = acquire(paths.lock)
    except LockedError as error:
        raise RefusedError(_name_owner(root)) from error
    previous = _last_status(root)
    lease = lock if isinstance(lock, Lease) else None
    attempt = next_attempt(RunReader(root))

    def poll() -> dict[str, Any]:  # acknowledges within a beat, also while a long step runs
        switch.is_set()
        return {}

    recorder = Recorder(paths, attempt, echo, on_beat, lease is None, poll)
    switch = _make_switch(paths, limits, recorder, previous)
    try:
        with switch.listening():
            recorder.start()
            if lease is not None:
                switch.demand_held = lease.demand
                recorder.log(NO_LOCKS_HERE)
            Session(paths, config, limits, recorder, switch, previous, origin, crew).work()
            recorder.event("finish")
            recorder.close(
                state="finished",
                stage="done",
                message="Finished.",
                eta_s=0.0,
                model=None,
                workers=(),
            )
        return "finished"
    except Paused:
        last = recorder.status
        where = {"step": last.step, "redone_s": round(last.pause_costs_s, 3)}
        recorder.event("pause", last.model, last.fold, where, text=switch.reason or "")
        recorder.log(f"paused: {switch.reason}; resume goes on from here")
        recorder.close(state="paused", message=f"Paused: {switch.reason}.", eta_s=None, workers=())
        return "paused"
    except LeaseLostError:
        recorder.stop()
        raise
    except RefusedError as error:
        recorder.event("problem", text=f"refused: {error}")
        recorder.log(str(error))
        recorder.restore(previous, str(error))
        raise
    except BaseException as error:
        _record_failure(recorder, error)
        raise
    finally:
        lock.release()


def _make_switch(
    paths: RunPaths, limits: Limits, recorder: Recorder, previous: Status | None
) -> StopSwitch:
    """Return the switch that listens to commands, signals and the clock."""

    def acknowledge(command_id: str | None) -> None:
        recorder.update(
            state="running" if switch.reason is None else "pausing",
            acknowledged_command=command_id or recorder.status.acknowledged_command,
            acknowledged_at=time.time(),
        )

    try:
        earlier = RunReader(paths.root).command()
    except StoreError:
        earlier = None  # damaged: nobody can be meant by it
    answered = _answered_before(earlier, recorder.status.process_started, previous)
    recorder.update(acknowledged_command=answered)
    switch = StopSwitch(
        paths.command,
        ignore_command=answered,
        limit=None if limits.time_limit_s is None else TimeLimit.begin(limits.time_limit_s),
        on_request=acknowledge,
    )
    return switch


def _answered_before(
    command: Command | None, process_started: float, previous: Status | None
) -> str | None:
    """Return the id of a command that was meant for an earlier attempt, not for this one."""
    if command is None:
        return None
    was_acknowledged = previous is not None and previous.acknowledged_command == command.id
    return command.id if was_acknowledged or command.asked_at < process_started else None


def _record_failure(recorder: Recorder, error: BaseException) -> None:
    """Write why the run ended, where that can still be written."""
    text = f"{type(error).__name__}: {error}"
    is_told = isinstance(error, TOLD)
    words = text if is_told else "".join(traceback.format_exception(error)).rstrip()
    ways: tuple[Callable[[], None], ...] = (
        lambda: recorder.log(words),
        lambda: recorder.event("fail", text=text),
        lambda: recorder.close(
            state="failed", error=text, message="Failed.", eta_s=None, workers=()
        ),
    )
    for write in ways:
        try:
            write()
        except (StoreError, OSError) as second:
            error.add_note(f"and this could not be recorded: {second}")


def _name_owner(root: Path) -> str:
    """Say who holds the run."""
    status = _last_status(root)
    if status is None:
        return f"run {root.name}: another trainer has just begun with it. Wait, or pause it first"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.process_started))
    return (
        f"run {root.name}: held by the trainer with pid {status.pid} on {status.host} since "
        f"{since}. Pause it first: python -m trainer pause {root.name}"
    )


def _last_status(root: Path) -> Status | None:
    try:
        return RunReader(root).status()
    except StoreError:
        return None  # damaged: the history knows the attempts too
