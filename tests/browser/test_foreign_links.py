"""A run whose names, title and note are addresses and markup: every page, in a real browser."""

from __future__ import annotations

import pytest

from tests.browser.tabs import settle, wait_for_text
from tests.support import hostile_texts

pytestmark = pytest.mark.browser

PAGES = ("", "scores", "features", "predict", "data", "runs")
VIEWS = ("Why", "What if", "Nearest")
LINKS = """(host) => [...document.querySelectorAll('a, area, form, iframe, img, image')]
  .flatMap((element) => [...element.attributes].map((each) => each.value))
  .filter((value) => value.includes(host))"""


def test_no_page_links_to_a_foreign_address(serve, open_page, tmp_path):
    """All of it is shown as written, in texts, tables and figures."""
    state = tmp_path / "state"
    state.mkdir()
    hostile_texts.make_run(tmp_path, state)
    page = open_page(serve(state=state).url("?run=foreign"))
    dashboard = page.url.split("?")[0]
    for name in PAGES:
        page.goto(f"{dashboard}{name}?run=foreign")
        settle(page)
        wait_for_text(page, f"http:\u2060//{hostile_texts.HOST}/title")
        page.wait_for_timeout(1500)  # figures
        assert page.evaluate(LINKS, hostile_texts.HOST) == [], name

    page.goto(f"{dashboard}predict?run=foreign")
    settle(page)
    for view in VIEWS:
        page.get_by_role("radio", name=view).click()
        settle(page)
        page.wait_for_timeout(1500)
        assert page.evaluate(LINKS, hostile_texts.HOST) == [], view
