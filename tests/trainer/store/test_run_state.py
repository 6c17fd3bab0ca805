"""The verdict: each of the seven states, from the lock, the process, the heartbeat, the progress.

Most tests change one thing about a trainer that is there: this process, which holds the lock.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from trainer.store import identity, run_state
from trainer.store.durable import append_line, write_atomic
from trainer.store.identity import ProcessIdentity, boot_id, liveness, own_identity
from trainer.store.lock import LockedError, acquire, is_held
from trainer.store.names import RunPaths
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


def say(paths, state="running", **changes):
    """Write what a healthy trainer in this process would have said half a second ago."""
    own = own_identity()
    values = {
        "run": "first",
        "state": state,
        "stage": "lgbm",
        "model": "lgbm",
        "fold": 1,
        "step": 25,
        "total_steps": 100,
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


def ask(paths, command="pause", after="now", command_id="c1"):
    asked = Command(id=command_id, command=command, after=after, asked_by="dashboard", asked_at=NOW)
    write_atomic(paths.command, dump_record(asked), durable=False)


def verdict_of(paths, now=NOW):
    return derive_state(RunReader(paths.root), now)


def seen(result):
    return {line.what: line.seen for line in result.evidence}


@pytest.mark.usefixtures("lock")
def test_running_rests_on_lock_process_heartbeat_and_progress(paths):
    """All four are shown, and where it is."""
    say(paths)
    result = verdict_of(paths)
    assert (result.state, result.reason) == ("running", "Working on lgbm fold 1, round 25 of 100.")
    assert seen(result) == {
        "Lock": "held",
        "Process": f"pid {os.getpid()} on {socket.gethostname()}: alive",
        "Heartbeat": "0.5 s ago",
        "Last progress": "0.7 s ago",
        "Status file": "says running, attempt 2",
    }
    assert result.is_active and not result.can_resume


@pytest.mark.usefixtures("lock")
def test_pausing_is_a_pause_that_was_asked_and_not_yet_answered(paths):
    """By the command before it is seen, by the trainer's own word after."""
    say(paths)
    ask(paths)
    result = verdict_of(paths)
    assert result.state == "pausing"
    assert seen(result)["Command"] == "pause by dashboard: not answered yet"
    say(paths, state="pausing", acknowledged_command="c1")
    result = verdict_of(paths)
    assert result.state == "pausing"
    assert seen(result)["Command"] == "pause by dashboard: acknowledged"
    assert result.is_active


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    ("command", "after", "acknowledged"),
    [("run", "now", None), ("pause", "fold", None), ("pause", "now", "c1")],
)
def test_a_command_that_asks_for_no_pause_now_leaves_it_running(
    paths, command, after, acknowledged
):
    """Go on; after this fold; a pause that an earlier attempt answered."""
    say(paths, acknowledged_command=acknowledged)
    ask(paths, command, after)
    assert verdict_of(paths).state == "running"


@pytest.mark.parametrize("state", ["paused", "finished"])
def test_a_trainer_that_said_its_last_word_is_believed(paths, state):
    """Paused and finished need no process, however long ago it was."""
    say(paths, state=state, message="Paused: asked by dashboard.")
    result = verdict_of(paths, NOW + 1e7)
    assert (result.state, result.reason) == (state, "Paused: asked by dashboard.")
    assert not result.is_active
    assert result.can_resume == (state == "paused")
    assert seen(result)["Lock"] == "free"


def test_failed_shows_the_last_line_of_the_traceback(paths):
    """What went wrong, in the trainer's words."""
    say(paths, state="failed", error="ValueError: loss is not finite", message="Failed.")
    result = verdict_of(paths)
    assert (result.state, result.reason) == ("failed", "ValueError: loss is not finite")
    assert result.can_resume


def test_interrupted_is_a_running_state_that_nobody_holds_the_lock_of(paths):
    """Even half a second after a heartbeat, even though its pid lives: the lock decides."""
    say(paths)
    acquire(paths.lock).release()
    result = verdict_of(paths)
    assert result.state == "interrupted"
    assert result.reason == (
        "The trainer stopped without a word while it was at lgbm fold 1, round 25 of 100; "
        "everything up to the last checkpoint is kept. Resume goes on from there."
    )
    assert seen(result)["Lock"] == "free"
    assert result.can_resume and not result.is_active


