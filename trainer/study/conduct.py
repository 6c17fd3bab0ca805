"""One start of a study: its lock, recorder and stop signal around the trials that are left.

In: a study's folder with its definition, limits. Out: trials and runs, further on or finished. The
trials are trained one after the other in this process, each run as ``trainer.run.execution`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainer.run import RefusedError
from trainer.run.execution import (
    NO_SYSTEM_LOCKS,
    Outcome,
    last_status,
    name_owner,
    record_failure,
    stop_signal,
)
from trainer.run.pipeline import Limits
from trainer.run.stop_signal import Interrupts
from trainer.run.workers.pool import WorkerPool
from trainer.store.durable import remove_temporary_files
from trainer.store.locks import Lease, LockedError, acquire
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder, next_attempt
from trainer.store.records import Status
from trainer.study import search
from trainer.study.definition import StudyFile
from trainer.study.trial_loop import StudyPausedError, TrialLoop
from trainer.study.trials import TrialRecord


def conduct(
    root: Path,
    study: StudyFile,
    limits: Limits,
    echo: Callable[[str], None],
    on_beat: Callable[[Status], None] = lambda _: None,
    pool: WorkerPool = WorkerPool(),  # noqa: B008 - frozen
    on_best: Callable[[TrialRecord], None] = lambda _: None,
) -> Outcome:
    """Do every trial that is left, or pause.

    Args:
        root: The study's folder, which holds its definition.
        study: The definition.
        limits: When to pause by itself.
        echo: Shows a log line on the terminal.
        on_beat: Receives the status of the present run at every heartbeat.
        pool: The workers that fit the folds of a run.
        on_best: Receives each trial that is better than all before it.

    Raises:
        RefusedError: Another process holds the study, or a run of another origin has a trial's
            name.
        Exception: The error that ended a run; it is recorded first.
    """
    if study.search:
        search.demand_optuna()
    paths = RunPaths(root)
    try:
        lock = acquire(paths.lock)
    except LockedError as error:
        raise RefusedError(name_owner(root, "study")) from error
    lease = lock if isinstance(lock, Lease) else None
    interrupts = Interrupts()
    stop = stop_signal(paths, limits, interrupts, lease, last_status(root))
    attempt = next_attempt(RunReader(root))
    recorder = Recorder(
        paths, attempt, echo, has_system_lock=lease is None, status_changes=stop.status_changes
    )
    if stop.commands is not None:
        recorder.update(acknowledged_command=stop.commands.ignored)
    try:
        with interrupts.handled():
            recorder.start()
            if lease is not None:
                recorder.log(NO_SYSTEM_LOCKS)
            recorder.event("start")
            remove_temporary_files(root)
            TrialLoop(
                *(root, study, limits, recorder, stop, interrupts, on_beat, pool), on_best
            ).run()
            recorder.event("finish")
            recorder.close(state="finished", stage="done", message="Finished.", eta_s=0.0)
        return "finished"
    except StudyPausedError as paused:
        recorder.event("pause", text=str(paused))
        recorder.log(f"study {study.name} paused: {paused}; the same command continues it")
        recorder.close(state="paused", message=f"Paused: {paused}.", eta_s=None)
        return "paused"
    except BaseException as error:
        record_failure(recorder, error)
        raise
    finally:
        lock.release()
