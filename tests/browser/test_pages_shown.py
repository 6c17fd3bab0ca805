"""Every page in the browser: deep links, widths, themes, uploads, a dashboard that only shows."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect

from tests.browser.tabs import overflow_px, settle, wait_for_text
from trainer.store.reader import list_runs

pytestmark = pytest.mark.browser

TITLES = ("Train", "Scores", "Features", "Predict", "Data", "Runs")
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 23, 23)"}


def test_a_deep_link_on_a_fresh_server_shows_its_page_with_the_frame(
    serve, open_page, tiny_run, tmp_path
):
    """The first visitor of a server may come by a link: page, frame and run are the link's."""
    state = tmp_path / "state"
    shutil.copytree(tiny_run, state / "tiny")
    page = open_page(serve(state=state).url("scores?run=tiny"))
    wait_for_text(page, "Scores")
    expect(page.locator("h1")).to_have_text("Scores")
    expect(page.get_by_role("link", name="Predict")).to_be_visible()
    wait_for_text(page, "State folder")
    assert page.url.endswith("/scores?run=tiny")


def test_a_deep_link_puts_its_runs_side_by_side(serve, open_page, tiny_run, tmp_path):
    """The compared runs are part of the address too, on a server without earlier visitors."""
    state = tmp_path / "state"
    for name in ("one", "other"):
        shutil.copytree(tiny_run, state / name)
    page = open_page(serve(state=state).url("runs?compare=one&compare=other"))
    wait_for_text(page, "2 runs side by side")
    wait_for_text(page, "other has the same score on every fold.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_three_widths_in_both_themes(finished, open_page, theme):
    """No page scrolls sideways; the background is the theme's; nothing failed."""
    page = open_page(finished.url("?run=tiny"), theme=theme)
    sidebar = page.get_by_test_id("stSidebarUserContent")
    for title in TITLES:
        page.set_viewport_size({"width": 1440, "height": 1000})  # the sidebar is open
        sidebar.get_by_role("link", name=title, exact=True).click()
        page.get_by_role("heading", name=title, exact=True, level=1).wait_for()
        settle(page)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.evaluate(_BACKGROUND) == BACKGROUNDS[theme]
        for width in (390, 820, 1440):
            page.set_viewport_size({"width": width, "height": 1000})
            assert overflow_px(page) == 0, f"{title} at {width} px"


def test_nonsense_that_is_uploaded_is_refused_in_words(finished, open_page, tmp_path):
    """A file that is no recording, and one that is no exported run: named, and nothing breaks."""
    page = open_page(finished.url("predict?run=tiny"))
    page.get_by_role("radio", name="Upload").click()
    fields = page.locator("[data-testid=stFileUploader] input[type=file]")
    fields.first.set_input_files(
        {"name": "../../evil.csv", "mimeType": "text/csv", "buffer": b"\x00\xff no, table"}
    )
    wait_for_text(page, "The upload cannot be used.")

    page.goto(finished.url("runs"))
    settle(page)
    page.get_by_text("Import a run").click()
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(
        {"name": "evil.zip", "mimeType": "application/zip", "buffer": b"PK no zip"}
    )
    page.get_by_role("button", name="Import", exact=True).click()
    wait_for_text(page, "not a")
    assert [run.name for run in list_runs(finished.state)] == ["tiny"]


def test_an_exported_run_can_be_imported_elsewhere(finished, serve, open_page, tmp_path):
    """Export is one zip file; another dashboard takes it and shows its scores."""
    page = open_page(finished.url("runs"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    target = tmp_path / "tiny.zip"
    download.value.save_as(target)

    other = serve(state=tmp_path / "elsewhere")
    page = open_page(other.url("runs"))
    wait_for_text(page, "No runs yet")
    page.get_by_text("Import a run").click()
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(target)
    page.get_by_role("button", name="Import", exact=True).click()
    wait_for_text(page, "Finished at")
    assert [run.name for run in list_runs(other.state)] == ["tiny"]


def test_a_read_only_dashboard_shows_and_changes_nothing(serve, open_page, tiny_run, tmp_path):
    """With --read-only the pages have nothing that writes."""
    state = tmp_path / "state"
    shutil.copytree(tiny_run, state / "tiny")
    page = open_page(serve("--read-only", state=state).url("?run=tiny"))
    wait_for_text(page, "Read-only")
    for name in ("Start over", "Start a new run"):
        assert page.get_by_text(name).count() == 0
    page.goto(page.url.replace("?", "runs?"))
    settle(page)
    wait_for_text(page, "Finished at")
    for name in ("Delete", "Import a run", "Start over"):
        assert page.get_by_text(name).count() == 0


_BACKGROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
