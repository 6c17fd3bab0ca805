"""A study in the browser: started from the form, watched, paused, resumed, compared."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.dashboard import wait_until
from tests.browser.tabs import fill, overflow_px, settle, wait_for_text
from tests.support.tiny_runs import TINY
from trainer.study.trials import read_trials, study_root

pytestmark = pytest.mark.browser

SETTINGS = "\n".join((*TINY, "models=lgbm", "boosting.segment_rounds=500"))
GRID = "boosting.rounds=5000,4"  # the first trial is long enough to be paused


def test_a_study_from_the_first_click_to_its_comparison(
    emptied_server, open_page, study_recordings
):
    """Two settings with two seeds: four runs, one of them interrupted by a pause."""
    root = study_root(emptied_server.state, "mine")
    page = open_page(emptied_server.url())
    page.get_by_role("radio", name="File or folder").click()
    fill(page, "Path of a CSV or Parquet file", str(study_recordings))
    fill(page, "Run name", "mine")
    page.get_by_text("More settings").click()
    fill(page, "One KEY=VALUE per line", SETTINGS)
    page.get_by_text("Study: several seeds or settings").click()
    fill(page, "Seeds, separated by commas", "42,43")
    fill(page, "One KEY=V1,V2 per line", GRID)
    wait_for_text(page, "2 combinations of settings with 2 seeds: 4 runs")
    page.get_by_role("button", name="Start study mine").click()

    wait_for_text(page, "0 of 2 trials done", 60)
    wait_for_text(page, "Now: trial 0 of 2: mine-0-s4", 60)
    page.get_by_role("button", name="Pause study").click()
    wait_for_text(page, "Resume study", 60)
    assert read_trials(root)[0].state == "running"
    page.get_by_role("button", name="Resume study").click()
    wait_until(lambda: all_complete(root), 120, "both trials are complete")
    wait_for_text(page, "2 of 2 trials done", 30)

    link = page.locator("[data-testid=stMain]").get_by_role("link", name="Compare its trials")
    expect(link).to_have_count(1)  # elements of an earlier drawing vanish once the page is drawn
    link.click()
    wait_for_text(
        page, "Grid: 2 of 2 trials done; seeds 42 and 43 with 2 folds each. Best: trial", 30
    )
    wait_for_text(page, "A trial is one combination of settings, trained with every seed.")
    settle(page)
    assert overflow_px(page) == 0
    page.get_by_role("button", name="Duplicate the best").click()
    wait_for_text(page, "New run with the settings of mine-")


def all_complete(root):
    states = [trial.state for trial in read_trials(root)]
    return states == ["complete", "complete"]
