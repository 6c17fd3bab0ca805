"""Fixtures for the browser tests: Chromium, a dashboard, a page whose console is kept."""

from __future__ import annotations

import re

import pytest

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS, Dashboard, allowed, wait_until
from tests.support.tiny_runs import tiny_config
from trainer.run import control
from trainer.store.reader import RunReader

BASE_GUESSES = ("/_stcore/health", "/_stcore/host-config")  # asked below a deep link first: 404
TIMEOUT_MS = 30_000
LONG = ("network.epochs=2000", "network.patience_epochs=2000")  # outlasts every test


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


@pytest.fixture
def working(serve, tiny_source, tmp_path):
    """A dashboard, and a trainer, started elsewhere, in its first fold of the network."""
    state = tmp_path / "state"
    state.mkdir()
    config = tiny_config(tiny_source, *LONG)
    control.start(state, "long", config)
    dashboard = serve(state=state)
    reader = RunReader(state / "long")
    wait_until(lambda: "epoch" in event_names(reader), 60, "the network trains")
    yield dashboard, reader
    dashboard.close()
    control.reap()


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
def tell(request):
    """Print what a test measured; ``pytest -m browser -rP`` shows it."""

    def print_one(name, value):
        print(f"measured {request.node.name}: {name} = {value}")

    return print_one


def tracebacks(log):
    """Return the tracebacks of a server's log, but for Ctrl-C's, which polars hands to a page."""
    _, *parts = log.split("Traceback (most recent call last)")
    return [part for part in parts if not re.search(r"^\s*KeyboardInterrupt$", part, re.MULTILINE)]


def settle(page):
    """Wait until the page has its title and its script has run."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning] h1")


def wait_for_text(page, text, timeout_s=30.0):
    """Wait until the page shows this text."""
    is_shown = "text => document.body.innerText.includes(text)"
    page.wait_for_function(is_shown, arg=text, timeout=1000 * allowed(timeout_s))


def event_names(reader):
    return {event.event for event in reader.events()}


def overflow_px(page):
    """Return how much wider than the window the page is, once its layout stands still."""
    page.evaluate("window.overflow = undefined")
    page.wait_for_function(_STANDS_STILL)
    return page.evaluate("window.overflow")


_STANDS_STILL = """() => {
  const parts = ['html', '[data-testid=stMain]'].map(part => document.querySelector(part));
  const overflow = Math.max(...parts.map(part => part.scrollWidth - part.clientWidth));
  const loads = document.querySelector('[data-testid=stSkeleton]');
  if (loads || overflow !== window.overflow) {
    window.overflow = overflow;
    window.since = Date.now();
  }
  return Date.now() - window.since > 300;
}"""
