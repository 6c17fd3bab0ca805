"""What comes with a run is not executed: every way around the approval is tried.

The file leaves a mark whenever it is executed.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.support.builders import make_table
from tests.support.own_code import (
    FAVOURITE,
    num_executed,
    train_own,
    train_theirs,
    write_constant,
)
from trainer.data.sources import sequences_from_table
from trainer.models import registry
from trainer.models.own_code import NO_CODE
from trainer.own_code import approvals, loader
from trainer.own_code.code_files import CodeRefusedError, demand_approved, read_named, read_of_run
from trainer.predict.predictor import PredictError, Predictor
from trainer.run import RefusedError, control
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.verification import verify_run
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import dump_record


@pytest.fixture(scope="module")
def marker(tmp_path_factory):
    return tmp_path_factory.mktemp("marks") / "executed"


@pytest.fixture(scope="module")
def made(tiny_source, tmp_path_factory, marker):
    """A finished run with own code, made by somebody else."""
    return train_theirs(tmp_path_factory.mktemp("made"), tiny_source, marker)


@pytest.fixture
def run(made, marker, tmp_path, monkeypatch):
    """The run as it arrives here: nothing is approved, nothing is loaded."""
    monkeypatch.setenv("GESTURE_APPROVALS", str(tmp_path / "mine" / "approved.json"))
    monkeypatch.setattr(loader, "_loaded", {})
    registry.use_own(NO_CODE)
    marker.unlink(missing_ok=True)
    yield shutil.copytree(made, tmp_path / "state" / "own")
    registry.use_own(NO_CODE)


def rewrite(root, file, code=None, **changes):
    """Write a run's configuration, and its code, with checksums that match."""
    run_file = RunReader(root).run_file().model_copy(update=changes)
    if code is not None:
        CheckedFolder(root).write(f"code/{file.name}", code)
    CheckedFolder(root).write("config.json", dump_record(run_file))


def try_everything(root):
    """Resume here, resume from a page, predict, start over: return the refusals."""
    refusals = []
    settings = RunReader(root).run_file().settings()
    for attempt in (
        lambda: execute(root, settings, Limits(), lambda _: None, is_new=False),
        lambda: demand_approved(root, settings.use),
        lambda: Predictor.load(root),
        lambda: start_over(root, settings),
    ):
        with pytest.raises((RefusedError, CodeRefusedError, PredictError, StoreError)) as caught:
            attempt()
        refusals.append(str(caught.value))
    return refusals


def start_over(root, settings):
    """Start another run with the copies of this one, as the page Train does."""
    demand_approved(root, settings.use)
    control.start(root.parent, "again", settings, use=list((root / "code").glob("*.py")))


def test_looking_at_a_run_never_executes_its_code(run, marker, tmp_path):
    """Reading, verifying, exporting and importing it; its model has a name and a title."""
    assert [check.name for check in verify_run(run) if not check.is_good] == []
    details = {check.name: check.detail for check in verify_run(run)}
    assert "content not checked" in details["favourite_fold00.pkl"]
    export_run(run, tmp_path / "own.zip")
    arrived = import_run(tmp_path / "own.zip", tmp_path / "other")
    assert (arrived / "code" / "constant.py").read_bytes() == (
        run / "code" / "constant.py"
    ).read_bytes()
    assert len(RunReader(arrived).fold_records()) == 4
    assert registry.get("favourite").title == "Favourite"
    assert registry.title("favourite") == "Favourite"
    assert "favourite" not in [model.name for model in registry.trainable_models()]
    assert num_executed(marker) == 0


def test_without_approval_nothing_executes_it(run, marker):
    """Resume, prediction, and a start with the copy: refused with the command that approves."""
    for refusal in try_everything(run):
        assert "python -m trainer approve" in refusal
    assert num_executed(marker) == 0


def test_after_approval_it_is_executed_once(run, marker):
    """By resume and by prediction, in one process."""
    files = read_of_run(run, RunReader(run).run_file().use)
    approvals.approve({file.sha256: file.name for file in files}, "test")
    Predictor.load(run)
    settings = RunReader(run).run_file().settings()
    assert execute(run, settings, Limits(), lambda _: None, is_new=False) == "finished"
    Predictor.load(run)
    assert num_executed(marker) == 1


