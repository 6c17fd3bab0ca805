"""One LightGBM fold: resuming is exact, and the joined model equals its segments."""

import dataclasses
import re

import lightgbm as lgb
import numpy as np
import pytest

from tests.support.fold_tasks import (
    BOOSTING_CONFIG,
    BOOSTING_FOLD,
    BOOSTING_SEED,
    FEATURE_NAMES,
    fit_table_fold,
    make_table_task,
)
from trainer.config import BoostingConfig
from trainer.data.sequences import NO_ANNOTATIONS
from trainer.features.feature_table import FeatureTable
from trainer.models.base import FoldTask
from trainer.models.boosting.booster import (
    load_booster,
    predict,
    raw_scores,
    softmax,
)
from trainer.models.boosting.checkpoint import segment_end
from trainer.models.boosting.fold import fit_fold
from trainer.models.boosting.model import pack, unpack
from trainer.models.boosting.model_text import join
from trainer.models.monitor import Paused, SilentMonitor


class Recorder(SilentMonitor):
    """Records the calls of a fold; requests a stop before its n-th round, over its lifetime."""

    def __init__(self, stop_before=None):
        self.stop_before = stop_before
        self.num_checks = 0
        self.steps, self.records, self.checkpoints = [], [], []

    def should_stop(self):
        self.num_checks += 1
        return self.num_checks == self.stop_before

    def advance(self, step, total):
        self.steps.append((step, total))

    def record(self, event, values):
        self.records.append((event, values))

    def save(self, checkpoint):
        self.checkpoints.append(checkpoint)


