"""A page while the trainer works: charts that do not flicker, the keyboard, news from elsewhere."""

from __future__ import annotations

import os
import signal

import pytest

from tests.browser.dashboard import wait_until
from tests.browser.tabs import overflow_px, wait_for_text

pytestmark = pytest.mark.browser

MAX_TABS = 60  # from the top of the page to any control of the run
CHART = "[data-testid=stVegaLiteChart]"


def test_live_charts_do_not_flicker_and_paused_ones_stand_still(working, open_page):
    """In no painted frame a chart is empty while points arrive; Paused holds it still, while the
    numbers above go on. On a phone's width nothing sticks out meanwhile."""
    dashboard, _ = working
    page = open_page(dashboard.url("?run=long"), width=390)
    wait_for_text(page, "Network, newest: fold 0, epoch")
    page.wait_for_selector(f"{CHART} svg.marks")
    page.evaluate(_WATCH_CHARTS)
    before = newest(page)
    page.wait_for_function(_IS_OTHER, arg=before)
    page.wait_for_function("window.frames_seen > 10")  # news may come at once
    assert page.evaluate("window.frames_without") == 0
    assert overflow_px(page) == 0

    page.get_by_role("radio", name="Paused").click()
    wait_for_text(page, "Charts paused at")
    wait_for_next_refresh(page)  # the text stands above the charts: it comes before they are held
    held = newest(page)
    wait_for_next_refresh(page)
    assert newest(page) == held
    page.get_by_role("radio", name="Live", exact=True).click()
    page.wait_for_function(_IS_OTHER, arg=held)


def test_the_keyboard_alone_asks_for_a_pause_and_takes_it_back(working, open_page):
    """Tab reaches the buttons, Enter presses them."""
    dashboard, reader = working
    page = open_page(dashboard.url("?run=long"))
    wait_for_text(page, "Running")
    press_by_keyboard(page, "Pause after this fold")
    wait_for_text(page, "Pause after this fold requested", 10)
    wait_until(lambda: reader.command().after == "fold", 5, "the command is written")
    press_by_keyboard(page, "Cancel pause")
    wait_until(lambda: reader.command().command == "run", 5, "it is taken back")


def test_a_toast_reports_on_every_page_that_a_trainer_has_ended(working, open_page):
    """A toast on the page Runs, and the same in the run's row there: a toast vanishes."""
    dashboard, reader = working
    page = open_page(dashboard.url("runs?run=long"))
    wait_for_text(page, "Last heartbeat")
    os.kill(reader.status().pid, signal.SIGKILL)
    toast = page.locator("[data-testid=stToast]", has_text="long ended unexpectedly.")
    toast.wait_for(timeout=10_000)
    wait_for_text(page, "The trainer ended unexpectedly; its last heartbeat was at")


def press_by_keyboard(page, name):
    """Press a button that was reached with the Tab key."""
    page.evaluate("document.activeElement.blur()")
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip().endswith(name):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name}: not reached with {MAX_TABS} tabs")


def wait_for_next_refresh(page):
    """Wait until the numbers above the charts have moved, so that what came before is drawn."""
    page.wait_for_function(_HAS_MOVED, arg=epochs_done(page))


def newest(page):
    return page.evaluate(f"({_NEWEST})()")


def epochs_done(page):
    return page.evaluate(f"({_EPOCHS_DONE})()")


_NEWEST = """() => [...document.querySelectorAll('[data-testid=stMarkdown]')]
  .map(element => element.innerText.trim()).find(text => text.startsWith('Network, newest: '))"""
_EPOCHS_DONE = """() => [...document.querySelectorAll('[data-testid=stMetric]')]
  .map(element => element.innerText).find(text => text.startsWith('Epochs done'))"""
_IS_OTHER = f"old => {{ const text = ({_NEWEST})(); return text && text !== old; }}"
_HAS_MOVED = f"old => {{ const text = ({_EPOCHS_DONE})(); return text && text !== old; }}"
_WATCH_CHARTS = f"""() => {{
  const charts = [...document.querySelectorAll('{CHART}')]
    .filter(chart => chart.querySelector('svg.marks'));
  window.frames_seen = window.frames_without = 0;
  const look = () => {{
    window.frames_seen += 1;
    if (charts.some(chart => !chart.querySelector('svg.marks path'))) window.frames_without += 1;
    requestAnimationFrame(look);
  }};
  requestAnimationFrame(look);
}}"""
