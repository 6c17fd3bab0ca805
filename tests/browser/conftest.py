"""Fixtures for the browser tests: Chromium, a dashboard, a page whose console is kept."""

from __future__ import annotations

import pytest

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS, Dashboard

BASE_GUESSES = ("/_stcore/health", "/_stcore/host-config")  # asked below a deep link first: 404
TIMEOUT_MS = 30_000


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
        assert "Traceback" not in dashboard.log.read_text()


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


def settle(page):
    """Wait until the page has its title and its script has run."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning] h1")


def wait_for_text(page, text, timeout_s=30.0):
    """Wait until the page shows this text."""
    page.wait_for_function(
        "text => document.body.innerText.includes(text)", arg=text, timeout=timeout_s * 1000
    )
