"""Access: read-only dashboards, pages opened before, the settings of the server."""

from __future__ import annotations

import tomllib

import pytest

from pages.ui.shared import frame
from tests.support.pages import texts, visit
from tests.support.tiny_runs import PROJECT
from trainer.run import control


@pytest.mark.parametrize("key", ["save_notes", "rename_sure", "delete_sure", "start_over_sure"])
def test_a_page_from_before_read_only_is_refused(make_run, go_read_only, key):
    """A button that is still on an open page changes nothing, and the page shows why."""
    root = make_run("first", "paused")
    before = {path: path.read_bytes() for path in root.iterdir()}
    app = visit("runs")
    app.text_input(key="rename_first").set_value("second")
    app.text_input(key="delete_first").set_value("first")
    app.text_input(key="title_first").set_value("changed").run()
    go_read_only()
    app.button(key=key).click().run()
    assert "This dashboard is read-only" in app.error[0].value
    assert {path: path.read_bytes() for path in root.iterdir()} == before


@pytest.mark.parametrize("key", ["resume", "start"])
def test_a_train_page_from_before_read_only_starts_nothing(
    make_run, state_dir, go_read_only, monkeypatch, key
):
    """Neither Resume nor Start reaches control."""
    if key == "resume":  # with a run, the start form is closed
        make_run("first", "paused")
    called = []
    for action in ("resume", "start"):
        monkeypatch.setattr(control, action, lambda *args: called.append(args))
    app = visit()
    go_read_only()
    app.button(key=key).click().run()
    assert "This dashboard is read-only" in app.error[0].value
    assert called == []


@pytest.mark.parametrize(
    ("value", "is_read_only"), [("1", True), ("TRUE", True), ("0", False), ("", False)]
)
def test_an_environment_name_makes_it_read_only(monkeypatch, value, is_read_only):
    """DASHBOARD_READ_ONLY has the effect of --read-only, for servers started by a script."""
    monkeypatch.setenv("DASHBOARD_READ_ONLY", value)
    assert frame.parse_options([]).read_only == is_read_only
    assert frame.parse_options(["--read-only"]).read_only


def test_an_environment_name_that_is_no_switch_opens_nothing(make_run, monkeypatch):
    """A typing error must not leave the controls enabled."""
    make_run("first", "paused")
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "ja")
    app = visit()
    assert not app.button
    assert "environment DASHBOARD_READ_ONLY: expected 1 or 0, got 'ja'" in texts(app)


def test_a_read_only_empty_folder_offers_no_start(state_dir, go_read_only):
    """Actions that are not possible are not offered."""
    go_read_only()
    app = visit("runs")
    assert "This dashboard is read-only and its folder is empty." in texts(app)
    assert "import_expander" not in str(app.main)


def test_the_server_listens_here_only_and_to_no_other_site():
    """Any client could start training: address, hosts, CORS and XSRF are fixed."""
    server = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())["server"]
    assert server["address"] == "127.0.0.1"
    assert server["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert server["enableCORS"] is True
    assert server["enableXsrfProtection"] is True


def test_tables_are_exported_by_our_buttons_only():
    """Streamlit's own export would write formulas as they are."""
    options = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())
    assert options["client"]["disableDataExport"] is True
    written = {
        path.name
        for path in (PROJECT / "pages").rglob("*.py")
        if "write_csv" in path.read_text() or "to_csv" in path.read_text()
    }
    assert written == set()
