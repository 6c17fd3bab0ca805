"""One start of the trainer: the lock, the recorder and the stop signal around the pipeline.

In: a run folder and a configuration. Out: the run folder, further on, and how this start ended.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from filelock import FileLock

from trainer.config import Config
from trainer.data.schema import DataError
from trainer.features.feature_table import FeatureError
from trainer.folds import FoldError
from trainer.models.libraries import ModelError
from trainer.models.monitor import Paused
from trainer.own_code.code_files import CodeFile
from trainer.own_code.loader import describe_error
from trainer.run import RefusedError
from trainer.run.inputs.folds_file import FoldsFile
from trainer.run.pipeline import Limits, Pipeline
from trainer.run.stop_signal import CommandFile, Interrupts, StopSignal, StopSource
from trainer.run.time_limit import TimeLimit
from trainer.run.workers.engine import EngineError
from trainer.run.workers.pool import WorkerPool
from trainer.store.durable import StoreError
from trainer.store.locks import Lease, LeaseLostError, LockedError, acquire
from trainer.store.names import RunPaths
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder, next_attempt
from trainer.store.records import Command, Status

Outcome = Literal["finished", "paused"]

NO_SYSTEM_LOCKS = (
    "this folder has no locks of the operating system: a renewed owner file replaces them. Do "
    "not work on the run from two machines at once"
)

KNOWN_ERRORS = (
    DataError,
    FeatureError,
    FoldError,
    StoreError,
    RefusedError,
    EngineError,
    ModelError,
)  # their message is enough; all others are recorded with their traceback


def execute(
    root: Path,
    config: Config,
    limits: Limits,
    echo: Callable[[str], None],
    on_beat: Callable[[Status], None] = lambda _: None,
    origin: str = "",
    pool: WorkerPool = WorkerPool(),  # noqa: B008 - frozen
    is_new: bool = True,
    folds_file: FoldsFile | None = None,
    interrupts: Interrupts | None = None,
    code: tuple[CodeFile, ...] = (),
) -> Outcome:
    """Run the pipeline to its end, or until a pause is requested.

    Args:
        root: The run folder; made where missing.
        config: The run's configuration; of an existing run, the frozen one.
        limits: When to pause by itself.
        echo: Shows a log line on the terminal.
        on_beat: Receives the status at every heartbeat.
        origin: Where the run was copied from just now, in words, for the plan.
        pool: The workers that fit the folds; the default is one by one, in this process.
        is_new: Whether the run may begin here; False demands that it exists.
        folds_file: The folds of a new run; None where they are assigned at random.
        interrupts: Receives the signals; the caller can then see one that came too late to pause.
        code: Own code that a new run is made with.

    Raises:
        RefusedError: Another trainer holds the run, it was made from something else, or it was
            renamed or deleted since its configuration was read.
        Exception: The error that ended the run; it is recorded as failed first.
    """
    paths = RunPaths(root)
    lock = _hold(root, is_new)
    previous = last_status(root)
    lease = lock if isinstance(lock, Lease) else None
    interrupts = interrupts or Interrupts()
    stop = stop_signal(paths, limits, interrupts, lease, previous)
    attempt = next_attempt(RunReader(root))
    recorder = Recorder(paths, attempt, echo, on_beat, lease is None, stop.status_changes)
    if stop.commands is not None:
        recorder.update(acknowledged_command=stop.commands.ignored)
    try:
        with interrupts.handled():
            recorder.start()
            if lease is not None:
                recorder.log(NO_SYSTEM_LOCKS)
            Pipeline(
                *(paths, config, limits, recorder, stop, previous, origin, pool),
                folds_file=folds_file,
                code=code,
            ).run()
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
        _record_pause(recorder, stop.reason or "")
        return "paused"
    except LeaseLostError:
        recorder.stop()
        raise
    except RefusedError as error:
        recorder.event("problem", text=f"refused: {error}")
        recorder.log(str(error), is_shown=False)  # the command line shows its own errors
        recorder.restore(previous, str(error))
        raise
    except BaseException as error:
        record_failure(recorder, error)
        raise
    finally:
        lock.release()


def _hold(root: Path, is_new: bool) -> FileLock | Lease:
    """Return the run's lock, held."""
    paths = RunPaths(root)
    gone = RefusedError(
        f"run {root.name}: it was renamed or deleted meanwhile. List the runs: "
        f"python -m trainer status"
    )
    if not (is_new or paths.has_config):
        raise gone
    try:
        lock = acquire(paths.lock, creates_folder=is_new)
    except LockedError as error:
        is_here = is_new or paths.has_config
        raise RefusedError(name_owner(root)) if is_here else gone from error
    if not (is_new or paths.has_config):  # it was moved while this process waited for the lock
        lock.release()
        raise gone
    return lock


