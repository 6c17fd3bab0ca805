"""What goes wrong while a page is open: a killed or frozen trainer, a restarted dashboard."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.browser.conftest import settle, wait_for_text
from tests.browser.dashboard import wait_until
from tests.tiny_runs import tiny_config
from trainer.run import control
from trainer.store.reader import RunReader
from trainer.store.verdict import judge

pytestmark = pytest.mark.browser

LONG = ("network.epochs=2000", "network.patience=2000")  # outlasts every test


@pytest.fixture
def working(serve, tiny_source, tmp_path):
    """A dashboard, and a trainer, started elsewhere, in its first fold of the network."""
    state = tmp_path / "state"
    state.mkdir()
    config = tiny_config(tiny_source, *LONG)
    control.start(state, "long", config)
    dashboard = serve(state=state)
    reader = RunReader(state / "long")
    wait_until(lambda: has_epochs(reader), 60, "the network trains")
    yield dashboard, reader
    dashboard.close()
    control.reap()


def has_epochs(reader):
    return any(event.event == "epoch" for event in reader.events())


def pid_of(reader):
    return reader.status().pid


def test_a_killed_trainer_is_interrupted_within_5_s(working, open_page, record_property):
    """kill -9: the page says so with its evidence, and Resume goes on; killed again, it names the
    signal, since now this dashboard started the trainer."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    os.kill(pid_of(reader), signal.SIGKILL)
    began = time.monotonic()
    wait_for_text(page, "Interrupted", 5)
    record_property("kill_to_verdict_s", round(time.monotonic() - began, 2))
    wait_for_text(page, "Network, fold 0, step")

    page.get_by_role("button", name="Resume").click()
    wait_for_text(page, "Running", 60)
    wait_until(lambda: reader.status().attempt == 2, 60, "the second attempt")
    os.kill(pid_of(reader), signal.SIGKILL)
    wait_for_text(page, "Interrupted", 5)
    wait_for_text(page, "ended by SIGKILL (signal 9)")

    page.get_by_role("link", name="Runs").click()
    wait_for_text(page, "Interrupted once")


def test_a_frozen_trainer_is_stalled_until_it_beats_again(working, open_page, record_property):
    """SIGSTOP: alive and silent is neither running nor interrupted."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    os.kill(pid_of(reader), signal.SIGSTOP)
    began = time.monotonic()
    wait_for_text(page, "Stalled", 15)
    record_property("stop_to_verdict_s", round(time.monotonic() - began, 2))
    os.kill(pid_of(reader), signal.SIGCONT)
    wait_for_text(page, "Last sign of life", 5)


def test_a_restarted_dashboard_is_found_again_by_its_open_page(working, open_page, record_property):
    """The trainer does not notice; the page shows it again within 3 s of the server's answer."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    dashboard.stop()
    page.wait_for_selector("[data-testid=stStatusWidget], [data-testid=stConnectionStatus]")
    assert judge(reader).state == "running"
    dashboard.start()
    began = time.monotonic()
    shown = board(page)
    page.wait_for_function(
        "old => document.querySelector('[data-testid=stTable]').innerText !== old", arg=shown
    )
    record_property("restart_to_live_s", round(time.monotonic() - began, 2))
    assert time.monotonic() - began <= 3.0
    lost = ("ERR_CONNECTION_REFUSED", "WebSocket", "Client Error", "Failed to fetch")
    open_page.errors[:] = [e for e in open_page.errors if not any(word in e for word in lost)]


def test_what_one_tab_asks_the_other_shows(working, open_page, record_property):
    """Two tabs are two sessions on the same files: a pause in one is seen in the other."""
    dashboard, _ = working
    first, second = (open_page(dashboard.url("?run=long")) for _ in range(2))
    for page in (first, second):
        wait_for_text(page, "Running")
    first.get_by_role("button", name="Pause", exact=True).click()
    wait_for_text(first, "Pause asked", 5)
    began = time.monotonic()
    wait_for_text(second, "→ paused", 20)
    record_property("other_tab_s", round(time.monotonic() - began, 2))
    wait_for_text(first, "→ paused")
    assert second.get_by_role("button", name="Resume").is_enabled()
    settle(second)


def board(page):
    return page.locator("[data-testid=stTable]").inner_text()
