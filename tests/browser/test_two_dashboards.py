"""Two dashboards on one state folder: both press the buttons of the same run."""

from __future__ import annotations

import shutil

import pytest

from tests.browser.dashboard import wait_until
from tests.browser.tabs import settle, wait_for_text

pytestmark = pytest.mark.browser


def test_a_run_that_the_other_dashboard_deleted_is_named(serve, open_page, tiny_run, tmp_path):
    """Both confirm Delete: the first deletes it, the second shows that it is gone."""
    state = tmp_path / "state"
    for name in ("kept", "wanted"):
        shutil.copytree(tiny_run, state / name)
    pages = [open_page(serve(state=state).url("runs?run=wanted")) for _ in range(2)]
    for page in pages:
        page.locator(".st-key-is_live label").first.click()  # else the second notices by itself
        settle(page)
        page.locator(".st-key-delete_popover button").first.click()
        field = page.locator(".st-key-delete_wanted input")
        field.fill("wanted")
        field.press("Enter")
        settle(page)
    for page in pages:
        page.locator(".st-key-delete_sure button").first.click()
        wait_until(lambda: not (state / "wanted").exists(), 30, "the run is deleted")
        settle(page)
    wait_for_text(pages[1], "no run in this folder")
    for page in pages:
        wait_for_text(page, "kept")
        assert page.locator("[data-testid=stException]").count() == 0
    assert [path.name for path in state.iterdir() if not path.name.startswith(".")] == ["kept"]