def assert_same_bits(one, other):
    """Two folds are equal to the last bit: trees, probabilities, importance, early stopping."""
    assert one.model.text == other.model.text
    assert (one.best_round, one.num_rounds, one.score) == (
        *(other.best_round, other.num_rounds, other.score),
    )
    parts = ("valid_proba_NK", "valid_proba_imu_NK", "best_proba_NK", "best_proba_imu_NK")
    for name in (*parts, "gain_F", "split_F"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@pytest.fixture(scope="module")
def whole():
    """A fold that was never interrupted, and its recorder."""
    recorder = Recorder()
    return fit_table_fold(monitor=recorder), recorder


# Exact resume


@pytest.mark.parametrize("stop_before", range(1, BOOSTING_CONFIG.rounds + 1))
def test_a_fold_that_was_stopped_at_any_round_ends_with_the_same_bits(whole, stop_before):
    """Paused before round n and resumed from the last checkpoint: model text, probabilities."""
    first = Recorder(stop_before)
    with pytest.raises(Paused):
        fit_table_fold(monitor=first)
    assert len(first.steps) == stop_before - 1
    checkpoint = first.checkpoints[-1] if first.checkpoints else None
    assert_same_bits(fit_table_fold(checkpoint=checkpoint), whole[0])


def test_a_fold_that_was_stopped_in_every_segment_ends_with_the_same_bits(whole):
    """Paused again and again, once per attempt: each attempt gains at most a segment."""
    checkpoint, num_attempts = None, 0
    while True:
        recorder = Recorder(stop_before=6)
        num_attempts += 1
        try:
            fold = fit_table_fold(monitor=recorder, checkpoint=checkpoint)
            break
        except Paused:
            checkpoint = recorder.checkpoints[-1]
    assert num_attempts == 3  # to round 3, 6, 11
    assert_same_bits(fold, whole[0])


def test_a_fold_that_was_killed_after_its_last_segment_only_finishes(whole):
    """From the last checkpoint not a round is boosted; the result is the same."""
    recorder = Recorder()
    assert_same_bits(
        fit_table_fold(monitor=recorder, checkpoint=whole[1].checkpoints[-1]), whole[0]
    )
    assert recorder.steps == []


def test_a_discarded_round_is_not_in_the_history(whole):
    """A pause inside a segment discards the segment: neither a checkpoint nor a record of it."""
    recorder = Recorder(stop_before=5)
    with pytest.raises(Paused):
        fit_table_fold(monitor=recorder)
    assert [values["step"] for _, values in recorder.records] == [3]
    assert len(recorder.checkpoints) == 1
    assert whole[1].records[0] == recorder.records[0]


def test_the_segment_length_is_part_of_what_is_computed(whole):
    """Another segment length derives other seeds: it is a setting, not a detail of saving."""
    other = fit_table_fold(config=BOOSTING_CONFIG.model_copy(update={"segment_rounds": 4}))
    assert other.model.text != whole[0].model.text


def test_the_seed_and_the_fold_decide_the_randomness(whole):
    """Another seed or fold number gives another model on the same data."""
    assert fit_table_fold(seed=43).model.text != whole[0].model.text
    other = fit_fold(
        make_table_task(), BOOSTING_CONFIG, BOOSTING_SEED, BOOSTING_FOLD + 1, SilentMonitor()
    )
    assert other.model.text != whole[0].model.text


# History and early stopping


def test_every_round_and_segment_is_reported(whole):
    """Rounds one by one of the total; a point of the curves, with its losses, per segment."""
    fold, recorder = whole
    assert recorder.steps == [(step, 11) for step in range(1, 12)]
    assert [(event, values["step"]) for event, values in recorder.records] == [
        *(("segment", 3), ("segment", 6), ("segment", 11)),
    ]
    assert set(recorder.records[0][1]) == {
        *("step", "train_loss", "valid_loss", "score", "binary_f1", "macro_f1"),
        *("best_step", "learning_rate"),
    }
    assert recorder.records[-1][1]["best_step"] == fold.best_round
    losses = [values["train_loss"] for _, values in recorder.records]
    assert losses == sorted(losses, reverse=True)


def noisy_task():
    """Return a task whose validation part is noise, so that early stopping happens."""
    task = make_table_task()
    values_NF = task.inputs.values_NF.copy()
    values_NF[task.valid_idx] = np.random.default_rng(5).normal(1, 2, (30, len(FEATURE_NAMES)))
    return dataclasses.replace(task, inputs=FeatureTable(values_NF, task.inputs.names))


def test_a_segment_is_as_long_as_all_before_it_up_to_100_rounds():
    """Of the defaults: at least 25 rounds, at most 100; never past the last round."""
    config = BoostingConfig(rounds=330)
    ends = [0]
    while ends[-1] < config.rounds:
        ends.append(segment_end(ends[-1], config))
    assert ends == [0, 25, 50, 100, 200, 300, 330]


@pytest.mark.parametrize("segment_rounds", [3, 4, 25])
def test_early_stopping_counts_across_segments(segment_rounds):
    """Ends exactly patience rounds after the best one, wherever segments end."""
    config = BOOSTING_CONFIG.model_copy(
        update={
            "rounds": 60,
            "segment_rounds": segment_rounds,
            "patience_rounds": 7,
            "select": "best",
        }
    )
    recorder = Recorder()
    fold = fit_table_fold(noisy_task(), config, recorder)
    losses = recorder.checkpoints[-1]["losses"]
    assert fold.num_rounds == len(losses) == len(recorder.steps) < 60
    assert fold.best_round == 1 + int(np.argmin(losses))
    assert fold.num_rounds == fold.best_round + 7


@pytest.mark.parametrize("rounds", [4, 25])
def test_the_model_of_a_fold_is_that_of_its_last_round(rounds):
    """Nothing stops it early; the best round's probabilities are kept beside its own."""
    update = {"rounds": rounds, "segment_rounds": 5, "patience_rounds": 3}
    config = BOOSTING_CONFIG.model_copy(update=update)
    fold = fit_table_fold(noisy_task(), config)
    assert fold.num_rounds == rounds > fold.best_round
    running_NP = whole_scores(noisy_task(), config)
    np.testing.assert_allclose(fold.valid_proba_NK, softmax(running_NP), atol=1e-12)
    best = fit_table_fold(noisy_task(), config.model_copy(update={"select": "best"}))
    assert best.best_round == fold.best_round
    np.testing.assert_array_equal(best.valid_proba_NK, fold.best_proba_NK)
    np.testing.assert_array_equal(best.valid_proba_imu_NK, fold.best_proba_imu_NK)
    assert len(best.model.text) < len(fold.model.text)


def whole_scores(task, config):
    """Return the running validation scores after the last round."""
    recorder = Recorder()
    fit_table_fold(task, config, recorder)
    return recorder.checkpoints[-1]["valid_scores"]


@pytest.mark.parametrize("stop_before", [2, 5, 7])
def test_early_stopping_survives_a_resume(stop_before):
    """History, best loss and patience are in the checkpoint: the same end, the same model."""
    config = BOOSTING_CONFIG.model_copy(
        update={"rounds": 60, "segment_rounds": 5, "patience_rounds": 7, "select": "best"}
    )
    first = Recorder(stop_before)
    with pytest.raises(Paused):
        fit_table_fold(noisy_task(), config, first)
    checkpoint = first.checkpoints[-1] if first.checkpoints else None
    resumed = fit_table_fold(noisy_task(), config, checkpoint=checkpoint)
    assert_same_bits(resumed, fit_table_fold(noisy_task(), config))


def test_a_round_that_splits_nothing_adds_no_tree():
    """Few rows, features that rarely split: LightGBM adds no tree, and the best round is still the
    one with the best validation loss, except for rounding of sums in another order."""
    random = np.random.default_rng(0)
    label_idx = np.arange(24) % 2
    values_NF = np.zeros((24, 6), dtype=np.float32)
    values_NF[:, 0] = random.normal(size=24) + label_idx
    for column in range(1, 6):  # two rows differ, a leaf needs five
        values_NF[random.choice(24, 2, replace=False), column] = 1.0
    names = tuple(f"acc.x.stat{i}" for i in range(6))
    train_idx, valid_idx = np.arange(16), np.arange(16, 24)
    task = FoldTask(
        FeatureTable(values_NF, names), label_idx, 2, 1, train_idx, valid_idx, NO_ANNOTATIONS
    )
    config = BoostingConfig(
        rounds=40,
        segment_rounds=10,
        feature_fraction=0.4,
        num_threads=1,
    )
    recorder = Recorder()
    fold = fit_table_fold(task, config, recorder)
    assert fold.model.text.count("Tree=") < 2 * fold.num_rounds
    own_N = fold.best_proba_NK[np.arange(8), label_idx[valid_idx]]
    best_loss = recorder.checkpoints[-1]["best_loss"]
    assert -np.mean(np.log(own_N)) == pytest.approx(best_loss, abs=1e-12)


# The joined model


@pytest.mark.parametrize("lacking", [None, 1], ids=["every class", "one that training lacks"])
def test_the_joined_model_is_the_sum_of_its_segments(lacking):
    """Start scores plus the segments' trees, as boosted: equal probabilities within 1e-12."""
    task, recorder = make_table_task(num_classes=4), Recorder()
    train_idx = task.train_idx[task.label_idx[task.train_idx] != lacking]
    task = dataclasses.replace(task, train_idx=train_idx)
    fold = fit_table_fold(task, monitor=recorder)
    newest = recorder.checkpoints[-1]
    everything = dataclasses.replace(fold.model, text=join(newest["texts"], newest["num_trees"]))
    raw_NP = raw_scores(everything, task.inputs.values_NF[task.valid_idx])
    assert np.abs(softmax(raw_NP) - softmax(newest["valid_scores"])).max() < 1e-12


def test_the_joined_model_is_one_that_lightgbm_reads(whole):
    """Trees numbered from 0, sizes right, and written again as it was read."""
    text = whole[0].model.text
    numbers = [int(number) for number in re.findall(r"^Tree=(\d+)$", text, re.MULTILINE)]
    assert numbers == list(range(3 * whole[0].best_round))
    booster = load_booster(whole[0].model)
    assert booster.num_trees() == 3 * whole[0].best_round
    assert booster.feature_importance("split").sum() == whole[0].split_F.sum()


def test_joining_more_trees_than_there_are_is_refused(whole):
    """The message contains how many were expected and how many the segments hold."""
    with pytest.raises(ValueError, match="expected at least 34 trees, the segments hold 33"):
        join(whole[1].checkpoints[-1]["texts"], 34)


def test_contributions_of_features_sum_to_the_raw_score(whole):
    """LightGBM's contributions of the joined model, with its start scores, add up to it."""
    model = whole[0].model
    values_NF = make_table_task().inputs.values_NF[:10]
    contributions = load_booster(model).predict(values_NF, pred_contrib=True, num_threads=1)
    by_class_NPF = contributions.reshape(10, 3, len(FEATURE_NAMES) + 1)
    raw_NP = raw_scores(model, values_NF)
    assert by_class_NPF.sum(axis=2) + model.log_shares_P == pytest.approx(raw_NP, abs=1e-12)


def test_importance_counts_the_splits_of_the_joined_model(whole):
    """As many splits as its trees have inner nodes; a feature without a split has no gain."""
    fold = whole[0]
    leaves = [int(n) for n in re.findall(r"^num_leaves=(\d+)$", fold.model.text, re.MULTILINE)]
    assert fold.split_F.sum() == sum(leaves) - len(leaves)
    assert ((fold.gain_F > 0) == (fold.split_F > 0)).all()
    assert fold.gain_F.shape == (len(FEATURE_NAMES),)


def test_a_packed_model_predicts_the_same(whole):
    """Packed and unpacked: the same probabilities, bit for bit."""
    task = make_table_task()
    again = predict(unpack(pack(whole[0].model)), task.inputs.values_NF[task.valid_idx])
    assert again.tobytes() == whole[0].valid_proba_NK.tobytes()


def test_prediction_uses_the_configured_threads(monkeypatch):
    """LightGBM uses every core by default: 7 times slower beside torch."""
    used, predict_plainly = [], lgb.Booster.predict

    def record(booster, *words, num_threads=None, **options):
        used.append(num_threads)
        return predict_plainly(booster, *words, num_threads=num_threads, **options)

    monkeypatch.setattr(lgb.Booster, "predict", record)
    fit_table_fold()
    assert set(used) == {1}


# Classes


def test_a_class_that_the_training_part_lacks_has_no_probability():
    """Class 1 of 4 is only in the validation part: the fold trains, and gives it 0."""
    task = make_table_task(num_classes=4)
    train_idx = task.train_idx[task.label_idx[task.train_idx] != 1]
    fold = fit_table_fold(dataclasses.replace(task, train_idx=train_idx))
    assert fold.model.class_idx.tolist() == [0, 2, 3]
    assert (fold.valid_proba_NK[:, 1] == 0.0).all()
    assert fold.valid_proba_NK.sum(axis=1) == pytest.approx(1.0)
    assert fold.valid_proba_NK.shape == (30, 4)


def test_a_class_that_the_validation_part_lacks_is_no_obstacle():
    """Only class 0 and 1 are validated: the third is in the model all the same."""
    task = make_table_task()
    valid_idx = task.valid_idx[task.label_idx[task.valid_idx] != 2]
    fold = fit_table_fold(dataclasses.replace(task, valid_idx=valid_idx))
    assert fold.model.class_idx.tolist() == [0, 1, 2]


def test_one_class_alone_is_refused():
    """A training part of one gesture cannot be fitted; the message contains what to do."""
    task = make_table_task()
    train_idx = task.train_idx[task.label_idx[task.train_idx] == 0]
    with pytest.raises(
        ValueError, match=r"fold 1: expected at least 2 gestures .* got 1; use fewer"
    ):
        fit_table_fold(dataclasses.replace(task, train_idx=train_idx))


# Hidden sensors


def test_imu_probabilities_are_those_without_thermopiles_and_time_of_flight(whole):
    """They are the model's predictions of the validation part with these features missing."""
    task = make_table_task()
    hidden_NF = task.inputs.values_NF[task.valid_idx].copy()
    hidden_NF[:, 6:] = np.nan
    fold = whole[0]
    assert predict(fold.model, hidden_NF).tobytes() == fold.valid_proba_imu_NK.tobytes()
    assert (fold.valid_proba_imu_NK != fold.valid_proba_NK).any()


def test_without_thermopiles_and_time_of_flight_there_are_no_imu_probabilities():
    """Where nothing can be hidden there is no second prediction."""
    fold = fit_table_fold(make_table_task(names=FEATURE_NAMES[:6]))
    assert fold.valid_proba_imu_NK is None
