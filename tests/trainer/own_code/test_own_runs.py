"""Runs with the three examples: trained, killed, resumed, side by side, predicted elsewhere."""

from __future__ import annotations

import shutil
import textwrap

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, make_table
from tests.support.forked_trainers import fork_server, plain_environment
from tests.support.own_code import ALL_THREE, JERK, TRANSFORMER, TREES
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import TINY, kill_at_step
from tests.support.worker_runs import Trainer
from trainer.explain.contributions import contributions_of
from trainer.explain.occlusion import attention_of
from trainer.features.meanings import meaning_of
from trainer.models import registry
from trainer.models.own_code import NO_CODE
from trainer.models.temperature import scale
from trainer.own_code import approvals
from trainer.own_code.code_files import read_named
from trainer.predict.predictor import PredictError, Predictor
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.verification import verify_run
from trainer.simulation.any_source import load
from trainer.store.checksums import CheckedFolder
from trainer.store.reader import RunReader
from trainer.store.tables.feature_cache import load_features

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
    words = ("train", "--run", "own", "--preset", "quick", "--data", source, *files)
    return (*words, *settings, *options)


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
    files = [word for path in (JERK, TRANSFORMER, TREES) for word in ("--use", path)]
    trainer = Trainer(
        *(tmp_path / "own", tiny_source, 2, *files),
        environment=plain_environment(),
        settings=(*TINY, *ALL_THREE),
    )
    code, words = trainer.wait()
    assert code == 0, words
    assert "2 folds side by side" in words
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
    calibrated_NK = scale(blended_NK / 1.2, Predictor.load(whole).temperatures.of_all)
    assert np.abs(proba("") - calibrated_NK).max() < 1e-12


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


def test_the_same_command_again_continues_the_run(whole, tiny_source):
    """With its preset, whose settings count, and with the files."""
    done = command_line(*words_of(tiny_source), state=whole.parent)
    assert done.code == 0, done.words


def test_a_removed_copy_of_the_code_is_restored_from_its_second_one(whole, tmp_path):
    """Code cannot be made again, so it has two copies, as the configuration has."""
    root = shutil.copytree(whole, tmp_path / "own")
    (root / "code" / "jerk_features.py").write_text("broken")
    done = command_line("resume", "own", state=tmp_path)
    assert done.code == 0, done.words
    assert (root / "code" / "jerk_features.py").read_bytes() == JERK.read_bytes()


def test_a_file_that_was_checked_is_not_checked_again(whole, tiny_source, tmp_path):
    """The first run has noted it; a changed file, or other versions, are tried again."""
    done = command_line(*words_of(tiny_source, "--stop-after-folds", "1"), state=tmp_path)
    assert done.code == 3, done.words
    assert "checked before" in done.words
    known = approvals.are_checked
    digests = [file.sha256 for file in read_named([JERK, TRANSFORMER, TREES])]
    assert not known(digests, "extend 0")
    assert not known([*digests, "0" * 64], "extend 0")
    assert 0.0 < approvals.checked_seconds(digests)["extra_trees"] < 5.0


def test_recordings_in_parts_have_the_same_columns(tiny_source, tmp_path):
    """A file per subject, also with own columns: the same features and trees, to the bit."""
    table = pl.read_parquet(tiny_source)
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        folder = tmp_path / "parts" / f"subject={subject}"
        folder.mkdir(parents=True)
        rows.drop("subject").write_parquet(folder / "part.parquet")
    roots = {}
    for name, source in (("whole", tiny_source), ("parts", tmp_path / "parts")):
        settings = [word for setting in TINY for word in ("--set", setting)]
        words = ["train", "--run", name, "--data", source, "--models", "lgbm", "--use", JERK]
        done = command_line(*words, *settings, state=tmp_path / "state")
        assert done.code == 0, done.words
        roots[name] = tmp_path / "state" / name
    caches = [load_features(CheckedFolder(root)) for root in roots.values()]
    assert caches[0].names == caches[1].names
    assert caches[0].names[-3:] == ("acc.jerk.mean", "acc.jerk.max", "acc.jerk.late_share")
    assert caches[0].values_NF.tobytes() == caches[1].values_NF.tobytes()


def test_explanations_have_own_features_and_the_own_networks_attention(whole, tiny_source):
    """Contributions name the columns; attention is that of the module."""
    sequences = load(str(tiny_source)).select(np.array([3]))
    predictor = Predictor.load(whole)
    found = contributions_of(predictor, sequences, 0, 1)
    assert "acc.jerk.max" in found.names
    assert np.isfinite(found.values_F[found.names.index("acc.jerk.max")])
    weights_T = attention_of(predictor, sequences).weights_MT[0]
    assert len(weights_T) == sequences.lengths_N[0]
    assert weights_T.sum() == pytest.approx(1.0)
    assert len(set(weights_T.round(6))) > 2
    assert meaning_of("acc.jerk.max") == "largest change of the acceleration per step"


def test_a_network_without_attention_has_none_to_show(tiny_source, tmp_path):
    """It predicts; its attention is refused in words."""
    text = TRANSFORMER.read_text().replace("forward_with_attention", "both")
    path = tmp_path / "small_transformer.py"
    path.write_text(text)
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ["train", "--run", "own", "--data", tiny_source, "--models", "torch", "--use", path]
    words += [*settings, "--set", "network.architecture=small_transformer"]
    done = command_line(*words, state=tmp_path)
    assert done.code == 0, done.words
    predictor = Predictor.load(tmp_path / "own")
    sequences = load(str(tiny_source)).select(np.array([3]))
    assert predictor.predict(sequences).proba_NK.sum() == pytest.approx(1.0)
    with pytest.raises(PredictError, match="expected a model with attention"):
        attention_of(predictor, sequences)


def test_status_names_the_folds_of_own_models(whole):
    """In a process that has not loaded the code, and need not."""
    done = command_line("status", "own", state=whole.parent)
    assert done.code == 0, done.words
    assert "extra_trees fold 1: done" in done.words


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


def test_shared_models_of_own_code_predict_once_they_are_approved(whole, tiny_source, tmp_path):
    """The folder for Hugging Face has the code; another user reads and approves it first."""
    pytest.importorskip("safetensors")
    folder, state = tmp_path / "models", tmp_path / "state"
    done = command_line("share", whole, "--to", f"huggingface:{folder}", state=state)
    assert done.code == 0, done.words
    other = {approvals.ENVIRONMENT: str(tmp_path / "other" / "approved.json")}
    words = ("predict", folder, tiny_source, "--by-model", "--out")
    refused = command_line(*words, tmp_path / "no.csv", state=state, environment=other)
    assert (refused.code, "you have not approved" in refused.words) == (2, True), refused.words
    done = command_line("approve", folder, "--yes", state=state, environment=other)
    assert done.code == 0, done.words
    done = command_line(*words, tmp_path / "shared.csv", state=state, environment=other)
    assert done.code == 0, done.words
    done = command_line("predict", whole, *words[2:], tmp_path / "own.csv", state=state)
    assert done.code == 0, done.words
    assert (tmp_path / "shared.csv").read_bytes() == (tmp_path / "own.csv").read_bytes()
