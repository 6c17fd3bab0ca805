"""Fixtures for the tests of the pages."""

from __future__ import annotations

import pytest

from pages.ui.shared import frame


@pytest.fixture
def go_read_only(state_dir, monkeypatch):
    """Return a function that makes the dashboard read-only, as a restart with --read-only does."""
    return lambda: monkeypatch.setenv(frame.READ_ONLY, "1")
