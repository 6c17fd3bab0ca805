"""Runs with the three examples: trained, killed, resumed, side by side, predicted elsewhere."""

from __future__ import annotations

import shutil
import textwrap

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, make_table
from tests.support.forked_trainers import fork_server
from tests.support.own_code import ALL_THREE, JERK, TRANSFORMER, TREES
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import TINY, kill_at_step
from trainer.models import registry
from trainer.models.own_code import NO_CODE
from trainer.own_code import approvals
from trainer.own_code.code_files import read_named
from trainer.predict.predictor import PredictError, Predictor
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.verification import verify_run
from trainer.store.reader import RunReader

NAMES = [name for name, _ in GESTURES]
MAIN = """
from trainer.__main__ import main

main()
"""


@pytest.fixture(scope="module", autouse=True)
def nothing_loaded():
    """Own code that these tests load into this process is not active in others."""
    yield
    registry.use_own(NO_CODE)


def words_of(source, *options):
    settings = [word for setting in (*TINY, *ALL_THREE) for word in ("--set", setting)]
    files = [word for path in (JERK, TRANSFORMER, TREES) for word in ("--use", path)]
    return ("train", "--run", "own", "--preset", "quick", "--data", source, *files, *settings)


def command_line(*words, state, code=None, environment=None):
    return fork_server().run(*words, "--state", state, code=code, environment=environment)


@pytest.fixture(scope="module")
def whole(tiny_source, tmp_path_factory):
    """A finished run with all three, never interrupted."""
    state = tmp_path_factory.mktemp("whole") / "state"
    done = command_line(*words_of(tiny_source), state=state)
    assert done.code == 0, done.words
    return state / "own"


@pytest.mark.parametrize(
    ("model", "fold", "step"), [("torch", 1, 3), ("lgbm", 0, 5), ("extra_trees", 1, 1)]
)
def test_a_run_with_own_code_that_is_killed_resumes_to_the_same_bits(
    whole, tiny_source, tmp_path, model, fold, step
):
    """SIGKILL inside an epoch of the own network, a round on own features, a fold of own trees."""
    code = textwrap.dedent(kill_at_step(model, fold, step)) + MAIN
    killed = command_line(*words_of(tiny_source), state=tmp_path, code=code)
    assert killed.was_killed, killed.words
    resumed = command_line("resume", "own", state=tmp_path)
    assert resumed.code == 0, resumed.words
    assert differences(digests_of(tmp_path / "own"), digests_of(whole)) == []
    assert [check.name for check in verify_run(tmp_path / "own") if not check.is_good] == []


def test_two_workers_give_the_same_bits(whole, tiny_source, tmp_path):
    """The code travels with the job as bytes."""
    done = command_line(*words_of(tiny_source), "--workers", "2", state=tmp_path)
    assert done.code == 0, done.words
    assert "2 folds side by side" in done.words
    assert differences(digests_of(tmp_path / "own"), digests_of(whole)) == []


def test_own_columns_are_in_the_cache_the_importance_and_the_model(whole):
    """Three columns of jerk, under the accelerometer, also in a model that is opened elsewhere."""
    own = ("acc.jerk.mean", "acc.jerk.max", "acc.jerk.late_share")
    table = RunReader(whole).importance().filter(pl.col("feature").is_in(own))
    assert table["sensor"].to_list() == ["acc"] * 3
    predictor = Predictor.load(whole)
    assert set(own) <= set(predictor.models["extra_trees"].folds[0].packed["feature_names"])
    assert (
        predictor.models["torch"].folds[0].model.sizes.architecture.startswith("small_transformer:")
    )


