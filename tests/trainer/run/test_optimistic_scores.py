"""Scores of the models that predict, beside the optimistic ones of each fold's best step."""

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


def block(model, fold, last, best=None, best_step=20, imu=None):
    result = FoldResult(
        proba_NK=answers(last),
        proba_imu_NK=None if imu is None else answers(imu),
        known_K=np.ones(3, bool),
        best_step=best_step,
        packed={},
        best_proba_NK=None if best is None else answers(best),
        best_proba_imu_NK=None if imu is None or best is None else answers(imu),
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


def test_the_models_that_predict_and_the_best_steps_are_scored_apart():
    """Best steps are all right, last ones mistake one of three: the headline is the lower score."""
    found = scored(
        *(block(model, fold, WRONG, RIGHT) for model in ("lgbm", "torch") for fold in (0, 1))
    )
    names = ("lgbm", "torch", "blend")
    accuracy = {name: row.all_sensors.oof.accuracy for name, row in found.models.items()}
    assert accuracy == dict.fromkeys(names, 4 / 6)
    best = {name: row.all_sensors.mean for name, row in found.best.items()}
    assert best == dict.fromkeys(names, 1.0)
    assert not any(map(found.is_optimistic, names))


def test_selected_best_steps_are_marked_as_optimistic():
    """The model's score, and the blend's with it, but not that of the other model."""
    config = Config(network=Config().network.model_copy(update={"select": "best"}))
    found = scored(block("lgbm", 0, WRONG), block("torch", 0, RIGHT, RIGHT), config=config)
    assert found.optimistic == ("torch", "blend")
    assert not found.is_optimistic("lgbm")


def test_the_best_steps_have_the_three_choices_of_sensors():
    """All sensors, IMU only and their mean, as the others."""
    found = scored(block("lgbm", 0, RIGHT, RIGHT, imu=WRONG))
    row = found.best["lgbm"]
    assert row.all_sensors.oof.accuracy == 1.0
    assert row.imu_only.oof.accuracy == 2 / 3
    assert row.half_and_half == 0.5 * (row.all_sensors.oof.score + row.imu_only.oof.score)


def test_a_fold_without_a_best_step_takes_its_model_out():
    """Neither the model nor the blend has an optimistic score."""
    found = scored(
        block("lgbm", 0, WRONG, RIGHT),
        block("lgbm", 1, WRONG, RIGHT),
        block("torch", 0, WRONG, RIGHT),
        block("torch", 1, RIGHT),
    )
    assert list(found.best) == ["lgbm"]
    assert set(found.models) == {"lgbm", "torch", "blend"}


@pytest.mark.parametrize("model", ["lgbm", "torch"])
def test_a_fold_file_keeps_the_probabilities_of_the_best_step(model):
    """They come back as they were written, and None where there were none."""
    for best in (WRONG, None):
        _, one = block(model, 0, RIGHT, best, imu=RIGHT)
        kind = registry.get(model)
        back = load_block(kind, dump_block(kind, FoldBlock(model, 0, "key", one))).result
        for part in ("best_proba_NK", "best_proba_imu_NK"):
            np.testing.assert_array_equal(getattr(back, part), getattr(one, part))


def test_scores_of_an_earlier_version_are_optimistic(tmp_path):
    """Its ``models`` were chosen on the scored rows; its ``fixed`` is not used."""
    plain = json.loads(dump_record(scored(block("lgbm", 0, RIGHT, WRONG))))
    assert plain["schema"] == 1
    plain |= {"fixed": plain.pop("best"), "fixed_steps": {"lgbm": 150}}
    del plain["optimistic"]
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(plain))
    old = read_record(path, Scores)
    assert old.best == {}
    assert old.models["lgbm"].all_sensors.mean == 1.0
    assert old.is_optimistic("lgbm")
    assert mean_scores.selection_sentence(old).startswith("These scores are optimistic")


def test_the_page_says_which_scores_are_which():
    """The headline is honest; the optimistic scores are named as such, where there are any."""
    honest = "Nothing was chosen or fitted on the recordings that are scored."
    assert mean_scores.selection_sentence(scored(block("lgbm", 0, WRONG, RIGHT))) == (
        f"{honest} With the best round or epoch of each fold, chosen on these recordings, the mean "
        "score with all sensors would be optimistic: LightGBM 1.000."
    )
    assert mean_scores.selection_sentence(scored(block("lgbm", 0, RIGHT))) == honest
