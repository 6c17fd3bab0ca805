"""Notifications on the start form: a test; addresses reach a trainer by its environment."""

from __future__ import annotations

import sys

import pytest

from pages.ui import notifications
from tests.support.notification_server import SECRET, NotificationServer
from tests.support.pages import texts, visit
from trainer.notify.interruptions import Watch
from trainer.run import control
from trainer.run.control import NOTIFY_URLS


@pytest.fixture
def server():
    started = NotificationServer()
    yield started
    started.close()


@pytest.fixture
def launched(monkeypatch):
    """The command lines and environments of the trainers that a click would start."""
    caught = []

    class Process:
        pid = 1

        def __init__(self, words, env, **_):
            caught.append((words, env))

        def poll(self):
            return None

    class Subprocess:
        """The module, for control alone: the test notification is sent by a real process."""

        STDOUT = DEVNULL = None
        Popen = Process

    monkeypatch.setattr(control, "subprocess", Subprocess)
    monkeypatch.setattr(control, "_CHILDREN", {})
    monkeypatch.setattr(Watch, "_start", lambda self: None)
    notifications.watch.cache_clear()
    return caught


def test_a_test_is_sent_to_the_addresses_of_the_session_and_of_the_dashboard(
    state_dir, server, monkeypatch
):
    """One click, one real message to each; the page shows no address."""
    monkeypatch.setenv(NOTIFY_URLS, server.address("/other"))
    app = visit()
    app.text_input(key=notifications.FIELD).set_value(server.address()).run()
    assert "From NOTIFY_URLS of the dashboard: 1." in texts(app)
    app.button(key="notify_test").click().run()
    assert not app.exception and not app.error
    assert [shown.value for shown in app.success] == ["Sent to 2 addresses."]
    assert server.titles() == ["Test of notifications"] * 2
    assert SECRET not in texts(app)
    assert app.text_input(key=notifications.FIELD).proto.type == 1  # a password field


def test_a_test_that_fails_names_the_address_by_its_number(state_dir):
    app = visit()
    app.text_input(key=notifications.FIELD).set_value(f"nothing://{SECRET}").run()
    app.button(key="notify_test").click().run()
    shown = texts(app)
    assert "Not sent to address 1 (nothing) (not known to Apprise)." in shown
    assert SECRET not in shown


def test_the_addresses_of_a_session_reach_the_trainer_by_its_environment_alone(
    make_run, launched, server, monkeypatch
):
    """Beside those of the dashboard; of a new run and of a resumed one; not on a command line."""
    root = make_run("first", "paused")
    monkeypatch.setenv(NOTIFY_URLS, "ntfy://dashboards")
    app = visit()
    app.session_state["start_expander"] = True
    app.run()
    app.text_input(key=notifications.FIELD).set_value(server.address()).run()
    app.button(key="start").click().run()
    app.session_state["run"] = "first"
    app.run()
    app.button(key="resume").click().run()
    assert not app.exception and not app.error
    assert [words[4] for words, _ in launched] == ["train", "resume"]
    for words, environment in launched:
        assert environment[NOTIFY_URLS].split() == ["ntfy://dashboards", server.address()]
        assert SECRET not in " ".join(words)
    assert SECRET not in texts(app)
    paths = [path for path in root.parent.rglob("*") if path.is_file()]
    assert [path for path in paths if SECRET.encode() in path.read_bytes()] == []


def test_an_unknown_address_of_the_session_starts_nothing(state_dir, launched):
    app = visit()
    app.text_input(key=notifications.FIELD).set_value(f"nothing://{SECRET}").run()
    app.button(key="start").click().run()
    assert launched == []
    assert "Notifications: expected addresses that Apprise knows" in texts(app)
    assert SECRET not in texts(app)


def test_without_apprise_the_form_shows_how_to_install_it(state_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    app = visit()
    assert "pip install -r requirements-notify.txt" in texts(app)
    assert all(field.key != notifications.FIELD for field in app.text_input)