def test_another_process_predicts_after_approval_only(whole, tmp_path):
    """Elsewhere the run is refused with the command that approves it; then it predicts."""
    export_run(whole, tmp_path / "own.zip")
    state = import_run(tmp_path / "own.zip", tmp_path / "state").parent
    elsewhere = {"GESTURE_APPROVALS": str(tmp_path / "mine" / "approved.json")}
    table = make_table(num_subjects=1, sequences_per_subject=4, seed=7, labelled=False)
    table.write_parquet(tmp_path / "new.parquet")

    def predict():
        words = ["predict", "own", tmp_path / "new.parquet", "--by-model"]
        out = tmp_path / "out.csv"
        return command_line(*words, "--out", out, state=state, environment=elsewhere)

    refused = predict()
    assert refused.code == 2
    assert "python -m trainer approve own" in refused.words
    asked = command_line("approve", "own", state=state, environment=elsewhere)
    assert asked.code == 2, asked.words  # there is no terminal to ask on
    assert "class SmallTransformer" in asked.words
    assert predict().code == 2
    approved = command_line("approve", "own", "--yes", state=state, environment=elsewhere)
    assert approved.code == 0, approved.words
    predicted = predict()
    assert predicted.code == 0, predicted.words
    frame = pl.read_csv(tmp_path / "out.csv")

    def proba(prefix):
        return frame.select(f"{prefix}{name}" for name in NAMES).to_numpy()

    blended_NK = 0.4 * proba("lgbm:") + 0.6 * proba("torch:") + 0.2 * proba("extra_trees:")
    assert np.abs(proba("") - blended_NK / 1.2).max() < 1e-12


def test_a_copy_of_the_bundles_alone_predicts_with_its_own_columns(whole, tmp_path):
    """Without config.json the bundle names the code; without the code it is refused."""
    (tmp_path / "code").mkdir()
    shutil.copy(whole / "lgbm_bundle.pkl", tmp_path)
    with pytest.raises(PredictError, match="own code with the SHA-256"):
        Predictor.load(tmp_path)
    for path in (JERK, TRANSFORMER, TREES):
        shutil.copy(path, tmp_path / "code")
    assert [block.name for block in Predictor.load(tmp_path).own.blocks] == ["jerk"]


def test_code_that_changed_is_refused_at_resume_with_a_diff(whole, tiny_source, tmp_path):
    """``train`` again with another file: exit 2, the changed lines; it is not executed."""
    state = tmp_path / "state"
    shutil.copytree(whole, state / "own")
    changed = tmp_path / "jerk_features.py"
    changed.write_text(
        JERK.read_text().replace("1e-9", "1e-6") + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n"
    )
    words = ["train", "--run", "own", "--use", changed, "--use", TRANSFORMER, "--use", TREES]
    refused = command_line(*words, state=state)
    assert refused.code == 2
    assert '-        "acc.jerk.late_share": late_N / np.maximum(total_N, 1e-9)' in refused.words
    assert '+        "acc.jerk.late_share": late_N / np.maximum(total_N, 1e-6)' in refused.words
    assert not (tmp_path / "ran").exists()
    assert read_named([changed])[0].sha256 not in approvals.approved()
    same = command_line("train", "--run", "own", state=state)  # the run's own copy counts
    assert same.code == 0, same.words


def test_a_removed_copy_of_the_code_is_restored_from_its_second_one(whole, tmp_path):
    """Code cannot be made again, so it has two copies, as the configuration has."""
    root = shutil.copytree(whole, tmp_path / "own")
    (root / "code" / "jerk_features.py").write_text("broken")
    done = command_line("resume", "own", state=tmp_path)
    assert done.code == 0, done.words
    assert (root / "code" / "jerk_features.py").read_bytes() == JERK.read_bytes()


def test_settings_of_own_code_that_do_not_exist_are_refused(tiny_source, tmp_path):
    """A network that no file registers, and a setting of a model that has none."""
    for setting, text in (
        ("network.architecture=large_transformer", "large_transformer"),
        ("blend.weights.other_trees=1", "other_trees"),
        ("parameters.extra_trees.depth=3", "parameters.extra_trees.depth"),
    ):
        done = command_line(*words_of(tiny_source), "--set", setting, state=tmp_path)
        assert (done.code, text in done.words) == (2, True), done.words
        assert not (tmp_path / "own").exists()
