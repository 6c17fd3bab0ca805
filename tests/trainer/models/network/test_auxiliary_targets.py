"""Auxiliary targets: their batches, their losses, and their effect on the fitted weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.builders import make_table
from tests.support.fold_tasks import NETWORK_CONFIG, NETWORK_SEED, fit_network, make_frame_task
from tests.support.network_folds import predict_exactly
from trainer.data.raw_table import sequences_from_table
from trainer.data.sequences import NO_ANNOTATIONS, Annotations
from trainer.models.monitor import SilentMonitor
from trainer.models.network.auxiliary_targets import (
    AuxiliaryBatch,
    auxiliary_batch,
    auxiliary_loss,
    make_auxiliary_targets,
)
from trainer.models.network.gesture_net import NetworkOutput

PHASE_T = np.array([0, 0, 1, -1, 0, 1, 1], dtype=np.int8)  # of two sequences: 4 and 3 steps
TARGETS = make_auxiliary_targets(Annotations(PHASE_T, np.array(["sitting", "lying", ""])))


def output(phase_NMP=None, posture_NMH=None, num_members=1):
    return NetworkOutput(torch.zeros(2, num_members, 3), phase_NMP, posture_NMH)


def test_targets_of_a_batch_are_those_of_its_rows():
    """Performed 1, transition 0, unknown NaN, padding 0; postures in order, unknown all 0."""
    assert TARGETS.postures == ("lying", "sitting")
    row_NT = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    batch = auxiliary_batch(TARGETS, np.array([0, 2]), row_NT)
    np.testing.assert_array_equal(batch.phase_NT, [[0, 0, 1, np.nan], [0, 1, 1, 0]])
    np.testing.assert_array_equal(batch.posture_NH, [[0, 1], [0, 0]])


def test_mixed_targets_are_shares_and_unknown_where_one_of_both_is():
    """As mixup blends the sequences."""
    batch = auxiliary_batch(TARGETS, np.array([0, 1]), np.array([[0, 2, 3], [4, 5, 6]]))
    mixed = batch.mixed(np.float32(0.75), np.array([1, 0]))
    np.testing.assert_array_equal(mixed.phase_NT, [[0, 1, np.nan], [0, 1, np.nan]])
    np.testing.assert_array_equal(mixed.posture_NH, [[0.25, 0.75], [0.75, 0.25]])


def test_a_single_posture_or_none_is_no_target():
    """Neither is a recording without phases."""
    assert make_auxiliary_targets(NO_ANNOTATIONS).postures == ()
    one = make_auxiliary_targets(Annotations(None, np.array(["sitting", "sitting", ""])))
    assert (one.postures, one.posture_NH, one.phase_T) == ((), None, None)
    assert not AuxiliaryBatch().is_any


def test_the_loss_of_the_phase_is_the_mean_over_known_real_pooled_steps():
    """A pooled step's target is the share of its real steps; padding and unknown count nowhere."""
    phase_NT = np.zeros((2, 8), dtype=np.float32)
    phase_NT[0, 3:6] = 1.0  # 6 real steps: shares 1/4 and 1
    phase_NT[1, 1] = np.nan  # 4 real steps, one unknown: the pooled step is unknown
    phase_NT[1, 4:] = 1.0  # on padding: no influence
    logits_NMP = torch.tensor([[[0.3, -1.2], [2.0, 0.1]], [[9.0, 9.0], [9.0, 9.0]]])
    expected = nn.functional.binary_cross_entropy_with_logits(
        logits_NMP[0], torch.tensor([[0.25, 1.0], [0.25, 1.0]])
    )
    loss = auxiliary_loss(output(logits_NMP), AuxiliaryBatch(phase_NT), torch.tensor([6, 4]))
    torch.testing.assert_close(loss, expected)


def test_the_loss_of_the_posture_leaves_unknown_ones_out():
    """The mean over known shares, for each member."""
    logits_NMH = torch.tensor([[[0.3, -1.2, 0.5], [1.0, 0.0, 0.0]], [[5.0, -5.0, 5.0]] * 2])
    posture_NH = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    loss = auxiliary_loss(
        output(posture_NMH=logits_NMH), AuxiliaryBatch(posture_NH=posture_NH), torch.tensor([6, 4])
    )
    expected = nn.functional.cross_entropy(logits_NMH[0], torch.tensor([1, 1]))
    torch.testing.assert_close(loss, expected)
    nothing = AuxiliaryBatch(posture_NH=np.zeros((2, 3), dtype=np.float32))
    assert auxiliary_loss(output(posture_NMH=logits_NMH), nothing, torch.tensor([6, 4])) == 0.0


@pytest.mark.parametrize("architecture", ["time_series_net", "branches"])
def test_annotations_are_targets_and_never_an_input(architecture):
    """They change the fitted weights; a fitted fold predicts without them."""
    updates = {"architecture": architecture, "epochs": 1, "members": 1}
    config = NETWORK_CONFIG.model_copy(update=updates)
    task = make_frame_task()
    with_targets = fit_network(task, config, NETWORK_SEED, 1, SilentMonitor())
    assert {"whole.phase.weight", "imu.posture.weight"} <= set(with_targets.model.weights)
    unlike = replace(
        task, annotations=Annotations(1 - task.annotations.phase_T, task.annotations.posture_N)
    )
    other = fit_network(unlike, config, NETWORK_SEED, 1, SilentMonitor())
    gru = "whole.gru.weight_hh_l0"
    assert not torch.equal(with_targets.model.weights[gru], other.model.weights[gru])
    predicted_NK = predict_exactly(with_targets.model, task.inputs, task.valid_idx)
    np.testing.assert_array_equal(predicted_NK, with_targets.valid_proba_NK)


def test_with_weight_0_a_fold_has_the_bits_of_one_without_annotations():
    """No additional head or random number, and the same weights."""
    config = NETWORK_CONFIG.model_copy(update={"epochs": 1, "auxiliary_weight": 0.0})
    unused = fit_network(make_frame_task(), config, NETWORK_SEED, 1, SilentMonitor())
    bare_task = replace(make_frame_task(), annotations=NO_ANNOTATIONS)
    bare_config = NETWORK_CONFIG.model_copy(update={"epochs": 1})
    bare = fit_network(bare_task, bare_config, NETWORK_SEED, 1, SilentMonitor())
    assert set(unused.model.weights) == set(bare.model.weights)
    for name, weight in bare.model.weights.items():
        assert torch.equal(unused.model.weights[name], weight)


def test_annotations_are_read_from_a_table():
    """The columns phase and orientation of a file become a fold's auxiliary targets."""
    sequences = sequences_from_table(make_table())
    targets = make_auxiliary_targets(sequences.catalogue.annotations)
    assert targets.postures == ("Lie on Back", "Seated Straight")
    assert len(targets.phase_T) == sequences.offsets[-1] + 1
    assert set(targets.phase_T.tolist()) == {0.0, 1.0}
