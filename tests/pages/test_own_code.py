"""Own code on the pages: shown and approved where it came with a run, named where it is one's own.

The file of these tests leaves a mark whenever it is executed; no page may do that by itself.
"""

from __future__ import annotations

import shutil

import pytest

from pages.ui.shared import controls
from tests.support.own_code import (
    FAVOURITE,
    JERK,
    TREES,
    num_executed,
    train_own,
    train_theirs,
    write_constant,
)
from tests.support.pages import texts, visit
from trainer.config import make_config
from trainer.models import registry
from trainer.models.base import DataSize
from trainer.models.own_code import NO_CODE
from trainer.own_code import approvals, loader
from trainer.own_code.code_files import read_named
from trainer.run import control
from trainer.run.pipeline import Limits
from trainer.run.transfer.archive import export_run, import_run
from trainer.store.reader import RunReader

PAGES = ("train", "scores", "features", "predict", "data", "runs")


@pytest.fixture(scope="module")
def marker(tmp_path_factory):
    return tmp_path_factory.mktemp("marks") / "executed"


@pytest.fixture(scope="module")
def archive(tiny_source, tmp_path_factory, marker):
    """An exported run with own code, made by somebody else."""
    folder = tmp_path_factory.mktemp("made")
    root = train_theirs(folder, tiny_source, marker)
    export_run(root, folder / "own.zip")
    return folder / "own.zip"


@pytest.fixture
def fresh(state_dir, marker, tmp_path, monkeypatch):
    """Nothing is approved, loaded or executed here yet."""
    monkeypatch.setenv("GESTURE_APPROVALS", str(tmp_path / "mine" / "approved.json"))
    monkeypatch.setattr(controls, "is_on_this_machine", lambda: True)  # AppTest has no browser
    monkeypatch.setattr(loader, "_loaded", {})
    registry.use_own(NO_CODE)
    marker.unlink(missing_ok=True)
    yield state_dir
    registry.use_own(NO_CODE)


@pytest.fixture
def run(fresh, archive):
    """The run, imported."""
    return import_run(archive, fresh)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_the_run_without_executing_its_code(run, marker, page):
    """Its model has its title; prediction waits for the approval."""
    app = visit(page)
    assert [error.value for error in app.error] == []
    if page in ("train", "scores"):
        tables = [table.value.to_csv() for table in (*app.dataframe, *app.table)]
        assert "Favourite" in texts(app) + "".join(tables) + str([m.label for m in app.metric])
    if page == "predict":
        assert "own code that is not approved on this machine" in texts(app)
    assert num_executed(marker) == 0


def test_the_page_runs_shows_the_code_and_its_hash(run, marker):
    """In an expander, with the button that opens the dialog."""
    app = visit("runs")
    digest = read_named([run / "code" / "constant.py"])[0].sha256
    assert f"SHA-256 {digest}" in texts(app)
    assert any("class Favourite" in code.value for code in app.code)
    assert app.button(key="read_own_code")
    assert num_executed(marker) == 0


def test_prediction_waits_for_the_dialog_and_then_predicts(run, marker):
    """The dialog shows the code; its button approves what it shows."""
    app = visit("predict")
    app.button(key="read_own_code").click().run()
    assert not app.exception
    assert any("class Favourite" in code.value for code in app.code)
    assert num_executed(marker) == 0
    app.button(key="approve_own_code").click().run()
    assert not app.exception
    assert list(approvals.approved()) == [
        entry.partition(" ")[2] for entry in RunReader(run).run_file().use
    ]
    app = visit("predict")
    assert [error.value for error in app.error] == []
    assert "redicted by: LightGBM" in texts(app) and "Favourite 0.7" in texts(app)
    assert num_executed(marker) == 1


def test_a_browser_on_another_machine_cannot_approve(run, marker, monkeypatch):
    """It is shown the command instead, and has no field for files of this machine."""
    monkeypatch.setattr(controls, "is_on_this_machine", lambda: False)
    app = visit("predict")
    app.button(key="read_own_code").click().run()
    assert not app.exception
    assert f"python -m trainer approve {run.name}" in texts(app)
    assert "approve_own_code" not in [button.key for button in app.button]
    assert num_executed(marker) == 0


