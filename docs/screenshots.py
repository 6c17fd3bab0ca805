"""Screenshots of every page, from a real run.

In: nothing (a full run is trained in a temporary folder and pictured while it runs), or a state
folder and one of its finished runs; for ``--studies`` a search and a run with own code are made.
Out: ``docs/screenshots/*.png``, 1440 pixels wide, light theme; one dark, one of a phone's width; of
studies and own code only the part of the page.
Run: ``python -m docs.screenshots [--state DIR --run NAME | --studies] [--out DIR]``; it needs
Chromium. It takes about 2 minutes, with a finished run 44 s (2 busy cores).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS, Dashboard, wait_until
from tests.browser.tabs import fill
from trainer.config import make_config
from trainer.run import control
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OUT = Path(__file__).with_name("screenshots")
WIDTH_PX, PHONE_PX = 1440, 390
HEIGHT_PX, MAX_HEIGHT_PX = 900, 1500  # a longer page is cut
PAGES = ("scores", "features", "predict", "data", "runs")
TRAIN_S = 900.0  # timeout of a run on a busy machine
DONE_FOLDS = 6  # of ten: with the first network fold the blend has scores
WORKING = (  # file, width, theme
    ("train", WIDTH_PX, "light"),
    ("train-dark", WIDTH_PX, "dark"),
    ("train-phone", PHONE_PX, "light"),
)

SEARCH = """[boosting.learning_rate]
low = 0.02
high = 0.3
log = true

[boosting.num_leaves]
low = 3
high = 31

[boosting.min_data_in_leaf]
choices = [1, 5, 20, 200]
"""
LIGHT = ("--preset", "quick", "--rounds", "40")

_IS_DRAWN = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  const isBusy = document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')
    || document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'notRunning';
  if (isBusy || window.height !== main.scrollHeight) {
    window.height = main.scrollHeight;
    window.since = Date.now();
  }
  return Date.now() - window.since > 1500;
}"""

LIVE_S = 6.0  # a live page never stops changing; by then its charts are drawn


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Screenshots of every page, from a real run.")
    parser.add_argument("--state", type=Path, help="a state folder; without it, one is made")
    parser.add_argument("--run", help="a finished run in it")
    parser.add_argument("--studies", action="store_true", help="studies and own code alone")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if (options.state is None) != (options.run is None):
        parser.error("--state and --run belong together")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        state = options.state or Path(folder) / "state"
        state.mkdir(exist_ok=True)
        if options.studies:
            take_studies(state.resolve(), options.out)
        else:
            take(state.resolve(), options.run, options.out)


def take(state: Path, run: str | None, out: Path) -> None:
    """Serve the state folder and take the pictures.

    Args:
        state: The state folder.
        run: A finished run in it; None trains one and shows it at work too.
        out: Where the pictures go.
    """
    from playwright.sync_api import sync_playwright

    dashboard = Dashboard(state).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
            if run is None:
                run = "first"
                take_working(browser, dashboard, run, out)
            take_finished(browser, dashboard, run, out)
            browser.close()
    finally:
        dashboard.close()


def take_working(browser: Browser, dashboard: Dashboard, run: str, out: Path) -> None:
    """Train a run, picture it while it runs, wait for its end.

    Raises:
        RuntimeError: It ended before all pictures of a running run were taken.
    """
    reader = RunReader(dashboard.state / run)
    control.start(dashboard.state, run, make_config("full", environment={}))
    wait_until(lambda: num_done(reader) >= DONE_FOLDS, TRAIN_S, f"{DONE_FOLDS} folds are done")
    for name, width, theme in WORKING:
        page = open_page(browser, dashboard.url(f"?run={run}"), width, theme, is_live=True)
        shoot(page, out / f"{name}.png")
        if derive_state(reader).state != "running":
            raise RuntimeError(
                f"{name}.png: the run was {derive_state(reader).state} when it was taken"
            )
    wait_until(lambda: derive_state(reader).state == "finished", TRAIN_S, "the run is finished")


