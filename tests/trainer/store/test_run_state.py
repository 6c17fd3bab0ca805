"""Run state: each of the seven states, from the lock, the process, the heartbeat, the progress.

Most tests change one thing about a running trainer: this process, which holds the lock.
"""

from __future__ import annotations

import os
import socket

import pytest

from trainer.store import run_state
from trainer.store.durable import append_line, write_atomic
from trainer.store.locks import acquire
from trainer.store.names import RunPaths
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.store.records import Command, Status, dump_record
from trainer.store.run_state import derive_state

NOW = 1_000_000.0


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "first").mkdir()
    return RunPaths(tmp_path / "first")


@pytest.fixture
def lock(paths):
    """The lock, held by a trainer: this process."""
    held = acquire(paths.lock)
    yield held
    held.release()


def write_status(paths, state="running", **changes):
    """Write the status that a healthy trainer in this process would have written 0.5 s ago."""
    own = own_identity()
    values = {
        "run": "first",
        "state": state,
        "stage": "lgbm",
        "model": "lgbm",
        "fold": 1,
        "step": 25,
        "total_steps": 100,
        "step_name": "round",
        "host": own.host,
        "boot_id": own.boot_id,
        "pid": own.pid,
        "process_started": own.started,
        "attempt": 2,
        "heartbeat_at": NOW - 0.5,
        "next_heartbeat_at": NOW + 2.5,
        "progress_at": NOW - 0.7,
    }
    write_atomic(paths.status, dump_record(Status(**(values | changes))), durable=False)


def write_command(paths, command="pause", after="now", command_id="c1"):
    written = Command(
        id=command_id, command=command, after=after, asked_by="dashboard", asked_at=NOW
    )
    write_atomic(paths.command, dump_record(written), durable=False)


def state_of(paths, now=NOW):
    return derive_state(RunReader(paths.root), now)


def seen(result):
    return {line.what: line.seen for line in result.evidence}


@pytest.mark.usefixtures("lock")
def test_running_depends_on_lock_process_heartbeat_and_progress(paths):
    """All four are in the evidence, and the reason names fold and round."""
    write_status(paths)
    result = state_of(paths)
    assert (result.state, result.reason) == ("running", "Working on lgbm fold 1, round 25 of 100.")
    assert seen(result) == {
        "Lock": "held",
        "Process": f"pid {os.getpid()} on {socket.gethostname()}: alive",
        "Heartbeat": "0.5 s ago",
        "Last progress": "0.7 s ago",
        "Status file": "running, attempt 2",
    }
    assert result.is_active and not result.can_resume


@pytest.mark.usefixtures("lock")
def test_a_trainer_whose_clock_is_ahead_shows_no_age(paths):
    """Neither a negative age nor one of ten days: the clocks cannot be compared."""
    ahead = NOW + 864_000.0
    write_status(paths, heartbeat_at=ahead, next_heartbeat_at=ahead + 3.0, progress_at=ahead)
    result = state_of(paths)
    assert result.state == "running"
    assert seen(result)["Heartbeat"] == "in the future: the clocks differ"
    assert seen(result)["Last progress"] == "in the future: the clocks differ"


@pytest.mark.usefixtures("lock")
def test_a_requested_pause_is_pausing_until_the_run_is_paused(paths):
    """By the command before the trainer has read it, by its status afterwards."""
    write_status(paths)
    write_command(paths)
    result = state_of(paths)
    assert result.state == "pausing"
    assert seen(result)["Command"] == "pause by dashboard: not acknowledged yet"
    write_status(paths, state="pausing", acknowledged_command="c1")
    result = state_of(paths)
    assert result.state == "pausing"
    assert seen(result)["Command"] == "pause by dashboard: acknowledged"
    assert result.is_active


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    ("command", "after", "acknowledged"),
    [("run", "now", None), ("pause", "fold", None), ("pause", "now", "c1")],
)
def test_a_command_other_than_an_open_pause_leaves_it_running(paths, command, after, acknowledged):
    """Continue; pause after this fold; a pause that an earlier attempt acknowledged."""
    write_status(paths, acknowledged_command=acknowledged)
    write_command(paths, command, after)
    assert state_of(paths).state == "running"


