"""Runs of an earlier version, whose configuration has settings that were removed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from trainer.store.names import RunPaths

DASHBOARD = Path(__file__).parents[2] / "dashboard.py"
PAGES = ("train", "scores", "features", "predict", "data", "runs")


@pytest.mark.parametrize("state", ["finished", "paused"])
def test_every_page_shows_a_run_of_an_earlier_version(make_run, state):
    """Its settings, score and files are shown, without an exception or an error about the run."""
    path = RunPaths(make_run("first", state)).config
    earlier = json.loads(path.read_text())
    earlier["network"]["sensor_dropout"] = 0.0
    earlier["code"] = {"features": 1, "network": 5}
    path.write_text(json.dumps(earlier))
    app = AppTest.from_file(str(DASHBOARD), default_timeout=30)
    app.query_params["run"] = "first"
    for page in PAGES:
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception, page
        errors = [error.value for error in app.error]
        assert not [text for text in errors if "config.json" in text], page
    runs = app.dataframe[0].value
    assert runs["Run"].tolist() == ["first"]
    assert runs["Recordings"].tolist() == ["watch"]
