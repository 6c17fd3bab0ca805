"""The example run: offered where there is no run, and shown by every page."""

from __future__ import annotations

from tests.support.pages import texts, turn_to, visit


def test_an_empty_folder_offers_an_example_that_every_page_shows(state_dir):
    """One click; then it is marked by its title, can be looked at and not be resumed."""
    app = visit()
    app.button(key="open_example").click().run()
    assert not app.exception and not app.error
    assert [path.name for path in state_dir.iterdir()] == ["example"]
    assert "Example run that ships with the project" in texts(app)
    keys = [button.key for button in app.button]
    assert "open_example" not in keys and "resume" not in keys
    for page in ("scores", "features", "predict"):
        turn_to(app, page)
        assert not app.error and not app.warning, texts(app)
        assert "Example run that ships with the project" in texts(app)
        assert "not available" not in texts(app)
