"""The stop signal: commands, interrupts; seen at safe points, acknowledged by the command's id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.tiny_runs import PROJECT
from trainer.run import control
from trainer.run.execution import ignored_command
from trainer.run.stop_signal import CommandFile, Interrupts, StopSignal
from trainer.store.reader import RunReader


def stop_signal(path, ignored=None):
    commands = CommandFile(path, ignored)
    return StopSignal([commands], commands=commands)


@pytest.fixture
def stop(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.run.stop_signal.POLL_S", 0.0)
    return stop_signal(tmp_path / "command.json")


def test_a_pause_is_seen_at_the_next_safe_point_and_acknowledged(stop, tmp_path):
    """With who requested it, by the command's id."""
    assert not stop.is_set()
    assert stop.status_changes() == {}
    command = control.send_command(tmp_path, "pause", "dashboard")
    assert stop.is_set() and stop.is_set()
    assert stop.reason == "requested by dashboard"
    changes = stop.status_changes()
    assert (changes["state"], changes["acknowledged_command"]) == ("pausing", command.id)
    assert changes["acknowledged_at"] >= command.asked_at


def test_a_pause_after_this_fold_waits_for_the_fold_and_can_be_taken_back(stop, tmp_path):
    """Acknowledged at once, obeyed between folds."""
    command = control.send_command(tmp_path, "pause", "dashboard", "fold")
    assert not stop.is_set()
    assert stop.stops_after_fold
    changes = stop.status_changes()
    assert changes["acknowledged_command"] == command.id
    assert "state" not in changes
    control.send_command(tmp_path, "run", "dashboard")
    assert not stop.is_set_between_folds()
    control.send_command(tmp_path, "pause", "dashboard", "fold")
    assert not stop.is_set()
    assert stop.is_set_between_folds()
    assert stop.reason == "requested by dashboard, after this fold"


def test_a_command_for_an_earlier_attempt_is_ignored(tmp_path):
    """It was acknowledged, or its trainer was killed before it could be."""
    command = control.send_command(tmp_path, "pause", "dashboard")
    assert not stop_signal(tmp_path / "command.json", command.id).is_set()


def test_a_command_of_another_time_does_not_pause_a_resumed_trainer(tiny_run, tmp_path):
    """Only one that was sent since this process began, by its own clock, counts at the start."""
    status = RunReader(tiny_run).status()
    command = control.send_command(tmp_path, "pause", "dashboard")
    assert ignored_command(command, status) is None
    for moment in (0.0, time.time() + 60.0, 4e12, float("inf"), float("nan")):
        other = command.model_copy(update={"asked_at": moment})
        assert ignored_command(other, status) == command.id
    acknowledged = status.model_copy(update={"acknowledged_command": command.id})
    assert ignored_command(command, acknowledged) == command.id


@pytest.mark.parametrize("content", [b"", b'{"schema": 1, "id": "c', b'{"schema": 2}', b"[]"])
def test_a_command_that_cannot_be_read_is_no_command(stop, tmp_path, content):
    """Half a file, a newer version's, another thing: the run goes on, and looks again."""
    (tmp_path / "command.json").write_bytes(content)
    assert not stop.is_set()
    control.send_command(tmp_path, "pause", "dashboard")
    assert stop.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_pauses_at_the_next_safe_point_and_handlers_are_put_back(number):
    """Ctrl-C and SIGTERM set the stop signal, no more; afterwards the handlers are as before."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    interrupts = Interrupts()
    stop = StopSignal([interrupts])
    with interrupts.handled():
        os.kill(os.getpid(), signal.SIGHUP)  # a closed terminal ends nothing
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
    assert stop.reason == f"signal {number.name}"
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_a_second_signal_ends_the_process_at_once():
    """Which is as safe as the first: every file on the disk is whole."""
    code = (
        "import os, signal\n"
        "from trainer.run.stop_signal import Interrupts\n"
        "with Interrupts().handled():\n"
        "    [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 130
