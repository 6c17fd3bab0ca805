"""A run whose models were changed, with every checksum made right again: refused, in words."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.support.builders import make_table
from tests.support.model_mutations import with_line
from tests.support.tiny_runs import assert_same_result, problems_of, tiny_config, train
from trainer.cli.commands import exit_code, known_errors
from trainer.data.sources import sequences_from_table
from trainer.models import registry
from trainer.models.tensor_file import dump_tensors, load_tensors
from trainer.predict.predictor import PredictError, Predictor
from trainer.run.transfer.verification import verify_run
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import dumps, loads, seal, unseal
from trainer.store.durable import sha256
from trainer.store.names import RunPaths
from trainer.store.tables.feature_cache import load_features


@pytest.fixture
def root(tiny_run, tmp_path):
    """A copy of the run to change."""
    return shutil.copytree(tiny_run, tmp_path / "tiny")


def change_bundle(root, model, change):
    """Change a bundle in place, with its seal and its checksum."""
    folder, name = CheckedFolder(root), f"{model}_bundle.pkl"
    bundle = loads(unseal(folder.read(name)))
    change(bundle)
    folder.write(name, seal(dumps(bundle)))


def change_fold(root, model, fold, change):
    """Change a fold file in place, with its checksum in the fold's record and the state file."""
    paths = RunPaths(root).fold(registry.get(model), fold)
    is_plain = registry.get(model).file_format == "arrays"
    read, write = (loads, dumps) if is_plain else (load_tensors, dump_tensors)
    data = paths.final_path.read_bytes()
    plain = read(data)
    change(plain)
    paths.final_path.write_bytes(changed := write(plain))
    for path in (paths.record, RunPaths(root).model_state(model)):
        text = path.read_text().replace(sha256(data), sha256(changed))
        path.write_text(text.replace(f'"num_bytes": {len(data)}', f'"num_bytes": {len(changed)}'))


def hostile_text(part):
    text = part["packed"]["model_text"]
    part["packed"]["model_text"] = with_line(text, 0, "split_feature", "2000000000")


def hostile_weights(part):
    part["packed"]["sizes"]["recurrent_units"] = 10**9


CHANGES = {"lgbm": (hostile_text, "split_feature"), "torch": (hostile_weights, "recurrent_units")}


@pytest.mark.parametrize("model", CHANGES)
def test_a_hostile_bundle_is_refused_by_prediction_and_by_verification(root, model):
    """The message names file and reason; the command ends with 2 and without a traceback."""
    change, reason = CHANGES[model]
    change_bundle(root, model, lambda bundle: change(bundle["folds"][1]))
    with pytest.raises(PredictError, match=rf"{model}_bundle.pkl: fold 1: .*{reason}") as caught:
        Predictor.load(root)
    assert isinstance(caught.value, known_errors())
    assert exit_code(caught.value) == 2
    [bad] = [check for check in verify_run(root) if not check.is_good]
    assert bad.name == f"{model}_bundle.pkl"
    assert reason in bad.detail


@pytest.mark.parametrize("model", CHANGES)
def test_a_hostile_fold_is_called_damaged_and_redone(root, tiny_run, tiny_source, model):
    """Verification names the file; Resume fits the fold again, to the same bits."""
    change, reason = CHANGES[model]
    change_fold(root, model, 0, change)
    name = registry.get(model).fold_file.format(fold=0)
    [bad] = [check for check in verify_run(root) if not check.is_good]
    assert (bad.name, reason in bad.detail) == (name, True)
    assert train(root, tiny_config(tiny_source)) == "finished"
    assert any(f"{reason}" in text and "the fold is redone" in text for text in problems_of(root))
    assert_same_result(root, tiny_run)


def cut_rows(part):
    for name in ("oof_proba", "oof_proba_imu", "best_proba", "best_proba_imu"):
        part[name] = part[name][:-1]


def drop_a_class(part):
    part["known_classes"] = part["known_classes"][:-1]


def make_infinite(part):
    part["oof_proba"] = part["oof_proba"] * np.inf


def replace_step(part):
    part["best_step"] = "1"


@pytest.mark.parametrize("change", [cut_rows, drop_a_class, make_infinite, replace_step])
def test_a_fold_whose_tables_do_not_fit_is_redone(root, tiny_run, tiny_source, change):
    """Rows of another validation part, another number of classes, numbers, types."""
    with np.errstate(invalid="ignore"):
        change_fold(root, "lgbm", 0, change)
    assert train(root, tiny_config(tiny_source)) == "finished"
    assert [text for text in problems_of(root) if "the fold is redone" in text] != []
    assert_same_result(root, tiny_run)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "1"}, {"schema": 10**400}, {"model": "torch"}, {"model": ["lgbm"]},
        {"folds": []},
        {"folds": [{}]}, {"folds": {}}, {"folds": None}, {"gestures": ["a"]}, {"gestures": [1]},
        {"gestures": []}, {"num_targets": 99}, {"num_targets": -1}, {"weights": {"lgbm": "x"}},
        {"weights": {"lgbm": float("nan")}}, {"weights": {"lgbm": -1.0}}, {"weights": []},
        {"fold_weights": 1}, {"mirror_left_handers": "yes"}, {"turned_subjects": [[]]},
        {"fail_if_torch_missing": 2}, {"input_version": "5"}, {"turned_subjects": 7},
        {"orientation_detector": 7}, {"orientation_detector": {"version": [1.0]}},
    ],
)  # fmt: skip
def test_a_bundle_with_other_parts_is_refused(root, changes):
    change_bundle(root, "lgbm", lambda bundle: bundle.update(changes))
    with pytest.raises(PredictError, match="lgbm_bundle"):
        Predictor.load(root)


def test_probabilities_of_another_number_of_classes_are_refused(root):
    """The fold says 5 classes, the bundle 4."""
    change_bundle(root, "lgbm", lambda b: b["folds"][0]["packed"].update(num_classes=5))
    recording = sequences_from_table(make_table(num_subjects=1, labelled=False))
    with pytest.raises(PredictError, match="expected finite probabilities of shape"):
        Predictor.load(root).predict(recording)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": np.zeros((2, 2), np.float32)}, {"features": np.zeros(3)}, {"features": "x"},
        {"feature_names": ["a"]}, {"feature_names": [1]}, {"labels": np.array([0.5])},
        {"labels": np.full(48, -1)}, {"subjects": np.zeros(48)}, {"sequence_ids": np.array(["a"])},
        {"tof_grid_map": {"a": [1]}}, {"tof_grid_map": {"a": ["tof_1", 0, 10**9, 0, 1]}},
        {"tof_grid_map": []}, {"key": 1}, {"key": None},
    ],
)  # fmt: skip
def test_a_feature_cache_whose_parts_do_not_agree_is_not_used(root, changes):
    """The reason is returned in words, as for a damaged file."""
    folder, name = CheckedFolder(root), "train_features.joblib"
    folder.write(name, dumps(loads(folder.read(name)) | changes))
    assert "feature cache: " in load_features(folder)


def test_every_plain_value_in_place_of_a_file_is_refused(root):
    """A number, a list, nothing, in place of the table that a file should contain."""
    folder = CheckedFolder(root)
    for value in (None, 7, "text", [], {}, [[]], np.zeros(3)):
        folder.write("lgbm_bundle.pkl", seal(dumps(value)))
        with pytest.raises(PredictError):
            Predictor.load(root)
        folder.write("train_features.joblib", dumps(value))
        assert isinstance(load_features(folder), str)
