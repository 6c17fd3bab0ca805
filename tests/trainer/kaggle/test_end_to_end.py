"""On Kaggle from end to end: timeout, output mounted elsewhere, adopted, resumed, served."""

from __future__ import annotations

import json
import shutil
import time

import polars as pl
import pytest

from tests.support.builders import GESTURES
from tests.support.mounts import content, mount_competition, mount_output, run_trainer, unlock
from tests.support.tiny_runs import TINY, assert_same_result, events_of
from trainer.run.transfer.adoption import choose, find_input_runs
from trainer.store.reader import RunReader

NAMES = {name for name, _ in GESTURES}
SETTINGS = [word for setting in TINY for word in ("--set", setting)]
LONGER = ("--set", "boosting.rounds=60", "--set", "boosting.segment_rounds=3")
LONGER = (*LONGER, "--set", "network.epochs=20")
WORDS = ("train", "--data", "kaggle", "--run", "r1", "--preset", "quick", *SETTINGS, *LONGER)
CLOSED_IN_TIME = ("--paused-is-success", "--time-limit")


@pytest.fixture
def mount(tmp_path):
    """An input folder with the competition in it."""
    folder = tmp_path / "input"
    mount_competition(folder)
    yield folder
    unlock(tmp_path)


@pytest.mark.slow
def test_a_run_that_reaches_the_time_limit_on_kaggle_ends_with_the_same_bits(mount, tmp_path):
    """Timeout, exit 0, output mounted under another path, adopted, resumed, served: equal bits."""
    for folder in ("whole", "first", "second"):
        (tmp_path / folder).mkdir()
    began = time.monotonic()
    code, output = run_trainer(mount, tmp_path / "whole", *WORDS)
    took_s = time.monotonic() - began
    assert code == 0, output

    for share in (0.6, 0.4, 0.25):  # the machine may be faster now than it was then
        shutil.rmtree(tmp_path / "first")
        (tmp_path / "first").mkdir()
        limit = f"{share * took_s:.2f}s"
        code, output = run_trainer(mount, tmp_path / "first", *WORDS, *CLOSED_IN_TIME, limit)
        assert code == 0, output  # a failed cell would lose the output
        if "Finished" not in output:
            break
    assert "paused: time limit" in output and "Finished" not in output

    inputs = tmp_path / "next-input"
    mount_competition(inputs, between="competitions")
    kept = mount_output(tmp_path / "first", inputs, "notebooks/owner/gestures")
    before = content(kept)
    code, output = run_trainer(inputs, tmp_path / "second", *WORDS, *CLOSED_IN_TIME, "1h")
    assert code == 0, output
    assert output.startswith("Run r1 in state: goes on\n  adopted     copied from ")
    assert f"{kept / 'state' / 'r1'} (" in output and "all checksums match" in output
    assert "Finished: state/r1" in output
    assert content(kept) == before
    assert_same_result(tmp_path / "second" / "state" / "r1", tmp_path / "whole" / "state" / "r1")

    code, output = run_trainer(inputs, tmp_path / "second", "serve", "r1")
    assert code == 0, output
    assert "submission.parquet: 8 sequences" in output
    submission = pl.read_parquet(tmp_path / "second" / "submission.parquet")
    assert submission.columns == ["sequence_id", "gesture"]
    assert submission.schema == {"sequence_id": pl.String, "gesture": pl.String}
    assert set(submission["sequence_id"]) == {f"SEQ_{n:06d}" for n in range(8)}
    assert set(submission["gesture"]) <= NAMES


# Finding and adopting


def mounted_run(tiny_run, mount, place, done=4):
    """Copy the finished run under the input folder; its records show fewer finished folds."""
    root = shutil.copytree(tiny_run, mount / place)
    for model in ("lgbm", "torch"):
        path = root / f"{model}_state.json"
        state = json.loads(path.read_text())
        for fold in state["folds"]:
            fold["done"], done = done > 0, done - 1
        path.write_text(json.dumps(state))
    return root