def take_finished(browser: Browser, dashboard: Dashboard, run: str, out: Path) -> None:
    """Picture a finished run on every page."""
    shoot(open_page(browser, dashboard.url(f"?run={run}")), out / "train-finished.png")
    for page in PAGES:
        shoot(open_page(browser, dashboard.url(f"{page}?run={run}")), out / f"{page}.png")


def take_studies(state: Path, out: Path) -> None:
    """Train a search and a run with own code; picture the study, the form and the approval.

    Args:
        state: An empty state folder.
        out: Where the pictures go.
    """
    from playwright.sync_api import sync_playwright

    search = state.parent / "search.toml"
    search.write_text(SEARCH)
    files = [f"examples/{name}.py" for name in ("jerk_features", "extra_trees")]
    os.environ["GESTURE_APPROVALS"] = str(state.parent / "theirs" / "approved.json")
    options = ("--trials", "12", "--seeds", "42,43", "--models", "lgbm")
    train("study", "night", "--search", str(search), *options, state=state)
    use = [word for file in files for word in ("--use", file)]
    weight = ("--models", "lgbm,extra_trees", "--set", "blend.weights.extra_trees=0.2")
    train("train", "--run", "ideas", *use, *weight, state=state)
    os.environ["GESTURE_APPROVALS"] = str(state.parent / "ours" / "approved.json")
    dashboard = Dashboard(state).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
            page = open_page(browser, dashboard.url("runs?run=ideas"))
            shoot_part(page, ".st-key-study_panel", out / "study.png")
            page.get_by_text("Own code:").first.click()
            page.get_by_role("button", name="Review and approve code").click()
            page.get_by_role("button", name="Approve").wait_for()
            shoot_part(page, "[role=dialog]", out / "approval.png")
            page = open_page(browser, dashboard.url("?run=ideas"))
            page.get_by_text("Start a new run").click()
            page.get_by_text("Study: several seeds or settings").click()
            page.get_by_role("radio", name="Search", exact=True).click()
            fill(page, "Seeds, separated by commas", "42,43")
            fill(page, "Settings to search, in TOML", SEARCH)
            page.get_by_role("button", name="Start study").wait_for()
            shoot_part(page, ".st-key-start_expander", out / "start-study.png")
            browser.close()
    finally:
        dashboard.close()


def train(*words: str, state: Path) -> None:
    """Run a command of the trainer to its end."""
    command = [sys.executable, "-m", "trainer", *words, *LIGHT, "--state", str(state)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def shoot_part(page: Page, selector: str, target: Path) -> None:
    """Take a picture of a part of a page that has stopped changing."""
    page.set_viewport_size({"width": WIDTH_PX, "height": 3 * HEIGHT_PX})
    page.wait_for_function(_IS_DRAWN, timeout=120_000)
    page.locator(selector).screenshot(path=target)
    print(f"{target}  {target.stat().st_size / 1000:.0f} kB")


def open_page(
    browser: Browser,
    url: str,
    width: int = WIDTH_PX,
    theme: str = "light",
    is_live: bool = False,
) -> Page:
    """Open a page and wait until it stops changing, or for some seconds if it is live."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT_PX},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("[data-testid=stMain] h1")
    if is_live:
        page.wait_for_timeout(1000 * LIVE_S)
    else:
        page.wait_for_function(_IS_DRAWN, timeout=120_000)
    return page


def shoot(page: Page, target: Path) -> None:
    """Take a picture of the whole page, and close it."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    width = page.viewport_size["width"] if page.viewport_size else WIDTH_PX
    page.set_viewport_size({"width": width, "height": max(HEIGHT_PX, min(height, MAX_HEIGHT_PX))})
    page.wait_for_timeout(1000)  # charts are drawn again at the new height
    page.screenshot(path=target)
    page.context.close()
    print(f"{target}  {target.stat().st_size / 1000:.0f} kB")


def num_done(reader: RunReader) -> int:
    """Return how many folds of the run are done."""
    return sum(unit.done for unit in reader.fold_records())


if __name__ == "__main__":
    main()
