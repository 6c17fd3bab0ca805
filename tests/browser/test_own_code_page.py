"""Own code in the browser: named, checked and trained; approved where it came with a run."""

from __future__ import annotations

import pytest

from tests.browser.dashboard import wait_until
from tests.browser.tabs import fill, settle, wait_for_text
from tests.support.own_code import FAVOURITE, JERK, num_executed, train_own, write_constant
from tests.support.tiny_runs import TINY
from trainer.models import registry
from trainer.models.own_code import NO_CODE
from trainer.run.pipeline import Limits
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

pytestmark = pytest.mark.browser


@pytest.fixture
def arrived(emptied_server, study_recordings, tmp_path):
    """A paused run with own code that somebody else has approved; return its folder and marks."""
    marker, root = tmp_path / "marks", emptied_server.state / "arrived"
    path = write_constant(tmp_path, marker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GESTURE_APPROVALS", str(tmp_path / "theirs" / "approved.json"))
        limits = Limits(stop_after_folds=1)
        assert train_own(root, study_recordings, [path], *FAVOURITE, limits=limits) == "paused"
    registry.use_own(NO_CODE)
    return root, marker


def test_code_that_came_with_a_run_is_executed_after_approval_only(
    emptied_server, arrived, open_page
):
    """Read in the dialog, approved there; then the run goes on to its end."""
    root, marker = arrived
    executed = num_executed(marker)
    page = open_page(emptied_server.url("?run=arrived"))
    assert page.get_by_role("button", name="Resume", exact=True).count() == 0
    page.get_by_role("button", name="Review and approve code").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("class Favourite(TableModel)").wait_for()
    assert num_executed(marker) == executed
    dialog.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    wait_until(lambda: state_of(root) == "finished", 60, "the run is finished")
    wait_for_text(page, "View scores")
    assert num_executed(marker) > executed


def test_a_run_with_a_file_of_ones_own_is_started_from_the_form(
    emptied_server, open_page, study_recordings
):
    """Its path, the check, the start; the importance of the run has its columns."""
    root = emptied_server.state / "mine"
    page = open_page(emptied_server.url())
    page.get_by_role("radio", name="File or folder").click()
    fill(page, "Path of a CSV or Parquet file", str(study_recordings))
    fill(page, "Run name", "mine")
    page.get_by_text("Your own code").click()
    fill(page, "Paths of Python files", str(JERK))
    page.get_by_role("button", name="Check the code").click()
    wait_for_text(page, "It can be used.", 60)
    settle(page)
    page.get_by_text("More settings").click()
    fill(page, "One KEY=VALUE per line", "\n".join((*TINY, "models=lgbm")))
    page.get_by_role("button", name="Start mine").click()
    wait_until(lambda: state_of(root) == "finished", 60, "the run is finished")
    wait_for_text(page, "View scores")
    assert "acc.jerk.mean" in (root / "feature_importance.csv").read_text()


def state_of(root):
    return derive_state(RunReader(root)).state
