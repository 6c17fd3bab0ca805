"""Toasts: one for each run that ended and each finished fold, on every page."""

from __future__ import annotations

import time

import pytest

from pages.ui.shared import toasts
from tests.support.pages import visit
from tests.support.run_folders import change_status
from trainer.store.durable import append_line
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader


def toast_texts(app):
    return [toast.value.replace("\\", "") for toast in app.toast]


def test_the_end_of_a_run_is_shown_on_every_page(make_run):
    """A toast, once, on a page that is not about training."""
    root = make_run("first", "running")
    app = visit("runs", run="first")
    assert toast_texts(app) == []
    change_status(root, state="finished", stage="done", done_units=6)
    app.run()
    assert toast_texts(app) == ["first finished."]
    app.run()
    assert toast_texts(app) == []


def test_a_finished_fold_of_another_run_is_shown(make_run):
    """Of a run that is not on the page: the fold and its score."""
    root = make_run("first", "running")
    app = visit("runs", run="first")
    values = {"score": 0.912, "seconds": 3.0}
    line = {"event": "fold", "time": time.time(), "attempt": 1, "model": "torch", "fold": 1}
    append_line(RunPaths(root).metrics, line | {"values": values})
    change_status(root, done_units=5)
    app.run()
    assert toast_texts(app) == ["first: Network, fold 1 done, score 0.912."]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (toasts.Seen("running", 1, 4), toasts.Seen("paused", 1, 4), "first paused."),
        (toasts.Seen("paused", 1, 4), toasts.Seen("running", 2, 4), ""),
        (toasts.Seen("paused", 1, 4), toasts.Seen("paused", 2, 5), "first paused."),
        (toasts.Seen("running", 1, None), toasts.Seen("running", 1, 4), ""),
        (None, toasts.Seen("finished", 1, 6), ""),
    ],
)
def test_only_ends_are_shown(make_run, before, now, expected):
    """Not a resumed run, not the state when a tab is opened, not folds that are counted late."""
    reader = RunReader(make_run("first", "finished"))
    assert toasts._change(reader, before, now, None) == expected
