"""When to stop: a command, a signal, the clock; seen at safe points, answered by its id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.support.tiny_runs import PROJECT
from trainer.run import control
from trainer.run.stop_signal import (
    HOSTED_LIMIT_S,
    SHORT_SESSIONS,
    DurationError,
    StopSwitch,
    TimeLimit,
    parse_time_limit,
    session_age_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90.0), ("45m", 2700.0), ("11.5h", 41_400.0), ("1h30m", 5400.0), ("0s", 0.0)),
        ("none", None),
    ],
)
def test_a_time_limit_is_read(text, seconds):
    """Hours, minutes, seconds, or none."""
    assert parse_time_limit(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "1 h", "h", "-5m", "1d", "5m x", "1.2.3s", "None"])
def test_a_time_limit_that_cannot_be_read_is_refused(text):
    """The message has examples and what came."""
    with pytest.raises(DurationError, match="expected auto, none or a duration such as 90s"):
        parse_time_limit(text)


def test_an_automatic_time_limit_is_that_of_the_host(monkeypatch):
    """Kaggle and Colab end a session; other machines do not."""
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert parse_time_limit("auto") is None
    monkeypatch.setattr("trainer.run.stop_signal.session_age_s", lambda: 0.0)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert parse_time_limit("auto") == HOSTED_LIMIT_S == 41_400.0
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    assert parse_time_limit("auto") == 30_600.0


@pytest.mark.parametrize(
    ("host", "age_s", "seconds"),
    [
        ("KAGGLE_KERNEL_RUN_TYPE", 3600.0, 37_800.0),
        ("KAGGLE_KERNEL_RUN_TYPE", 42_000.0, 0.0),
        ("KAGGLE_KERNEL_RUN_TYPE", 90_000.0, 41_400.0),
        ("COLAB_RELEASE_TAG", 3600.0, 37_800.0),
        ("COLAB_RELEASE_TAG", 90_000.0, None),
    ],
)
def test_what_the_session_did_before_the_trainer_counts(monkeypatch, host, age_s, seconds):
    """The limit is the session's; a first process older than any session tells nothing of it."""
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", *SHORT_SESSIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(host, "1")
    monkeypatch.setattr("trainer.run.stop_signal.session_age_s", lambda: age_s)
    assert parse_time_limit("auto") == seconds


def test_the_age_of_the_session_is_that_of_the_first_process():
    """At least as old as this process."""
    assert session_age_s() >= time.time() - psutil.Process().create_time() - 1.0


def test_the_margin_of_a_time_limit_grows_with_what_was_measured():
    """Twice the longest step and the longest save, beside a reserve."""
    limit = TimeLimit(ends_at=1000.0, reserve_s=30.0)
    assert limit.pauses_at == 970.0
    limit.note_step(4.0)
    limit.note_step(2.0)
    limit.note_save(1.0)
    assert limit.pauses_at == 960.0


@pytest.fixture
def switch(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.run.stop_signal.POLL_S", 0.0)
    heard = []
    switch = StopSwitch(tmp_path / "command.json", on_request=heard.append)
    switch.heard = heard
    return switch


def test_a_pause_is_seen_at_the_next_safe_point_and_answered_once(switch, tmp_path):
    """With who asked, by the command's id."""
    assert not switch.is_set()
    asked = control.ask(tmp_path, "pause", "dashboard")
    assert switch.is_set() and switch.is_set()
    assert (switch.reason, switch.heard) == ("asked by dashboard", [asked.id])


def test_a_pause_after_this_fold_waits_for_the_fold_and_can_be_taken_back(switch, tmp_path):
    """Acknowledged at once, obeyed between folds."""
    asked = control.ask(tmp_path, "pause", "dashboard", "fold")
    assert not switch.is_set()
    assert switch.heard == [asked.id]
    control.ask(tmp_path, "run", "dashboard")
    assert not switch.is_set_between_folds()
    control.ask(tmp_path, "pause", "dashboard", "fold")
    assert not switch.is_set()
    assert switch.is_set_between_folds()
    assert switch.reason == "asked by dashboard, after this fold"


def test_a_command_for_an_earlier_attempt_is_ignored(tmp_path):
    """It was answered, or its trainer was killed before it could be."""
    asked = control.ask(tmp_path, "pause", "dashboard")
    switch = StopSwitch(tmp_path / "command.json", ignore_command=asked.id)
    assert not switch.is_set()


@pytest.mark.parametrize("content", [b"", b'{"schema": 1, "id": "c', b'{"schema": 2}', b"[]"])
def test_a_command_that_cannot_be_read_is_no_command(switch, content):
    """Half a file, a newer version's, another thing: the run goes on, and looks again."""
    switch.command_path.write_bytes(content)
    assert not switch.is_set()
    control.ask(switch.command_path.parent, "pause", "dashboard")
    assert switch.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_pauses_at_the_next_safe_point_and_handlers_are_put_back(switch, number):
    """Ctrl-C and SIGTERM set the switch, no more; afterwards they are who they were."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with switch.listening():
        os.kill(os.getpid(), signal.SIGHUP)  # a closed terminal ends nothing
        assert not switch.is_set()
        os.kill(os.getpid(), number)
        assert switch.is_set()
    assert switch.reason == f"signal {number.name}"
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_a_second_signal_ends_the_process_at_once():
    """Which is as safe as the first: whatever is on the disk is whole."""
    code = (
        "import os, signal; from pathlib import Path\n"
        "from trainer.run.stop_signal import StopSwitch\n"
        "with StopSwitch(Path('nowhere')).listening():\n"
        "    [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 130
