"""Contributions sum to the raw score; attention and occlusion agree with the model itself."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from tests.support.builders import make_table
from trainer.data.preprocess import preprocess
from trainer.data.sources import sequences_from_table
from trainer.explain.contributions import contributions_of
from trainer.explain.occlusion import attention_of, occlusion_of
from trainer.features.feature_table import align, build_table
from trainer.models.boosting.booster import raw_scores
from trainer.models.network.gesture_net import NetworkSizes
from trainer.models.network.submodels import TimeSeriesNet
from trainer.predict.predictor import PredictError, Predictor


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.load(tiny_run)


@pytest.fixture(scope="module")
def sequence():
    """One sequence of 50 to 75 steps, longer than the networks' frames, all sensors."""
    table = make_table(num_subjects=1, sequences_per_subject=1, length=50, seed=5, labelled=False)
    return sequences_from_table(table)


@pytest.fixture
def without(tiny_run, tmp_path):
    """Load a copy of the run that lacks one model's bundle."""

    def load(model):
        root = shutil.copytree(tiny_run, tmp_path / "copy")
        (root / f"{model}_bundle.pkl").unlink()
        return Predictor.load(root)

    return load


# Contributions


@pytest.mark.parametrize(("gesture", "other"), [(0, 1), (3, 0), (2, 3)])
def test_contributions_sum_to_the_raw_score(predictor, sequence, gesture, other):
    """Start plus every feature is the model's own raw score of both gestures, fold by fold."""
    found = contributions_of(predictor, sequence, gesture, other)
    sums_2M = found.start_2M + found.added_2MF.sum(axis=2)
    table = build_table(preprocess(sequence))
    lgbm = predictor.models["lgbm"]
    for fold, (fitted, temperature) in enumerate(zip(lgbm.folds, lgbm.temperatures_M, strict=True)):
        each = fitted.model
        raw_P = raw_scores(each, align(table, each.names))[0] / temperature
        for row, k in enumerate((gesture, other)):
            expected = raw_P[each.class_idx.tolist().index(k)]
            assert sums_2M[row, fold] == pytest.approx(expected, abs=1e-9)
            assert found.raw_2M[row, fold] == expected


def test_contributions_against_the_runner_up_sum_to_the_difference(predictor, sequence):
    """By feature and by sensor, over the mean of the folds."""
    found = contributions_of(predictor, sequence, 1, 2)
    difference = float((found.raw_2M[0] - found.raw_2M[1]).mean())
    start = float((found.start_2M[0] - found.start_2M[1]).mean())
    for rows in (found.by_feature(), found.by_sensor()):
        assert start + sum(row.difference for row in rows) == pytest.approx(difference, abs=1e-9)
        sizes = [abs(row.difference) for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    sensors = {row.name for row in found.by_sensor()}
    assert sensors == {
        "acc",
        "rot",
        *(f"{kind}_{n}" for kind in ("thm", "tof") for n in range(1, 6)),
    }


def test_contributions_contain_the_value_of_each_feature(predictor, sequence):
    """The value that the model used; NaN where the sensor is missing."""
    imu = sequence.without(["thm", "tof"])
    found = contributions_of(predictor, imu, 0, 1)
    values = dict(zip(found.names, found.values_F.tolist(), strict=True))
    assert values["acc.length.steps"] == sequence.lengths_N[0]
    assert np.isnan(values["thm_1.temperature.mean"])


def test_contributions_of_one_fold_are_of_that_fold(predictor, sequence):
    """The fold whose training part does not have a sequence can explain it alone."""
    both = contributions_of(predictor, sequence, 0, 1)
    one = contributions_of(predictor, sequence, 0, 1, fold=1)
    assert one.added_2MF.shape[1] == 1
    assert one.added_2MF[:, 0].tolist() == both.added_2MF[:, 1].tolist()


def test_a_fold_that_was_not_trained_on_a_gesture_is_left_out(predictor, sequence):
    """Without any fold that was trained on both gestures there is no explanation."""
    fitted = predictor.models["lgbm"]
    known_MK = fitted.known_MK.copy()
    known_MK[0, 1] = False
    partly = dataclasses.replace(
        predictor, models={"lgbm": dataclasses.replace(fitted, known_MK=known_MK)}
    )
    assert contributions_of(partly, sequence, 0, 1).raw_2M.shape == (2, 1)
    assert contributions_of(partly, sequence, 0, 2).raw_2M.shape == (2, 2)
    known_MK[1, 1] = False
    with pytest.raises(PredictError, match="no fold was trained on both"):
        contributions_of(partly, sequence, 0, 1)


# Over time


def test_attention_sums_to_one_over_the_steps_of_the_frames(predictor, sequence):
    """In every fold; steps before its frames weigh 0, the four steps of a pooled step are equal."""
    weights_MT = attention_of(predictor, sequence).weights_MT
    num_steps = int(sequence.offsets[-1])
    assert weights_MT.shape == (2, num_steps)
    assert weights_MT.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-12)
    for each, weights_T in zip(predictor.models["torch"].folds, weights_MT, strict=True):
        first = num_steps - each.model.length
        assert first > 0
        assert (weights_T[:first] == 0).all()
        assert (weights_T[first:] > 0).all()
        assert len(set(weights_T[first : first + 4].tolist())) == 1