def test_a_changed_file_is_not_executed(run, marker):
    """Its content is compared with the configuration; the approval of the old content stays."""
    use = RunReader(run).run_file().use
    files = read_of_run(run, use)
    approvals.approve({file.sha256: file.name for file in files}, "test")
    for name in ("constant.py", "constant.py.prev"):
        (run / "code" / name).write_bytes(files[0].data + b"\n# changed\n")
    for refusal in try_everything(run):
        assert "own code" in refusal
    assert num_executed(marker) == 0


def test_a_changed_file_with_changed_hash_and_checksum_is_not_executed(run, marker):
    """A record of a hash in the run folder approves nothing."""
    files = read_of_run(run, RunReader(run).run_file().use)
    approvals.approve({file.sha256: file.name for file in files}, "test")
    changed = type(files[0])("constant.py", files[0].data + b"\n# changed\n")
    rewrite(run, changed, changed.data, use=(changed.entry,))
    assert RunReader(run).run_file().use == (changed.entry,)
    for refusal in try_everything(run):
        assert "approve" in refusal
    assert num_executed(marker) == 0


def test_a_record_of_the_approved_hash_does_not_cover_another_file(run, marker):
    """The hash is computed from the bytes that would be executed."""
    files = read_of_run(run, RunReader(run).run_file().use)
    approvals.approve({file.sha256: file.name for file in files}, "test")
    CheckedFolder(run).write("code/constant.py", files[0].data + b"\n# changed\n")  # with checksum
    for refusal in try_everything(run):
        assert "own code" in refusal
    assert num_executed(marker) == 0


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_is_not_executed(run, marker, tmp_path, linked):
    """Instead of the copy, or of its folder; not even one to the same content."""
    code = run / "code"
    shutil.copytree(code, tmp_path / "elsewhere")
    files = read_of_run(run, RunReader(run).run_file().use)
    approvals.approve({file.sha256: file.name for file in files}, "test")
    if linked == "folder":
        shutil.rmtree(code)
        code.symlink_to(tmp_path / "elsewhere")
    else:
        (code / "constant.py").unlink()
        (code / "constant.py").symlink_to(tmp_path / "elsewhere" / "constant.py")
    for refusal in try_everything(run):
        assert "plain file" in refusal or "own code" in refusal
    assert num_executed(marker) == 0


@pytest.mark.parametrize("name", ["../outside.py", "/tmp/outside.py", "code/constant.py", "a b.py"])
def test_a_name_that_leaves_the_folder_is_refused(run, marker, name):
    """In the configuration it cannot even be read; in a bundle it is refused."""
    digest = "0" * 64
    text = (run / "config.json").read_text().replace("constant.py", name)
    CheckedFolder(run).write("config.json", text.encode())
    with pytest.raises(StoreError, match="use"):
        RunReader(run).run_file()
    with pytest.raises(CodeRefusedError, match=r"expected NAME\.py and a SHA-256"):
        read_of_run(run, (f"{name} {digest}",))
    assert num_executed(marker) == 0


def approve_own(run):
    files = read_of_run(run, RunReader(run).run_file().use)
    approvals.approve({file.sha256: file.name for file in files}, "test")


def test_approvals_that_are_a_link_are_refused(run, marker, tmp_path):
    """Whoever can write a link there could let it point to approvals of their own."""
    approve_own(run)
    path = approvals.approvals_path()
    path.rename(tmp_path / "mine" / "real.json")
    path.symlink_to(tmp_path / "mine" / "real.json")
    for refusal in try_everything(run):
        assert "got a link" in refusal
    with pytest.raises(StoreError, match="got a link"):
        approvals.approve({"0" * 64: "any.py"}, "test")
    assert num_executed(marker) == 0


@pytest.mark.parametrize(("mode", "folder_mode"), [(0o644, 0o700), (0o602, 0o700), (0o600, 0o777)])
def test_approvals_that_others_can_change_are_refused(run, marker, mode, folder_mode):
    """The file is its user's alone, and so is its folder."""
    approve_own(run)
    path = approvals.approvals_path()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    path.parent.chmod(folder_mode)
    for refusal in try_everything(run):
        assert "that others may" in refusal
    assert num_executed(marker) == 0


def test_approvals_inside_a_run_folder_are_refused(run, marker, monkeypatch):
    """An archive could bring them along."""
    approve_own(run)
    inside = run / "approved.json"
    shutil.copy(approvals.approvals_path(), inside)
    monkeypatch.setenv("GESTURE_APPROVALS", str(inside))
    for refusal in try_everything(run):
        assert "in a run's folder" in refusal
    assert num_executed(marker) == 0


