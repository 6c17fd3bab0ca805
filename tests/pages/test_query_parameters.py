"""Query parameters that no link of the dashboard has: pages open and show an existing run."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.pages import texts, turn_to
from tests.support.tiny_runs import PROJECT

PAGES = ("train", "data", "runs")
HOSTILE = ("\x00", "../first", "[a](http://foreign.example)", "a" * 10_000)


@pytest.mark.parametrize("page", PAGES)
def test_no_query_parameter_breaks_a_page(make_run, page):
    """As run, as compared runs, and as a parameter that no page has."""
    make_run("first")
    make_run("second", "paused")
    for value in HOSTILE:
        app = AppTest.from_file(str(PROJECT / "dashboard.py"), default_timeout=60)
        app.query_params["run"] = value
        app.query_params["compare"] = [value, "first", value]
        app.query_params["page" if value else "x"] = value
        turn_to(app, page)
        assert "foreign.example" not in texts(app)
        assert app.selectbox(key="run").value in ("newest", "first", "second")