def test_attention_is_zero_on_padding():
    """In a padded batch: 1 over the real pooled steps, exactly 0 after them."""
    torch.manual_seed(0)
    net = TimeSeriesNet(NetworkSizes(3, 4, (4, 8), 4, 0.0)).eval()
    with torch.inference_mode():
        _, weights_NP = net.forward_with_attention(torch.randn(2, 16, 3), torch.tensor([16, 5]))
    assert weights_NP.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert weights_NP[1, 2:].tolist() == [0.0, 0.0]
    assert (weights_NP[1, :2] > 0).all()


def test_occlusion_starts_from_the_networks_own_probabilities(predictor, sequence):
    """Unhidden, they are the predictor's; the windows cover the recording without a gap."""
    found = occlusion_of(predictor, sequence, num_windows=8)
    proba_K = predictor.predict(sequence).by_model["torch"][0]
    assert np.abs(found.whole_K - proba_K).max() <= 1e-6
    assert found.bounds[0] == 0 and found.bounds[-1] == sequence.offsets[-1]
    assert len(found.hidden_BK) == 8 and (np.diff(found.bounds) > 0).all()
    assert found.hidden_BK.sum(axis=1) == pytest.approx([1.0] * 8)


def test_occlusion_is_recomputed_not_stored(predictor, sequence):
    """Hiding a window equals predicting a recording whose values are missing there."""
    found = occlusion_of(predictor, sequence, num_windows=4)
    start, stop = found.bounds[2:4]
    hidden_values = {}
    for field in ("acc_T3", "rot_T4", "thm_T5", "tof_T320"):
        hidden_values[field] = getattr(sequence, field).copy()
        hidden_values[field][start:stop] = np.nan
    hidden = predictor.predict(dataclasses.replace(sequence, **hidden_values)).by_model["torch"][0]
    # a turn belongs to the step before it, so the step before the window differs a little
    assert np.abs(found.hidden_BK[2] - hidden).max() < 0.02
    assert np.abs(found.hidden_BK[2] - found.whole_K).max() > 1e-6
    assert found.drop_B(1)[2] == found.whole_K[1] - found.hidden_BK[2, 1]


def test_steps_before_the_frames_change_nothing(predictor, sequence):
    """Windows before the frames of every fold have the whole recording's probabilities."""
    found = occlusion_of(predictor, sequence, num_windows=25)
    longest = max(each.model.length for each in predictor.models["torch"].folds)
    before_B = found.bounds[1:] <= sequence.offsets[-1] - longest
    assert before_B.any() and not before_B.all()
    assert np.abs(found.hidden_BK[before_B] - found.whole_K).max() < 1e-12


def test_a_very_short_sequence_has_attention_and_occlusion(predictor, sequence):
    """One step: all of the attention, and one window that hides everything."""
    keep_mask = np.arange(sequence.offsets[-1]) == 0
    single = sequence.keep_steps(keep_mask)
    assert attention_of(predictor, single).weights_MT.tolist() == [[1.0], [1.0]]
    assert occlusion_of(predictor, single).bounds.tolist() == [0, 1]


# What is missing


def test_without_a_model_with_contributions_the_error_names_those_that_have_them(without, sequence):
    """And the models that the run has."""
    expected = (
        r"expected a model with contributions \(LightGBM\), got only Network "
        r"\(LightGBM has no bundle in this run: not used\)\. Finish"
    )
    with pytest.raises(PredictError, match=expected):
        contributions_of(without("lgbm"), sequence, 0, 1)


def test_without_a_network_there_is_neither_attention_nor_occlusion(without, sequence):
    """The error names the model that has them, and what to do instead."""
    alone = without("torch")
    expected = r"a model with attention \(Network\), got only LightGBM \(.*another explanation"
    for explain in (attention_of, occlusion_of):
        with pytest.raises(PredictError, match=expected):
            explain(alone, sequence)


@pytest.mark.parametrize("explain", [attention_of, occlusion_of])
def test_one_sequence_is_explained_at_a_time(predictor, explain):
    """Several are refused, with their number; so is a fold that does not exist."""
    table = make_table(num_subjects=1, sequences_per_subject=3, labelled=False)
    several = sequences_from_table(table)
    with pytest.raises(PredictError, match="expected one sequence to explain, got 3"):
        explain(predictor, several)
    with pytest.raises(PredictError, match="expected one sequence to explain, got 3"):
        contributions_of(predictor, several, 0, 1)
    with pytest.raises(PredictError, match="fold: expected one of 0 to 1, got 7"):
        explain(predictor, several.select(np.array([0])), fold=7)