def test_a_run_that_was_killed_while_pausing_is_interrupted(paths):
    """It did not get to say paused."""
    say(paths, state="pausing", acknowledged_command="c1")
    assert verdict_of(paths).state == "interrupted"


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(("late_s", "state"), [(3.9, "running"), (4.1, "stalled")])
def test_stalled_is_a_heartbeat_beyond_its_own_promise_and_grace(paths, late_s, state):
    """The trainer said when it would beat again; 4 s of grace for a busy machine."""
    say(paths, next_heartbeat_at=NOW - late_s)
    result = verdict_of(paths)
    assert result.state == state
    if state == "stalled":
        assert result.reason == "The process is there, but its heartbeat is 4 s overdue."
        assert result.is_active and not result.can_resume


@pytest.mark.usefixtures("lock")
def test_stalled_is_a_trainer_that_beats_but_does_not_move(paths):
    """Alive for three minutes without a round, a batch or a block."""
    say(paths, progress_at=NOW - 181.0)
    result = verdict_of(paths)
    assert result.state == "stalled"
    assert result.reason == "The process is alive, but nothing has moved for 181 s."


@pytest.mark.parametrize(("is_locked", "state"), [(True, "running"), (False, "interrupted")])
def test_before_the_first_status_the_lock_alone_decides(paths, is_locked, state):
    """A trainer that has just begun, and one that died before it could say a word."""
    held = acquire(paths.lock) if is_locked else None
    result = verdict_of(paths)
    assert (result.state, result.status) == (state, None)
    if held:
        held.release()


@pytest.mark.parametrize(("is_locked", "state"), [(True, "running"), (False, "interrupted")])
@pytest.mark.parametrize("name", ["status.json", "command.json"])
def test_a_damaged_file_is_named_and_the_lock_decides(paths, name, is_locked, state):
    """Nothing is invented about what the file said."""
    say(paths)
    (paths.root / name).write_bytes(b'{"schema": 1, "st')
    held = acquire(paths.lock) if is_locked else None
    result = verdict_of(paths)
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
def test_where_the_lock_cannot_be_seen_the_process_decides(paths, monkeypatch, changes, state):
    """In a read-only folder: host, boot, pid and start time together, never the pid alone."""
    monkeypatch.setattr(run_state, "is_held", lambda _: None)
    say(paths, **changes)
    result = verdict_of(paths)
    assert result.state == state
    assert seen(result)["Lock"] == "cannot be seen here (read-only folder)"


def test_a_recycled_pid_is_told_apart_by_its_start_time():
    """The same pid, started a minute later, is another process; rounding is forgiven."""
    own = own_identity()
    assert liveness(own) == "alive"
    assert liveness(ProcessIdentity(own.host, own.boot_id, own.pid, own.started + 1.0)) == "alive"
    assert liveness(ProcessIdentity(own.host, own.boot_id, own.pid, own.started + 60.0)) == "dead"
    assert liveness(ProcessIdentity(own.host, "earlier boot", own.pid, own.started)) == "dead"
    assert liveness(ProcessIdentity("elsewhere", own.boot_id, own.pid, own.started)) == "unknown"
    assert boot_id() == own.boot_id


def test_a_zombie_is_dead():
    """A trainer that ended and that its parent has not taken note of."""
    import psutil

    child = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(child.pid).create_time()
    zombie = ProcessIdentity(socket.gethostname(), boot_id(), child.pid, started)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert liveness(zombie) == "dead"
    child.wait()
    assert liveness(zombie) == "dead"


def test_a_process_that_may_not_be_looked_at_is_unknown(monkeypatch):
    """Another user's process: neither alive nor dead is claimed."""
    import psutil

    def denied(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", denied)
    own = ProcessIdentity(socket.gethostname(), boot_id(), os.getpid(), 1.0)
    assert identity.liveness(own) == "unknown"


def test_the_lock_is_held_by_one_and_free_after_its_death(paths):
    """A second trainer is refused; a dead one leaves no lock; looking does not take it."""
    assert is_held(paths.lock) is False
    code = (
        "import sys, time; from pathlib import Path; from trainer.store.lock import acquire\n"
        "lock = acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(paths.lock)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    assert is_held(paths.lock) is True
    with pytest.raises(LockedError, match="held by another process"):
        acquire(paths.lock)
    child.kill()
    child.wait()
    child.stdout.close()
    assert is_held(paths.lock) is False
    acquire(paths.lock).release()


def test_the_verdict_is_not_changed_by_a_torn_history(paths, lock):
    """The history is for curves; liveness never rests on it."""
    say(paths)
    append_line(paths.metrics, {"event": "finish", "time": NOW, "attempt": 2})
    with paths.metrics.open("ab") as file:
        file.write(b'{"event"')
    assert verdict_of(paths).state == "running"
