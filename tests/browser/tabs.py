"""What the browser tests wait for and measure on an open page.

In: a page of the dashboard, as Playwright holds it. Out: texts that it shows, its width.
"""

from __future__ import annotations

import time

from playwright.sync_api import TimeoutError

from tests.browser.dashboard import allowed


def settle(page):
    """Wait until the page has its title and its script has run."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning] h1")


def wait_for_text(page, text, timeout_s=30.0):
    """Wait until the page shows this text."""
    is_shown = "text => document.body.innerText.includes(text)"
    try:
        page.wait_for_function(is_shown, arg=text, timeout=1000 * allowed(timeout_s))
    except TimeoutError as error:
        shown = page.evaluate("document.body.innerText")
        raise AssertionError(f"not shown: {text!r}; the page shows:\n{shown}") from error


def fill(page, label, text):
    """Type a text into the field whose label begins so, and leave it."""
    field = page.get_by_role("textbox", name=label)
    field.fill(text)
    field.press("Control+Enter")


def overflow_px(page):
    """Return how much wider than the window the page is, once its layout stands still.

    On a busy machine a chart still has the width of the earlier window for some time, so a page
    that is too wide is measured again until it is not, for 20 s at most.
    """
    end = time.monotonic() + allowed(20.0)
    while True:
        page.evaluate("window.overflow = undefined")
        page.wait_for_function(_STANDS_STILL)
        overflow = page.evaluate("window.overflow")
        if overflow == 0 or time.monotonic() > end:
            return overflow


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
