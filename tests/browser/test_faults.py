"""What goes wrong while a page is open: a killed or frozen trainer, a restarted dashboard."""

from __future__ import annotations

import os
import signal
import time

import pytest
from playwright.sync_api import expect

from tests.browser.dashboard import allowed, event_names, wait_until
from tests.browser.tabs import settle, wait_for_text
from trainer.store.run_state import derive_state

pytestmark = pytest.mark.browser

APP, BOARD = "[data-testid=stApp]", "[data-testid=stTable]"
OFFLINE = (  # what the browser rightly logs while there is no server
    "Failed to load resource: net::ERR_CONNECTION_REFUSED",
    "Cannot send rerun backMessage when disconnected",
    "WebSocket is already in CLOSING or CLOSED state.",
    "Streamlit server is not responding",
    "Client Error in reaching server endpoint",
    "TypeError: Failed to fetch dynamically imported module",
)


def pid_of(reader):
    return reader.status().pid


def test_a_killed_trainer_is_interrupted_within_5_s(working, open_page, report):
    """kill -9: the page shows it with its evidence, and Resume goes on; killed again, it names the
    signal, since now this dashboard started the trainer."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    os.kill(pid_of(reader), signal.SIGKILL)
    began = time.monotonic()
    wait_for_text(page, "Interrupted", 5)
    report("kill_to_state_s", round(time.monotonic() - began, 2))
    wait_for_text(page, "Network, fold 0, step")

    page.get_by_role("button", name="Resume").click()
    wait_for_text(page, "Running", 60)
    wait_until(lambda: "interrupted" in event_names(reader), 60, "the second attempt records it")
    os.kill(pid_of(reader), signal.SIGKILL)
    wait_for_text(page, "Interrupted", 5)
    wait_for_text(page, "ended by SIGKILL (signal 9)")

    page.get_by_role("link", name="Runs").click()
    wait_for_text(page, "Interrupted once")


def test_a_frozen_trainer_is_stalled_until_it_beats_again(working, open_page, report):
    """SIGSTOP: alive and silent is neither running nor interrupted."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    os.kill(pid_of(reader), signal.SIGSTOP)
    began = time.monotonic()
    wait_for_text(page, "Stalled", 15)
    report("stop_to_state_s", round(time.monotonic() - began, 2))
    os.kill(pid_of(reader), signal.SIGCONT)
    wait_for_text(page, "Last heartbeat", 5)


def test_a_restarted_dashboard_is_found_again_by_its_open_page(working, open_page, report):
    """The trainer does not notice; the page shows it again within 3 s of the server's answer."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    page.wait_for_load_state("networkidle")  # each kind of element loads its own script
    shown = page.locator(BOARD).inner_text()
    dashboard.stop()
    page.wait_for_selector(f"{APP}:not([data-test-connection-state=CONNECTED])")
    assert derive_state(reader).state == "running"
    dashboard.start()
    began = time.monotonic()
    page.wait_for_selector(f"{APP}[data-test-connection-state=CONNECTED]")
    page.wait_for_function(_IS_OTHER, arg=[BOARD, shown])
    wait_s = time.monotonic() - began
    report("restart_to_live_s", round(wait_s, 2))
    assert wait_s <= allowed(3.0)
    open_page.errors[:] = [e for e in open_page.errors if not e.startswith(OFFLINE)]


def test_a_pause_in_one_tab_is_shown_in_the_other(working, open_page, report):
    """Two tabs are two sessions on the same files: a pause in one is seen in the other."""
    dashboard, _ = working
    first, second = (open_page(dashboard.url("?run=long")) for _ in range(2))
    for page in (first, second):
        wait_for_text(page, "Running")
    first.get_by_role("button", name="Pause", exact=True).click()
    wait_for_text(first, "Pause requested", 5)
    began = time.monotonic()
    wait_for_text(second, "→ paused", 20)
    report("other_tab_s", round(time.monotonic() - began, 2))
    wait_for_text(first, "→ paused")
    expect(second.get_by_role("button", name="Resume")).to_be_enabled()
    settle(second)


_IS_OTHER = "([place, old]) => document.querySelector(place)?.innerText !== old"
