"""Scores at a round or epoch that was fixed in advance, beside those of the best ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pages.ui.scores import mean_scores
from trainer.config import Config
from trainer.data.sequences import LabelTable
from trainer.folds import FoldAssignment
from trainer.models import registry
from trainer.models.base import FoldResult
from trainer.run.fold_result_file import FoldBlock, dump_block, load_block
from trainer.run.result_tables import scores
from trainer.store.records import Scores, dump_record, read_record

GESTURES = ("pinch", "pull", "wave")  # two targets
LABEL_IDX = np.array([0, 1, 2, 0, 1, 2])
FOLD_N = np.array([0, 0, 0, 1, 1, 1])


def answers(predicted):
    """Return probabilities whose largest classes are the given ones."""
    return np.eye(3)[np.array(predicted)] * 0.7 + 0.1


def block(model, fold, best, last=None, best_step=20, imu=None):
    result = FoldResult(
        proba_NK=answers(best),
        proba_imu_NK=None if imu is None else answers(imu),
        known_K=np.ones(3, bool),
        best_step=best_step,
        packed={},
        last_proba_NK=None if last is None else answers(last),
        last_proba_imu_NK=None if imu is None or last is None else answers(imu),
    )
    return (model, fold), result


def scored(*results, config=None):
    folds = FoldAssignment(
        np.array(list("abcdef")),
        np.array(list("ssttuu")),
        LABEL_IDX,
        FOLD_N,
        LabelTable(GESTURES, 2),
    )
    return scores(folds, dict(results), config or Config())


RIGHT, WRONG = [0, 1, 2], [1, 1, 2]


def test_fixed_and_best_answers_are_scored_apart():
    """Best rounds are all right, fixed ones mistake one of three: 1.0 and less, both recorded."""
    found = scored(
        *(block(model, fold, RIGHT, WRONG) for model in ("lgbm", "torch") for fold in (0, 1))
    )
    assert {name: row.all_sensors.mean for name, row in found.models.items()} == {
        "lgbm": 1.0,
        "torch": 1.0,
        "blend": 1.0,
    }
    assert {name: row.all_sensors.oof.accuracy for name, row in found.fixed.items()} == {
        "lgbm": 4 / 6,
        "torch": 4 / 6,
        "blend": 4 / 6,
    }
    assert found.fixed_steps == {"lgbm": 150, "torch": Config().network.fixed_epochs}


def test_the_fixed_scores_have_the_three_choices_of_sensors():
    """All sensors, IMU only and their mean, as the others."""
    found = scored(block("lgbm", 0, RIGHT, RIGHT, imu=WRONG))
    row = found.fixed["lgbm"]
    assert row.all_sensors.oof.accuracy == 1.0
    assert row.imu_only.oof.accuracy == 2 / 3
    assert row.half_and_half == 0.5 * (row.all_sensors.oof.score + row.imu_only.oof.score)


def test_a_fold_without_fixed_answers_takes_its_model_out():
    """One older fold file, and neither the model nor the blend has a fixed score."""
    found = scored(
        block("lgbm", 0, RIGHT, WRONG),
        block("lgbm", 1, RIGHT, WRONG),
        block("torch", 0, RIGHT, WRONG),
        block("torch", 1, RIGHT),
    )
    assert list(found.fixed) == ["lgbm"]
    assert list(found.fixed_steps) == ["lgbm"]
    assert set(found.models) == {"lgbm", "torch", "blend"}


@pytest.mark.parametrize(("epochs", "fixed"), [(12, 12), (20, 20), (50, 20)])
def test_the_fixed_epoch_is_named(epochs, fixed):
    """It is the last one where fewer epochs are trained."""
    network = Config().network.model_copy(update={"epochs": epochs, "fixed_epochs": 20})
    config = Config(models=("torch",), network=network)
    assert scored(block("torch", 0, RIGHT, WRONG), config=config).fixed_steps == {"torch": fixed}


@pytest.mark.parametrize("model", ["lgbm", "torch"])
def test_a_fold_file_keeps_the_fixed_answers(model):
    """They come back as they were written, and None where there were none."""
    for last in (WRONG, None):
        _, one = block(model, 0, RIGHT, last, imu=RIGHT)
        kind = registry.get(model)
        back = load_block(kind, dump_block(kind, FoldBlock(model, 0, "key", one))).result
        for part in ("last_proba_NK", "last_proba_imu_NK"):
            np.testing.assert_array_equal(getattr(back, part), getattr(one, part))


def test_scores_of_an_older_version_are_still_read(tmp_path):
    """A scores.json without ``fixed`` is one that has no fixed scores."""
    plain = json.loads(dump_record(scored(block("lgbm", 0, RIGHT, WRONG))))
    assert plain["schema"] == 1
    del plain["fixed"], plain["fixed_steps"]
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(plain))
    old = read_record(path, Scores)
    assert old.fixed == {}
    assert old.models["lgbm"].all_sensors.mean == 1.0


def test_the_page_says_which_scores_are_which():
    """The sentence names the round and the mean of the folds, or that there is none."""
    found = scored(block("lgbm", 0, RIGHT, RIGHT))
    assert mean_scores.fixed_sentence(found) == (
        "At a fixed number of steps (round 150), set before training, the mean score with all "
        "sensors is: LightGBM 1.000."
    )
    assert mean_scores.fixed_sentence(scored(block("lgbm", 0, RIGHT))) == (
        "This run has no scores at a round or epoch that was fixed before training."
    )
