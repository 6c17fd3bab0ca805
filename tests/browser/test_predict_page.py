"""The page Predict in the browser: clicks and the slider mark places on the traces."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.tabs import settle, wait_for_text

pytestmark = pytest.mark.browser


def test_a_clicked_contribution_is_marked_on_the_traces(finished, open_page):
    """The list names it, the traces' title shows its source, its signal is drawn."""
    page = open_page(finished.url("predict?run=tiny"))
    wait_for_text(page, "Look closer", 60)
    page.get_by_role("radio", name="Why", exact=True).click()
    wait_for_text(page, "LightGBM: contributions to", 60)
    settle(page)
    assert page.get_by_text("Preprocessed").count() == 0
    bars = page.locator(".st-key-predict_contributions .points path")
    bars.first.scroll_into_view_if_needed()
    box = max((bar.bounding_box() for bar in bars.all()), key=lambda box: box["width"])
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    chosen = page.locator(".st-key-predict_feature input")
    expect(chosen).not_to_have_value("Nothing", timeout=30_000)
    settle(page)
    feature = chosen.input_value()
    expect(page.get_by_text(f"{feature} is computed from")).to_be_visible()
    page.locator(".st-key-chart_traces").get_by_text("Preprocessed").wait_for()
    assert "run=tiny" in page.url


def test_the_slider_moves_the_rule_on_the_traces(finished, open_page):
    """A key on the slider: the images are of the step before, and the rule stands there too."""
    page = open_page(finished.url("predict?run=tiny"))
    wait_for_text(page, "Look closer", 60)
    page.wait_for_function(f"() => {RULE_S} !== undefined")
    before = page.evaluate(RULE_S)
    page.get_by_role("slider", name="Time").press("ArrowLeft")
    page.wait_for_function(f"before => {RULE_S} < before", arg=before)
    assert page.evaluate(RULE_S) == pytest.approx(before - 0.1)
    expect(page.get_by_text(f"{before - 0.1:.1f} s", exact=True).first).to_be_visible()


RULE_S = (
    "document.querySelector('.st-key-chart_traces .js-plotly-plot')"
    "?.layout.shapes.find(shape => shape.name === 'instant')?.x0"
)
