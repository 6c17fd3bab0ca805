"""StatisticsNet: its statistics against plain numpy, its place in an ensemble, its loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.fold_tasks import NETWORK_CONFIG, NETWORK_SEED, fit_network, make_frame_task
from tests.support.network_inputs import SIZES, padded, sequences
from trainer.models.monitor import SilentMonitor
from trainer.models.network.factory import make_network
from trainer.models.network.layers import statistics
from trainer.models.network.submodels import StatisticsNet

CIRCLE = 64  # steps of one turn


def expected_statistics(x_TC):
    """Return the statistics of one sequence, in their order, in plain numpy."""
    length, channels = x_TC.shape
    centred_TC = x_TC - x_TC.mean(axis=0)
    std_C = np.sqrt(centred_TC.var(axis=0) + 1e-6)
    steps_TC = np.diff(x_TC, axis=0)
    mean_step_C = np.abs(steps_TC).mean(axis=0) if length > 1 else np.zeros(channels)
    bins = np.arange(length) * 4 // length
    bin_means = [
        x_TC[bins == b].mean(axis=0) if (bins == b).any() else np.zeros(channels) for b in range(4)
    ]
    pairs = [(i, j) for i in range(channels) for j in range(i + 1, channels)]
    middle_TC = (centred_TC[1:] + centred_TC[:-1]) / 2
    scales = np.array([std_C[i] * std_C[j] + 1e-3 for i, j in pairs])
    areas = [
        (middle_TC[:, i] * steps_TC[:, j] - middle_TC[:, j] * steps_TC[:, i]).sum()
        for i, j in pairs
    ]
    products = [(centred_TC[:, i] * centred_TC[:, j]).mean() for i, j in pairs]
    return np.concatenate(
        [x_TC.mean(axis=0), std_C, x_TC.min(axis=0), x_TC.max(axis=0), mean_step_C, *bin_means,
         areas / scales, products / scales]
    )  # fmt: skip


@pytest.mark.parametrize("filling", [0.0, float("nan"), float("inf")])
def test_statistics_are_those_of_the_real_steps(filling):
    """Sequences of 1 to 127 steps in one batch, whatever the padding contains."""
    x_NTC, lengths_N = padded([one.double() for one in sequences()], 128, filling)
    found_NS = statistics(x_NTC.double(), lengths_N).numpy()
    expected_NS = [expected_statistics(one.numpy().astype(float)) for one in sequences()]
    np.testing.assert_allclose(found_NS, np.stack(expected_NS), rtol=1e-5, atol=1e-5)


def test_a_turn_encloses_an_area_with_a_sign_and_its_way_back_the_opposite_one():
    """Of a full circle twice the area is 2 pi r squared; in units of the spread 4 pi."""
    angle_T = torch.linspace(0, 2 * np.pi, CIRCLE + 1, dtype=torch.float64)
    circle_TC = torch.stack([angle_T.cos(), angle_T.sin()], dim=1)
    both = torch.stack([circle_TC, circle_TC.flip(0)])
    found_NS = statistics(both, torch.tensor([CIRCLE + 1] * 2))
    area_N = found_NS[:, -2]
    assert area_N.tolist() == pytest.approx([4 * np.pi, -4 * np.pi], rel=0.03)
    torch.testing.assert_close(area_N[0], -area_N[1])


def test_a_missing_sensor_has_statistics_of_0():
    """Its channels are 0 throughout; only the floor of the standard deviation is left."""
    x_TC = sequences()[-1].clone()
    x_TC[:, 2] = 0.0
    found_S = statistics(x_TC[None], torch.tensor([127]))[0]
    of_channel = found_S[: 9 * 6].view(9, 6)[:, 2]
    assert of_channel.tolist() == pytest.approx([0, 1e-3, *[0] * 7], abs=1e-6)


def test_an_ensemble_has_the_attention_of_its_members_that_have_one():
    """StatisticsNet weighs all steps equally, which would only blur the attention."""
    torch.manual_seed(0)
    net = make_network(replace(SIZES, statistics_members=2)).eval()
    x_NTC, lengths_N = padded(sequences(), 128)
    with torch.no_grad():
        first = net.members[0].forward_with_attention(x_NTC, lengths_N)
        logits_NK, weights_NP = net.forward_with_attention(x_NTC, lengths_N)
        each = [member(x_NTC, lengths_N) for member in net.members]
    assert [type(member) for member in net.members][1:] == [StatisticsNet] * 2
    torch.testing.assert_close(weights_NP, first[1])
    mean_NK = torch.stack([torch.softmax(one_NK, dim=1) for one_NK in each]).mean(dim=0)
    torch.testing.assert_close(torch.softmax(logits_NK, dim=1), mean_NK)


def test_networks_on_statistics_beside_it_do_not_change_a_network():
    """The first member has the same weights with two others: also its auxiliary loss is equal."""
    config = NETWORK_CONFIG.model_copy(
        update={"epochs": 2, "dropout": 0.0, "imu_network": False, "members": 1}
    )
    alone = fit_network(make_frame_task(), config, NETWORK_SEED, 1, SilentMonitor())
    beside = fit_network(
        make_frame_task(),
        config.model_copy(update={"statistics_members": 2}),
        NETWORK_SEED, 1, SilentMonitor(),
    )  # fmt: skip
    for name, weight in alone.model.weights.items():
        torch.testing.assert_close(
            beside.model.weights[f"members.0.{name}"], weight, rtol=1e-4, atol=1e-5
        )