def test_damaged_approvals_approve_nothing(run, marker):
    """They are named, and not replaced."""
    approve_own(run)
    approvals.approvals_path().write_text("{")
    for refusal in try_everything(run):
        assert "approved.json" in refusal
    assert num_executed(marker) == 0


def test_an_archive_with_code_in_other_places_brings_none_of_it(run, tmp_path):
    """Only the folder ``code`` can have Python files: as data, nothing imports them."""
    for name in ("sitecustomize.py", "units/conftest.py", "code/deep/er.py"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("raise SystemExit")
    lines = []
    arrived = import_run(run, tmp_path / "other", report=lines.append)
    assert sorted(path.name for path in arrived.rglob("*.py")) == ["constant.py"]
    assert "sitecustomize.py" in lines[0]


@pytest.mark.parametrize("name", ["lgbm", "torch", "blend", "branches", "Evil<b>"])
def test_a_description_with_a_name_of_ours_is_refused(run, name):
    """A placeholder never replaces a model of ours, and its name has no markup."""
    plain = json.loads((run / "config.json").read_text())
    plain["own_code"]["models"][name] = plain["own_code"]["models"]["favourite"]
    CheckedFolder(run).write("config.json", json.dumps(plain).encode())
    with pytest.raises(StoreError, match="own_code"):
        RunReader(run).run_file()
    assert registry.get("lgbm").title == "LightGBM"


@pytest.mark.parametrize("title", ["<b>Trees</b>", "[a](b)", "Trees\n", ""])
def test_a_description_with_markup_is_refused(run, title):
    """Its words are shown on pages."""
    plain = json.loads((run / "config.json").read_text())
    plain["own_code"]["models"]["favourite"]["title"] = title
    CheckedFolder(run).write("config.json", json.dumps(plain).encode())
    with pytest.raises(StoreError, match="title"):
        RunReader(run).run_file()


def test_a_start_from_the_dashboard_approves_nothing(run, marker, monkeypatch, tiny_source):
    """It was approved where it was shown; a file that changes afterwards is refused."""
    from trainer.cli.own_code import open_files

    path = run / "code" / "constant.py"
    monkeypatch.setenv(control.DETACHED, "1")
    with pytest.raises(CodeRefusedError, match="approve"):
        open_files(run.parent, "new", [path], [])
    assert num_executed(marker) == 0
    approvals.approve({file.sha256: file.name for file in read_named([path])}, "dashboard")
    path.write_text(path.read_text() + "\n# changed after it was shown\n")
    with pytest.raises(CodeRefusedError, match="approve"):
        open_files(run.parent, "new", [path], [])
    assert num_executed(marker) == 0


def test_two_versions_of_one_name_each_predict_with_their_own(
    tiny_source, tmp_path, run, marker, monkeypatch
):
    """In one process: by the hash of the run's code, not by the one that was loaded last."""
    paths = [write_constant(tmp_path / f"v{n}", marker, value=n, gesture=n) for n in (0, 1)]
    roots = [tmp_path / "state" / f"version-{n}" for n in (0, 1)]
    for root, path in zip(roots, paths, strict=True):
        assert train_own(root, tiny_source, [path], *FAVOURITE) == "finished"
    registry.use_own(NO_CODE)
    table = make_table(num_subjects=1, sequences_per_subject=2, labelled=False)
    sequences = sequences_from_table(table, None)
    predictors = [Predictor.load(root) for root in roots]
    for n, predictor in (*enumerate(predictors), *reversed(list(enumerate(predictors)))):
        proba_NK = predictor.predict(sequences).by_model["favourite"]
        assert proba_NK.argmax(axis=1).tolist() == [n, n]
        assert predictor.own.blocks[0].compute is not predictors[1 - n].own.blocks[0].compute
    assert os.environ["GESTURE_APPROVALS"].startswith(str(tmp_path))


def test_a_run_without_own_code_is_as_before(tiny_run):
    """Its configuration has an empty field more; keys of checkpoints have not changed."""
    from trainer.run.frozen_config import run_key

    plain = json.loads((tiny_run / "config.json").read_text())
    assert plain.pop("use") == []
    assert "own_code" not in plain
    older = tiny_run.parent / "older.json"
    older.write_text(json.dumps(plain))
    from trainer.store.records import RunFile, read_record

    assert run_key(read_record(older, RunFile)) == run_key(RunReader(tiny_run).run_file())
    assert not (tiny_run / "code").exists()
