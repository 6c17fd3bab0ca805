"""Fixtures for the browser tests: Chromium, dashboards, pages whose console is kept.

A server takes seconds to start, so the tests share two of them: ``finished`` shows a finished run
that no test changes, ``working`` a run that each test starts anew. ``serve`` starts another.
"""

from __future__ import annotations

import re
import shutil

import pytest

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS, Dashboard, event_names, wait_until
from tests.browser.tabs import settle
from tests.support.tiny_runs import tiny_config
from trainer.run import control
from trainer.store.reader import RunReader

BASE_GUESSES = ("/_stcore/health", "/_stcore/host-config")  # requested below a deep link first: 404
TIMEOUT_MS = 30_000
LONG = ("network.epochs=2000",)  # outlasts every test


@pytest.fixture(scope="package")
def chromium():
    """The system's Chromium, headless."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path):
    """Start dashboards; they and their trainers end with the test, and must not have failed."""
    dashboards = []

    def start(*words, state=None):
        folder = state or tmp_path / "state"
        folder.mkdir(exist_ok=True)
        dashboards.append(Dashboard(folder, *words).start())
        return dashboards[-1]

    yield start
    for dashboard in dashboards:
        dashboard.close()
        assert tracebacks(dashboard.log.read_text()) == []


@pytest.fixture(scope="package")
def finished_server(tiny_run, tmp_path_factory):
    """A server on a state folder with one finished run."""
    state = tmp_path_factory.mktemp("finished") / "state"
    shutil.copytree(tiny_run, state / "tiny")
    dashboard = Dashboard(state).start()
    yield dashboard
    dashboard.close()


@pytest.fixture(scope="package")
def working_server(tmp_path_factory):
    """A server on a state folder in which each test has its own run."""
    state = tmp_path_factory.mktemp("working") / "state"
    state.mkdir()
    dashboard = Dashboard(state).start()
    yield dashboard
    dashboard.close()


@pytest.fixture
def finished(finished_server):
    """A dashboard on a finished run of two folds with all sensors; no test changes it."""
    logged = len(finished_server.log.read_text())
    yield finished_server
    assert tracebacks(finished_server.log.read_text()[logged:]) == []
    assert [path.name for path in finished_server.state.iterdir()] == ["tiny"]


@pytest.fixture
def working(working_server, tiny_source):
    """A dashboard, and a trainer, started elsewhere, in its first fold of the network."""
    logged = len(working_server.log.read_text())
    root = working_server.state / "long"
    control.start(working_server.state, root.name, tiny_config(tiny_source, *LONG))
    reader = RunReader(root)
    wait_until(lambda: "epoch" in event_names(reader), 60, "the network trains")
    yield working_server, reader
    working_server.kill_trainers()
    control.reap()
    assert tracebacks(working_server.log.read_text()[logged:]) == []
    shutil.rmtree(root)


@pytest.fixture
def emptied_server(working_server):
    """A dashboard on a state folder that is empty before the test and after it."""
    logged = len(working_server.log.read_text())
    yield working_server
    working_server.kill_trainers()
    for folder in list(working_server.state.iterdir()):
        shutil.rmtree(folder)
    assert tracebacks(working_server.log.read_text()[logged:]) == []


@pytest.fixture
def open_page(chromium):
    """Open pages in tabs of their own; a console error of any fails the test."""
    contexts, errors = [], []

    def keep(message):
        is_guess = message.location.get("url", "").endswith(BASE_GUESSES)
        if message.type == "error" and not is_guess:
            errors.append(f"{message.text} at {message.location}")

    def open_one(url, width=1440, theme="light"):
        size = {"width": width, "height": 1000}
        context = chromium.new_context(viewport=size, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", keep)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        settle(page)
        return page

    open_one.errors = errors
    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def report(request):
    """Print what a test measured; ``pytest -m browser -rP`` shows it."""

    def print_one(name, value):
        print(f"measured {request.node.name}: {name} = {value}")

    return print_one


def tracebacks(log):
    """Return the tracebacks of a server's log, but for Ctrl-C's, which polars hands to a page."""
    _, *parts = log.split("Traceback (most recent call last)")
    return [part for part in parts if not re.search(r"^\s*KeyboardInterrupt$", part, re.MULTILINE)]
