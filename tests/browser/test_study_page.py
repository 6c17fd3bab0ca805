"""A study in the browser: started from the form, watched, paused, resumed, compared."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.dashboard import wait_until
from tests.browser.tabs import overflow_px, settle, wait_for_text
from trainer.study.trials import read_trials, study_root

pytestmark = pytest.mark.browser

SETTINGS = "boosting.rounds=120\nfolds.count=3\nmodels=lgbm"
GRID = "boosting.num_leaves=3,15"


def test_a_study_from_the_first_click_to_its_comparison(serve, open_page):
    """Two settings with two seeds: four runs, one of them interrupted by a pause."""
    dashboard = serve()
    root = study_root(dashboard.state, "watch-1")
    page = open_page(dashboard.url())
    page.get_by_text("More settings").click()
    fill(page, "One KEY=VALUE per line", SETTINGS)
    page.get_by_text("Study: several seeds or settings").click()
    fill(page, "Seeds, separated by commas", "42,43")
    fill(page, "Values of settings: one KEY=V1,V2 per line", GRID)
    wait_for_text(page, "2 combinations of settings with 2 seeds: 4 runs")
    page.get_by_role("button", name="Start study watch-1").click()

    wait_for_text(page, "Study watch-1", 60)
    wait_for_text(page, "0 of 2 trials done", 60)
    wait_for_text(page, "Now: trial 0 of 2: watch-1-0-s42", 60)
    page.get_by_role("button", name="Pause study").click()
    wait_for_text(page, "Resume study", 60)
    assert read_trials(root)[0].state == "running"
    page.get_by_role("button", name="Resume study").click()
    wait_for_text(page, "1 of 2 trials done", 240)
    wait_until(lambda: all_complete(root), 240, "both trials are complete")
    wait_for_text(page, "2 of 2 trials done", 30)

    link = page.locator("[data-testid=stMain]").get_by_role("link", name="Compare its trials")
    expect(link).to_have_count(1)  # elements of an earlier drawing vanish once the page is drawn
    link.click()
    wait_for_text(page, "Grid: 2 of 2 trials done; seeds 42, 43, 3 folds each. Best: trial", 30)
    wait_for_text(page, "each fold holds the same people under every seed")
    settle(page)
    assert overflow_px(page) == 0
    page.get_by_role("button", name="Duplicate the best").click()
    wait_for_text(page, "New run with the settings of watch-1-")


def fill(page, label, text):
    field = page.get_by_role("textbox", name=label)
    field.fill(text)
    field.press("Control+Enter")


def all_complete(root):
    states = [trial.state for trial in read_trials(root)]
    return states == ["complete", "complete"]