@pytest.mark.parametrize("state", ["paused", "finished"])
def test_a_final_status_counts_without_a_process(paths, state):
    """Paused and finished need no process, even months later."""
    write_status(paths, state=state, message="Paused: requested by dashboard.")
    result = state_of(paths, NOW + 1e7)
    assert (result.state, result.reason) == (state, "Paused: requested by dashboard.")
    assert not result.is_active
    assert result.can_resume == (state == "paused")
    assert seen(result)["Lock"] == "free"


def test_failed_shows_the_last_line_of_the_traceback(paths):
    """The error of the status is the reason."""
    write_status(paths, state="failed", error="ValueError: loss is not finite", message="Failed.")
    result = state_of(paths)
    assert (result.state, result.reason) == ("failed", "ValueError: loss is not finite")
    assert result.can_resume


def test_a_running_status_without_a_held_lock_is_interrupted(paths):
    """Even half a second after a heartbeat, and while its pid is alive: the lock decides."""
    write_status(paths)
    acquire(paths.lock).release()
    result = state_of(paths)
    assert result.state == "interrupted"
    assert result.reason == (
        "The trainer's process ended without a final status at lgbm fold 1, round 25 of 100. "
        "Everything up to the last checkpoint is kept; Resume continues there."
    )
    assert seen(result)["Lock"] == "free"
    assert result.can_resume and not result.is_active


def test_a_run_that_was_killed_while_pausing_is_interrupted(paths):
    """It was killed before it could write the state paused."""
    write_status(paths, state="pausing", acknowledged_command="c1")
    assert state_of(paths).state == "interrupted"


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(("late_s", "state"), [(3.9, "running"), (4.1, "stalled")])
def test_an_overdue_heartbeat_is_stalled_after_a_grace_period(paths, late_s, state):
    """The status contains when the next one is due; 4 s of grace for a busy machine."""
    write_status(paths, next_heartbeat_at=NOW - late_s)
    result = state_of(paths)
    assert result.state == state
    if state == "stalled":
        assert result.reason == "The process exists, but its heartbeat is 4 s overdue."
        assert result.is_active and not result.can_resume


@pytest.mark.usefixtures("lock")
def test_a_heartbeat_without_progress_is_stalled(paths):
    """Alive for three minutes without a round, a batch or a block."""
    write_status(paths, progress_at=NOW - 181.0)
    result = state_of(paths)
    assert result.state == "stalled"
    assert result.reason == "The process is alive, but has made no progress for 181 s."


@pytest.mark.parametrize(("is_locked", "state"), [(True, "running"), (False, "interrupted")])
def test_before_the_first_status_the_lock_alone_decides(paths, is_locked, state):
    """A trainer that has just started, and one that died before its first status."""
    held = acquire(paths.lock) if is_locked else None
    result = state_of(paths)
    assert (result.state, result.status) == (state, None)
    if held:
        held.release()


@pytest.mark.parametrize(("is_locked", "state"), [(True, "running"), (False, "interrupted")])
@pytest.mark.parametrize("name", ["status.json", "command.json"])
def test_a_damaged_file_is_named_and_the_lock_decides(paths, name, is_locked, state):
    """Nothing is guessed about the content of the file."""
    write_status(paths)
    (paths.root / name).write_bytes(b'{"schema": 1, "st')
    held = acquire(paths.lock) if is_locked else None
    result = state_of(paths)
    assert result.state == state
    assert name in result.reason
    assert seen(result) == {"Lock": "held" if is_locked else "free"}
    if held:
        held.release()


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"process_started": own_identity().started - 60.0}, "interrupted"),
        ({"boot_id": "another boot"}, "interrupted"),
        ({"host": "another-host"}, "interrupted"),
        ({"pid": 2**22 + 1}, "interrupted"),
    ],
    ids=["this process", "recycled pid", "other boot", "other host", "no such pid"],
)
def test_if_the_lock_cannot_be_determined_the_process_decides(paths, monkeypatch, changes, state):
    """In a read-only folder: host, boot, pid and start time together, never the pid alone."""
    monkeypatch.setattr(run_state, "is_held", lambda _: None)
    write_status(paths, **changes)
    result = state_of(paths)
    assert result.state == state
    assert seen(result)["Lock"] == "cannot be seen here (read-only folder)"


def test_a_torn_event_log_does_not_change_the_state(paths, lock):
    """The event log is for curves; the state never depends on it."""
    write_status(paths)
    append_line(paths.metrics, {"event": "finish", "time": NOW, "attempt": 2})
    with paths.metrics.open("ab") as file:
        file.write(b'{"event"')
    assert state_of(paths).state == "running"
