"""The time limit: what is read, what a host gives, and the margin that is kept for saving."""

from __future__ import annotations

import time

import psutil
import pytest

from trainer.run.time_limit import (
    HOSTED_LIMIT_S,
    SHORT_SESSIONS,
    DurationError,
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


@pytest.mark.parametrize("text", ["8761h", f"{'9' * 400}h", "600000m"])
def test_a_time_limit_of_more_than_a_year_is_refused(text):
    """400 digits would read as infinity, which no status file can hold."""
    with pytest.raises(DurationError, match="expected at most 8760h, a year; got '"):
        parse_time_limit(text)


def test_an_automatic_time_limit_is_that_of_the_host(monkeypatch):
    """Kaggle and Colab end a session; other machines do not."""
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert parse_time_limit("auto") is None
    monkeypatch.setattr("trainer.run.time_limit.session_age_s", lambda: 0.0)
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
    """The limit is the session's; a first process older than any session is no evidence."""
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", *SHORT_SESSIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(host, "1")
    monkeypatch.setattr("trainer.run.time_limit.session_age_s", lambda: age_s)
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


def test_a_time_limit_is_a_reason_to_stop_once_it_is_time_to_save():
    """Without a limit there is never a reason, and no time is shown."""
    assert TimeLimit.begin(None).reason() is None
    assert TimeLimit.begin(None).pauses_at_epoch_s is None
    assert TimeLimit.begin(0.0).reason() == "time limit"
    limit = TimeLimit.begin(1000.0)
    assert limit.reason() is None
    assert limit.pauses_at_epoch_s == pytest.approx(time.time() + 970.0, abs=5.0)
