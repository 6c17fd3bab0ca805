"""From a click to a prediction: a run is started, watched, paused, resumed, and answers."""

from __future__ import annotations

import functools
import math
import re

import polars as pl
import pytest
from playwright.sync_api import expect

from tests.browser import observer
from tests.browser.dashboard import allowed, wait_until
from tests.browser.tabs import settle, wait_for_text
from trainer.data.sources import WATCH_PATH
from trainer.store.reader import RunReader

pytestmark = pytest.mark.browser

# Two folds on the real recordings: enough epochs to be watched, half a minute of work
SHORT = "boosting.rounds=50\nnetwork.epochs=16\nfolds.count=2"
MAX_DELAY_S = 2.0
MAIN = "[data-testid=stMain]"
# a quick machine may skip any single epoch between two looks
_HAS_EPOCHS_LEFT = "() => /running epoch [2-9] of/.test(document.body.innerText)"


@pytest.fixture
def recording(tmp_path):
    """Two sequences of the built-in recordings as a CSV file without labels."""
    table = pl.read_parquet(WATCH_PATH)
    ids = table["sequence_id"].unique(maintain_order=True)[:2]
    path = tmp_path / "two.csv"
    chosen = table.filter(pl.col("sequence_id").is_in(ids.implode()))
    chosen.drop("gesture", "sequence_type").write_csv(path)
    return path


def test_a_run_from_the_first_click_to_a_prediction(serve, open_page, recording, report):
    """Start, movement within 2 s of each event, pause, resume, the end, two predictions."""
    dashboard = serve()
    page = open_page(dashboard.url())
    reader = start(page, dashboard)
    observer.watch(page)
    pause_and_resume(page)
    wait_for_text(page, "Finished at", 120)
    assert all(unit.done for unit in reader.fold_records())
    assert max(unit.attempt for unit in reader.fold_records()) == 2

    def is_all_shown():  # the status strip is drawn before the fold table
        return max(event_delays(observer.seen(page), reader)) < math.inf

    wait_until(is_all_shown, 10, "the last fold is shown")
    delays = event_delays(observer.seen(page), reader)
    report("delays_s", [round(delay, 2) for delay in delays])
    assert len(delays) >= 10
    assert observer.percentile_95(delays) <= allowed(MAX_DELAY_S)

    page.locator(MAIN).get_by_role("link", name="Predict").click()
    predict_built_in(page)
    predict_upload(page, recording)


def start(page, dashboard):
    """Start a short run under More settings; wait until its fold table is shown."""
    page.get_by_text("More settings").click()
    field = page.get_by_label("One KEY=VALUE per line")
    field.fill(SHORT)
    field.press("Control+Enter")
    wait_for_text(page, "folds.count 5 → 2")
    page.get_by_role("button", name="Start watch-1").click()
    wait_for_text(page, "Running", 60)
    page.wait_for_selector("[data-testid=stTable]", timeout=60_000)
    return RunReader(dashboard.state / "watch-1")


def pause_and_resume(page):
    """Pause while the network trains: requested, acknowledged, paused; then resume."""
    page.wait_for_function(_HAS_EPOCHS_LEFT, timeout=60_000)
    expect(page.get_by_text(re.compile("^A pause now loses"))).to_be_visible()
    page.get_by_role("button", name="Pause", exact=True).click()
    wait_for_text(page, "Pause requested", 5)
    wait_for_text(page, "acknowledged", 10)
    wait_for_text(page, "→ paused", 20)
    page.get_by_role("button", name="Resume").click()
    wait_for_text(page, "Running", 60)


def event_delays(observations, reader):
    """Return for each segment, epoch and fold how long after its event the page first showed it."""
    return [
        observer.delay_s(observations, event.time, functools.partial(is_shown, event))
        for event in reader.events()
        if event.event in ("segment", "epoch", "fold")
    ]


def is_shown(event, text):
    """Return whether the page shows the event, or a later one of the same model.

    A fold that is done includes all its steps: the last of them may come within one refresh.
    """
    lines = text.splitlines()
    model = {"lgbm": "LightGBM", "torch": "Network"}[event.model]
    column = ["lgbm", "torch"].index(event.model) + 1
    rows = [line.split("|") for line in lines if line.startswith(f"{event.fold}|")]
    if any(row[column].startswith("done") for row in rows):
        return True
    if event.event == "fold":
        return False
    newest = re.compile(rf"{model}, newest: fold (\d+), \w+ (\d+)")
    found = [newest.match(line) for line in lines]
    points = [(int(match[1]), int(match[2])) for match in found if match]
    return any(point >= (event.fold, event.values["step"]) for point in points)


def predict_built_in(page):
    """Predict the first built-in sequence."""
    wait_for_text(page, "Its probability", 60)
    settle(page)
    expect(page.get_by_text("True gesture:").first).to_be_visible()


def predict_upload(page, recording):
    """Predict a file of two sequences without labels."""
    page.get_by_role("radio", name="Upload").click()
    page.locator("[data-testid=stFileUploader] input[type=file]").first.set_input_files(recording)
    wait_for_text(page, "Predictions of 2 sequences", 60)
    wait_for_text(page, "2 of 2 are among the recordings", 30)