def test_a_paused_run_is_resumed_after_approval_only(
    fresh, archive, marker, tiny_source, tmp_path, monkeypatch
):
    """Instead of Resume there is the button that shows the code; the server side refuses too."""
    path = write_constant(tmp_path / "ideas", marker)
    files = read_named([path])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GESTURE_APPROVALS", str(tmp_path / "theirs" / "approved.json"))
        limits = Limits(stop_after_folds=1)
        assert train_own(fresh / "own", tiny_source, [path], *FAVOURITE, limits=limits) == "paused"
    registry.use_own(NO_CODE)
    app = visit("train")
    keys = [button.key for button in app.button]
    assert ("resume" in keys, "read_own_code" in keys) == (False, True)
    with pytest.raises(control.RefusedError, match="python -m trainer approve own"):
        control.resume(fresh / "own")
    approvals.approve({files[0].sha256: files[0].name}, "test")
    app = visit("train")
    assert "resume" in [button.key for button in app.button]


def test_the_form_starts_a_run_with_own_code(fresh, marker, monkeypatch, tmp_path):
    """Named, checked in a process of its own, chosen, weighted; the start approves it."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    app = visit()
    app.text_area(key="start_use").set_value(f"{JERK}\n{TREES}").run()
    assert app.button(key="start").disabled
    assert "Own code: check it first." in texts(app)
    app.button(key="check_own_code").click().run(timeout=120)
    assert not app.exception
    assert "model extra_trees: the same bits" in texts(app)
    assert approvals.approved() == frozenset()
    config = make_config("quick", environment={})
    trees, size = registry.get("extra_trees"), DataSize(500, 1, 2, 1)
    assert trees.checked_s > 0.0
    assert trees.estimate_s(config, size) == pytest.approx(500 * trees.checked_s)
    models = app.get("button_group")
    pills = next(each for each in models if each.key == "start_models_quick")
    assert "Extra trees" in str(pills.proto)
    pills.set_value(["lgbm", "torch", "extra_trees"]).run()
    assert app.number_input(key="start_own_weight_extra_trees").value == 0.2
    assert f"--use {JERK}" in texts(app)
    app.button(key="start").click().run()
    assert not app.exception
    [(_, _, config, _, paths, *_)] = started
    assert config.models == ("lgbm", "torch", "extra_trees")
    assert config.blend.by_model["extra_trees"] == 0.2
    assert [path.name for path in paths] == ["jerk_features.py", "extra_trees.py"]
    assert len(approvals.approved()) == 2
    assert "extra_trees" not in registry._own.models  # nothing was loaded into the dashboard


def test_the_form_refuses_code_that_the_check_refuses(fresh, tmp_path):
    """With the line of the error, and nothing can start."""
    path = tmp_path / "mine.py"
    path.write_text("import nothing_of_this_name\n")
    app = visit()
    app.text_area(key="start_use").set_value(str(path)).run()
    app.button(key="check_own_code").click().run(timeout=120)
    assert "mine.py, line 1: ModuleNotFoundError" in texts(app)
    assert app.button(key="start").disabled


def test_a_copy_in_a_run_is_not_approved_by_naming_it(run, marker):
    """Duplicate fills the form with the copies; they came with the run."""
    app = visit("train")
    app.button(key="duplicate").click().run()
    assert not app.exception
    assert str(run / "code" / "constant.py") in app.text_area(key="start_use").value
    assert "Read and approve it on the page Runs first" in texts(app)
    assert app.button(key="start").disabled
    assert num_executed(marker) == 0


def test_start_over_waits_for_the_approval_too(run, marker):
    """It would execute the copies of the run; nothing is moved before it is refused."""
    app = visit("train")
    app.button(key="start_over_sure").click().run()
    assert "python -m trainer approve own" in texts(app)
    assert run.exists()
    assert num_executed(marker) == 0
    shutil.rmtree(run)