def stop_signal(
    paths: RunPaths,
    limits: Limits,
    interrupts: Interrupts,
    lease: Lease | None,
    previous: Status | None,
) -> StopSignal:
    """Return the signal that interrupts, the time limit and commands to a run or study set."""
    try:
        earlier = RunReader(paths.root).command()
    except StoreError:
        earlier = None  # damaged: not a command to this attempt
    commands = CommandFile(paths.command, ignored=ignored_command(earlier, previous))
    limit = TimeLimit.begin(limits.time_limit_s)
    sources: list[StopSource] = [interrupts, limit.reason, commands, *limits.stop_sources]
    if lease is not None:
        sources.insert(0, lease.demand)
    return StopSignal(sources, limit, commands)


def ignored_command(command: Command | None, previous: Status | None) -> str | None:
    """Return the id of a command that was not meant for this attempt.

    It was acknowledged by an earlier one, is older than this process, or has a time in the future,
    which a clock that was set back or a file from elsewhere explains. A command that is written
    later is obeyed whatever its time is.
    """
    if command is None:
        return None
    was_acknowledged = previous is not None and previous.acknowledged_command == command.id
    is_for_this = own_identity().started <= command.asked_at <= time.time()
    return command.id if was_acknowledged or not is_for_this else None


def _record_pause(recorder: Recorder, reason: str) -> None:
    last = recorder.status
    where = {"step": last.step, "redone_s": round(last.pause_costs_s, 3)}
    recorder.event("pause", last.model, last.fold, where, text=reason)
    recorder.log(f"paused: {reason}; resume continues from here")
    recorder.close(state="paused", message=f"Paused: {reason}.", eta_s=None, workers=())


def record_failure(recorder: Recorder, error: BaseException) -> None:
    """Record why the run ended, as far as that can still be written."""
    text = describe_error(error)
    is_known = isinstance(error, KNOWN_ERRORS)
    details = text if is_known else "".join(traceback.format_exception(error)).rstrip()
    writes: tuple[Callable[[], None], ...] = (
        lambda: recorder.log(details, is_shown=not is_known),
        lambda: recorder.event("fail", text=text),
        lambda: recorder.close(
            state="failed", error=text, message="Failed.", eta_s=None, workers=()
        ),
    )
    for write in writes:
        try:
            write()
        except (StoreError, OSError) as second:
            error.add_note(f"and this could not be recorded: {second}")


def name_owner(root: Path, what: str = "run") -> str:
    """Return a message that names the trainer which holds the run or the study."""
    status = last_status(root)
    if status is None:
        return (
            f"{what} {root.name}: another trainer has just begun with it. Wait, or pause it first"
        )
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.process_started))
    return (
        f"{what} {root.name}: held by the trainer with pid {status.pid} on {status.host} since "
        f"{since}. Pause it first: python -m trainer pause {root.name}"
    )


def last_status(root: Path) -> Status | None:
    """Return the last status of a run or a study; None where there is none, or a damaged one."""
    try:
        return RunReader(root).status()
    except StoreError:
        return None  # damaged: the history has the attempts too