def test_the_most_advanced_run_is_chosen(tiny_run, tmp_path):
    """Under any folder, at any depth; a folder without a run is skipped."""
    behind = mounted_run(tiny_run, tmp_path, "a/tiny", done=1)
    ahead = mounted_run(tiny_run, tmp_path, "notebooks/me/gestures/output/state/tiny", done=3)
    (tmp_path / "b" / "x").mkdir(parents=True)
    (tmp_path / "b" / "x" / "config.json").write_text('{"model": "bert"}')
    (tmp_path / "b" / "x" / "status.json").write_text("{}")
    found = find_input_runs("tiny", tmp_path)
    assert [run.root for run in found] == [ahead, behind]
    assert [run.progress for run in found] == ["3 of 4 folds done", "1 of 4 folds done"]
    assert choose(found).root == ahead
    assert find_input_runs("other", tmp_path) == []
    assert choose([]) is None


def test_a_whole_run_is_preferred_to_a_more_advanced_damaged_one(tiny_run, tmp_path):
    """The damaged one is still better than none: its whole files are used."""
    behind = mounted_run(tiny_run, tmp_path, "a/tiny", done=3)
    ahead = mounted_run(tiny_run, tmp_path, "b/tiny", done=4)
    (ahead / "lgbm_fold00.pkl").write_bytes(b"torn")
    assert choose(find_input_runs("tiny", tmp_path)).root == behind
    shutil.rmtree(behind)
    assert choose(find_input_runs("tiny", tmp_path)).root == ahead


def test_without_an_input_folder_no_run_is_found(tmp_path):
    """Most machines have none."""
    assert find_input_runs(None, tmp_path / "nothing") == []


def test_a_damaged_run_is_adopted_reported_and_repaired(tiny_run, tmp_path):
    """The plan names the file; its fold is trained again, to the same bytes."""
    mount, working = tmp_path / "input", tmp_path / "working"
    working.mkdir()
    root = shutil.copytree(tiny_run, mount / "x" / "tiny")
    (root / "lgbm_fold00.pkl").write_bytes(b"torn")
    code, output = run_trainer(mount, working, "train", "--run", "tiny")
    assert code == 0, output
    assert "1 damaged, redone from the whole ones (lgbm_fold00.pkl: expected SHA-256" in output
    assert_same_result(working / "state" / "tiny", tiny_run)
    start = events_of(working / "state" / "tiny", "start")[-1]
    assert start.text.startswith(f"goes on, copied from {root} (4 of 4 folds done): ")


def test_resume_adopts_a_run_and_other_commands_read_it_in_place(tiny_run, tmp_path):
    """status and verify read the mounted run; resume first copies it into the state folder."""
    mount, working = tmp_path / "input", tmp_path / "working"
    working.mkdir()
    shutil.copytree(tiny_run, mount / "x" / "tiny")
    code, output = run_trainer(mount, working, "verify", "tiny")
    assert code == 0 and ", 0 bad" in output
    assert not (working / "state").exists()
    code, output = run_trainer(mount, working, "resume", "tiny")
    assert code == 0, output
    assert f"copied from {mount / 'x' / 'tiny'}" in output
    assert RunReader(working / "state" / "tiny").status().state == "finished"


def test_options_that_differ_from_the_found_runs_are_refused_before_it_is_copied(
    tiny_run, tmp_path
):
    """Exit 2, with a list of the differences."""
    mount, working = tmp_path / "input", tmp_path / "working"
    working.mkdir()
    shutil.copytree(tiny_run, mount / "x" / "tiny")
    code, output = run_trainer(mount, working, "train", "--run", "tiny", "--seed", 7)
    assert code == 2
    assert "seed: 42 -> 7" in output
    assert not (working / "state").exists()


def test_a_run_without_a_name_or_one_that_starts_over_adopts_nothing(
    tiny_run, tiny_source, tmp_path
):
    """Runs that were found are listed, with the option to continue them; RESUME=0: a new run."""
    mount, working = tmp_path / "input", tmp_path / "working"
    working.mkdir()
    shutil.copytree(tiny_run, mount / "x" / "tiny")
    quick = ("--data", tiny_source, "--models", "lgbm", *SETTINGS, "--stop-after-folds", 1)
    code, output = run_trainer(mount, working, "train", *quick)
    assert code == 3, output
    assert (
        f"run tiny found in {mount / 'x' / 'tiny'}: 4 of 4 folds done. Continue it with" in output
    )
    assert "Run tiny-1 in state: new" in output
    code, output = run_trainer(mount, working, "train", "--run", "tiny", *quick, RESUME="0")
    assert code == 3, output
    assert "Run tiny in state: new" in output


# Serving

