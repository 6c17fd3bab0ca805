"""A page of the dashboard, as AppTest draws it: open it, read what it shows.

In: the name of a page. Out: the drawn page, its texts and its metrics.
"""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.support.tiny_runs import PROJECT

TEXT_KINDS = ("markdown", "caption", "subheader", "error", "warning", "info", "code")


def visit(page="train", run=None):
    """Open a page as a deep link does; fail where it shows an exception."""
    app = AppTest.from_file(str(PROJECT / "dashboard.py"), default_timeout=60)
    if run is not None:
        app.query_params["run"] = run
    return turn_to(app, page)


def turn_to(app, page):
    """Change to a page of an open dashboard; fail where it shows an exception."""
    if page == "train":
        app.run()
    else:  # drawing the page Train first is left out
        app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


def texts(app, kinds=TEXT_KINDS):
    """Return all texts of a page, without the backslashes that Markdown needs."""
    return "\n".join(
        str(element.value).replace("\\", "") for kind in kinds for element in app.get(kind)
    )


def metrics(app):
    """Return the values of a page's metrics by their labels."""
    return {
        str(metric.label).replace("\\", ""): str(metric.value).replace("\\", "")
        for metric in app.metric
    }
