"""The notifier: real messages to a real server, and servers that do not answer."""

from __future__ import annotations

import os
import sys
import time

import psutil
import pytest

from tests.support.notification_server import BROKEN, SECRET, SILENT
from tests.support.worker_runs import wait_for
from trainer.config import ConfigError
from trainer.notify.notifier import Message, Notifier, find_problem, read_notifier, send_test
from trainer.run.control import NOTIFY_URLS


@pytest.fixture
def reports():
    return []


def test_a_message_arrives_with_its_title_text_and_kind(server):
    notifier = Notifier((server.address(),))
    notifier.send(Message("Run first finished", "Score 0.7 ± 0.1", "success"))
    notifier.close(30.0)
    assert server.messages == [("Run first finished", "Score 0.7 ± 0.1", "success")]


def test_a_server_that_does_not_answer_is_not_waited_for(server, reports):
    """Sending returns at once, the end waits as long as it is given, and others get theirs."""
    notifier = Notifier((server.address(SILENT), server.address()), reports.append)
    began = time.monotonic()
    notifier.send(Message("Run first finished", ""))
    assert time.monotonic() - began < 0.5
    assert server.wait_for(1) == ["Run first finished"]
    began = time.monotonic()
    notifier.close(0.2)
    assert time.monotonic() - began < 1.5
    assert reports == ["notification not sent: no answer in time"]


def test_what_was_not_sent_is_reported_without_its_address(server, reports):
    notifier = Notifier((server.address(BROKEN), f"nothing://{SECRET}"), reports.append)
    notifier.send(Message("Run first finished", ""))
    notifier.close(30.0)
    assert reports == [
        "notification not sent: address 1 (json) (refused or not reached), "
        "address 2 (nothing) (not known to Apprise)"
    ]
    assert SECRET not in repr(notifier)


def test_the_sending_process_shows_no_address_to_other_users(server):
    """Neither its command line nor its environment, which its children would inherit."""
    notifier = Notifier((server.address(SILENT),), lambda _: None)
    notifier.send(Message("Run first finished", ""))
    process = psutil.Process(notifier._sending[0].pid)
    wait_for(process.cmdline)  # it is empty while the new program begins
    assert process.cmdline()[-1] == "trainer.notify.send"
    assert SECRET not in " ".join([*process.cmdline(), *process.environ().values()])
    notifier.close(0.0)


def test_an_address_of_the_command_line_must_be_known(server):
    """The error names it by its number and service alone."""
    given = [server.address(), f"slakc://{SECRET}", SECRET]
    with pytest.raises(ConfigError, match=r"^--notify: expected addresses that Apprise") as caught:
        read_notifier(given, {})
    assert str(caught.value).endswith("not known: address 2 (slakc), address 3")


def test_an_address_of_the_environment_stops_no_run(server, capsys):
    """A problem is printed; the environment loses the addresses, so that own code has none."""
    environment = {NOTIFY_URLS: f" {server.address()}\n nothing://{SECRET} ", "PATH": "/bin"}
    notifier = read_notifier((server.address(),), environment)
    assert notifier.addresses == (server.address(), f"nothing://{SECRET}")
    assert environment == {"PATH": "/bin"}
    problem = capsys.readouterr().err
    assert "NOTIFY_URLS" in problem and "address 2 (nothing)" in problem
    assert SECRET not in problem


def test_without_apprise_the_error_names_what_to_install(monkeypatch, capsys):
    """An option is refused; the environment's addresses are not used."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert "requirements-notify.txt" in find_problem(["ntfy://topic"], "--notify")
    with pytest.raises(ConfigError, match=r"requirements-notify\.txt"):
        send_test(["ntfy://topic"])
    notifier = read_notifier((), {NOTIFY_URLS: "ntfy://topic"})
    assert "requirements-notify.txt" in capsys.readouterr().err
    notifier.send(Message("Run first finished", ""))
    assert notifier._sending == []


def test_without_addresses_nothing_is_started(monkeypatch):
    """A run without notifications starts no process and needs no Apprise."""
    monkeypatch.setattr(os, "environ", {})
    notifier = read_notifier((), os.environ)
    notifier.send(Message("Run first finished", ""))
    assert notifier._sending == []