REPLACEMENT = """
from pathlib import Path
import polars as pl

class CMIInferenceServer:
    def __init__(self, *endpoints):
        self.endpoints = {each.__name__: each for each in endpoints}

    def serve(self):
        print("SERVING", sorted(self.endpoints))

    def run_local_gateway(self, data_paths=None, file_share_dir=None):
        test, people = (pl.read_csv(path) for path in data_paths)
        one = test.filter(pl.col("sequence_id") == test["sequence_id"][0])
        gesture = self.endpoints["predict"](one, people)
        assert type(gesture) is str
        print("THE PACKAGE'S GATEWAY GOT", gesture)
"""


@pytest.fixture
def packaged(mount):
    """The competition's folder with a package that has the interface of the competition's."""
    folder = mount / "cmi-detect-behavior-with-sensor-data"
    (folder / "kaggle_evaluation").mkdir()
    (folder / "kaggle_evaluation" / "__init__.py").touch()
    (folder / "kaggle_evaluation" / "cmi_inference_server.py").write_text(REPLACEMENT)
    return folder


def serve(mount, tmp_path, tiny_run, **names):
    (tmp_path / "working").mkdir(exist_ok=True)
    words = ("serve", "tiny", "--state", tiny_run.parent)
    return run_trainer(mount, tmp_path / "working", *words, **names)


def test_the_competitions_own_package_is_used_for_its_own_gestures(
    packaged, mount, tmp_path, tiny_run
):
    """The tiny run's four gestures are among the eighteen."""
    code, output = serve(mount, tmp_path, tiny_run)
    assert code == 0, output
    assert "serving tiny to the competition's gateway on local files" in output
    assert output.splitlines()[-1].removeprefix("THE PACKAGE'S GATEWAY GOT ") in NAMES


def test_in_a_scored_run_the_package_is_served(packaged, mount, tmp_path, tiny_run):
    """By the endpoint named predict, without reading a test.csv."""
    (packaged / "test.csv").unlink()
    code, output = serve(mount, tmp_path, tiny_run, KAGGLE_IS_COMPETITION_RERUN="1")
    assert code == 0, output
    assert output.splitlines() == [
        "serving tiny to the competition's gateway",
        "SERVING ['predict']",
    ]


def test_a_scored_run_without_the_package_is_an_error(mount, tmp_path, tiny_run):
    """No submission is better than a wrong one."""
    code, output = serve(mount, tmp_path, tiny_run, KAGGLE_IS_COMPETITION_RERUN="1")
    assert code == 2
    assert output.startswith("kaggle_evaluation: the competition's package is missing")


def test_a_package_that_cannot_be_loaded_is_reported_and_not_used(
    packaged, mount, tmp_path, tiny_run
):
    """Packages that it imports may be missing outside Kaggle, such as grpc."""
    module = packaged / "kaggle_evaluation" / "cmi_inference_server.py"
    module.write_text("import a_package_that_is_not_there\n")
    code, output = serve(mount, tmp_path, tiny_run)
    assert code == 0, output
    assert "cannot be loaded (No module named 'a_package_that_is_not_there')" in output
    assert "submission.parquet: 8 sequences" in output


def test_serving_without_data_names_what_is_missing(tmp_path, tiny_run):
    """No competition mounted, no --data."""
    code, output = serve(tmp_path / "nothing", tmp_path, tiny_run)
    assert code == 2
    assert "Add the competition's data to the notebook" in output


def test_an_export_can_include_the_metadata_for_kaggle(tiny_run, tmp_path):
    """Beside the zip; a name that Kaggle would refuse is refused before anything is written."""
    words = ("export", "tiny", "up/tiny.zip", "--state", tiny_run.parent, "--dataset-metadata")
    (tmp_path / "up").mkdir()
    code, output = run_trainer(tmp_path, tmp_path, *words, "me/x")
    assert code == 2
    assert "dataset: expected OWNER/SLUG, the slug 6 to 50 of a-z 0-9 -; got 'me/x'" in output
    assert list((tmp_path / "up").iterdir()) == []
    code, output = run_trainer(tmp_path, tmp_path, *words, "me/gesture-run-1")
    assert code == 0, output
    assert json.loads((tmp_path / "up" / "dataset-metadata.json").read_text()) == {
        "title": "Gesture run tiny",
        "id": "me/gesture-run-1",
        "licenses": [{"name": "other"}],
    }
    assert {path.name for path in (tmp_path / "up").iterdir()} == {
        "tiny.zip",
        "dataset-metadata.json",
    }
