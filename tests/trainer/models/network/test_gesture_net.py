"""The networks: real steps have an influence, padded steps have none, also not in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.support.network_inputs import LENGTHS, SIZES, padded, sequences
from trainer.models.network.factory import make_network
from trainer.models.network.gesture_net import GestureNet
from trainer.models.network.layers import MaskedBatchNorm, masked_mean
from trainer.models.network.submodels import TimeSeriesNet

ALL_SIZES = {
    "time_series_net": SIZES,
    "branches": replace(
        SIZES,
        architecture="branches",
        branches=(("raw", (0, 1, 5)), ("tof", (2, 5)), ("tof", (3, 5)), ("motion", (4,))),
    ),
    "ensemble": replace(SIZES, members=2),
    "statistics": replace(SIZES, statistics_members=2),
    "router": replace(SIZES, optional_columns=(4, 5)),
}
TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=ALL_SIZES)
def net(request: pytest.FixtureRequest) -> GestureNet:
    """A network whose batch-norm statistics are not the initial ones."""
    torch.manual_seed(0)
    net = make_network(ALL_SIZES[request.param])
    net(3 * torch.randn(40, 16, 6) + 1, torch.full((40,), 16))
    return net.eval()


@torch.no_grad()
def logits_alone(net: GestureNet) -> Tensor:
    """The reference: every sequence alone, without padding."""
    return torch.cat([net(*padded([part_TC], len(part_TC))) for part_TC in sequences()])


@pytest.mark.parametrize("filling", [0.0, 1e30, float("nan"), float("inf"), -float("inf")])
def test_the_values_of_padded_steps_change_no_logit(net, filling):
    """Zeros, huge numbers, NaN and infinities under the mask give the logits of no padding."""
    with torch.no_grad():
        logits_NK = net(*padded(sequences(), 128, filling))
    torch.testing.assert_close(logits_NK, logits_alone(net), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("extra", [0, 1, 2, 3, 4, 61])
def test_the_amount_of_padding_changes_no_logit(net, extra):
    """A sequence alone has the same logits with 0 to 61 steps of padding, NaN in them."""
    for part_TC, expected_K in zip(sequences(), logits_alone(net), strict=True):
        with torch.no_grad():
            logits_NK = net(*padded([part_TC], len(part_TC) + extra, float("nan")))
        torch.testing.assert_close(logits_NK[0], expected_K, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("time", [127, 128, 129, 131, 200])
def test_a_batch_gives_each_sequence_the_logits_it_has_alone(net, time):
    """Together in a batch of any width, a multiple of 4 or not, as each alone."""
    with torch.no_grad():
        logits_NK = net(*padded(sequences(), time))
    torch.testing.assert_close(logits_NK, logits_alone(net), atol=TOLERANCE, rtol=0)


def test_the_last_real_step_changes_the_logits(net):
    """No real step is lost in pooling, whatever the length."""
    x_NTC, lengths_N = padded(sequences(), 128)
    changed_NTC = x_NTC.clone()
    changed_NTC[torch.arange(len(LENGTHS)), lengths_N - 1] += 1.0
    with torch.no_grad():
        change_N = (net(changed_NTC, lengths_N) - net(x_NTC, lengths_N)).abs().amax(dim=1)
    assert (change_N > 10 * TOLERANCE).all()


def test_attention_sums_to_one_over_real_steps_and_is_zero_on_padding(net):
    """Pooled step p covers steps 4 p to 4 p + 3 and is real when its first step is."""
    with torch.no_grad():
        _, weights_NP = net.forward_with_attention(*padded(sequences(), 128, float("nan")))
    assert weights_NP.shape == (10, 32)
    num_pooled = [1, 1, 1, 1, 2, 2, 2, 2, 3, 32]
    for weights_P, num_real in zip(weights_NP, num_pooled, strict=True):
        assert (weights_P[:num_real] > 0).all()
        assert (weights_P[num_real:] == 0).all()
        assert weights_P.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_padded_steps_are_exactly_zero_after_every_block():
    """After both convolution blocks, after the LSTM, and in the input of the attention."""
    torch.manual_seed(0)
    net = TimeSeriesNet(SIZES).eval()
    seen: list[tuple[Tensor, int]] = []
    net.first_block.register_forward_hook(lambda _m, _i, output: seen.append((output[0], 2)))
    net.second_block.register_forward_hook(lambda _m, _i, output: seen.append((output[0], 4)))
    net.lstm.register_forward_hook(
        lambda _m, _i, output: seen.append(
            (nn.utils.rnn.pad_packed_sequence(output[0], True)[0], 4)
        )
    )
    net.attention.register_forward_pre_hook(lambda _m, inputs: seen.append((inputs[0], 4)))
    with torch.no_grad():
        net(*padded(sequences(), 128, float("nan")))
    assert len(seen) == 4
    for x_NPC, pooling in seen:
        for row_PC, length in zip(x_NPC, LENGTHS, strict=True):
            num_real = -(-length // pooling)
            assert (row_PC[:num_real] != 0).any()
            assert (row_PC[num_real:] == 0).all()


def test_batch_norm_in_training_is_torchs_over_the_real_steps_alone():
    """Output, running mean and running variance are those of BatchNorm1d without padding."""
    torch.manual_seed(0)
    norm, plain = MaskedBatchNorm(6), nn.BatchNorm1d(6)
    x_NTC, lengths_N = padded(sequences(), 128, float("nan"))
    mask_NT = torch.arange(128)[None, :] < lengths_N[:, None]
    expected_RC = plain(torch.cat(sequences()))
    y_NTC = norm.forward_masked(x_NTC, mask_NT)
    torch.testing.assert_close(y_NTC[mask_NT], expected_RC)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert (y_NTC[~mask_NT] == 0).all()


@pytest.mark.parametrize("architecture", ALL_SIZES)
def test_more_padding_changes_neither_training_statistics_nor_gradients(architecture):
    """A training pass over NaN padding gives finite gradients, the same as over none."""
    gradients = []
    for time, filling in [(127, 0.0), (160, float("nan"))]:
        torch.manual_seed(0)
        net = make_network(replace(ALL_SIZES[architecture], dropout=0.0))  # draws depend on shape
        net.forward_training(
            *padded(sequences(), time, filling)
        ).logits_NMK.square().sum().backward()
        gradients.append({name: p.grad for name, p in net.named_parameters()})
        gradients[-1] |= {name: b for name, b in net.named_buffers() if "running" in name}
    assert all(gradient.isfinite().all() for gradient in gradients[1].values())
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


def test_branches_of_one_name_share_weights_and_every_branch_has_an_influence():
    """Two sensors swapped have their encodings swapped; each column changes the logits."""
    torch.manual_seed(0)
    net = make_network(ALL_SIZES["branches"]).eval()
    x_NTC, lengths_N = padded(sequences()[-1:], 127)
    tof = net.stems["tof"]
    mask_NT = torch.ones(1, 128, dtype=torch.bool)
    swapped_NTC = x_NTC[..., [0, 1, 3, 2, 4, 5]]
    with torch.no_grad():
        whole_NTC = torch.nn.functional.pad(x_NTC, (0, 0, 0, 1))
        swapped_whole_NTC = torch.nn.functional.pad(swapped_NTC, (0, 0, 0, 1))
        second_NPC = tof(whole_NTC[..., [3, 5]], mask_NT)
        assert second_NPC.equal(tof(swapped_whole_NTC[..., [2, 5]], mask_NT))
        plain_NK = net(x_NTC, lengths_N)
        for column in range(6):
            changed_NTC = x_NTC.clone()
            changed_NTC[..., column] += 1.0
            assert (net(changed_NTC, lengths_N) - plain_NK).abs().max() > 10 * TOLERANCE


def test_squeeze_and_excitation_uses_the_mean_over_real_steps():
    """The mean of a channel that is 2 on every real step is 2, however long the padding."""
    mask_NT = torch.tensor([[True, True, True, False], [True, False, False, False]])
    assert masked_mean(2.0 * mask_NT[..., None], mask_NT).tolist() == [[2.0], [2.0]]


def test_an_ensemble_predicts_the_mean_of_its_members_probabilities():
    """Three members with weights of their own; its attention is their mean as well."""
    torch.manual_seed(0)
    net = make_network(replace(SIZES, members=3)).eval()
    x_NTC, lengths_N = padded(sequences(), 128)
    with torch.no_grad():
        outputs = [member.forward_with_attention(x_NTC, lengths_N) for member in net.members]
        logits_NK, weights_NP = net.forward_with_attention(x_NTC, lengths_N)
        each_NMK = net.forward_training(x_NTC, lengths_N).logits_NMK
    proba_MNK = torch.stack([torch.softmax(member_NK, dim=1) for member_NK, _ in outputs])
    torch.testing.assert_close(torch.softmax(logits_NK, dim=1), proba_MNK.mean(dim=0))
    torch.testing.assert_close(weights_NP, sum(weights for _, weights in outputs) / 3)
    torch.testing.assert_close(torch.softmax(each_NMK, dim=2), proba_MNK.transpose(0, 1))
    assert (proba_MNK[0] - proba_MNK[1]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("kind", ["time_series_net", "branches", "ensemble"])
def test_a_sequence_without_optional_sensors_is_predicted_by_the_imu_network(kind):
    """Rows with and without in one batch, noise in the padding: each as by its network alone."""
    torch.manual_seed(0)
    sizes = replace(ALL_SIZES[kind], optional_columns=(2, 3, 5))
    if kind == "branches":
        branches = (("raw", (0, 1)), ("tof", (2, 5)), ("tof", (3, 5)), ("motion", (4,)))
        sizes = replace(sizes, branches=branches)
    net = make_network(sizes).eval()
    x_NTC, lengths_N = padded(sequences(), 128, 7.0)
    for row in (1, 4, 9):
        x_NTC[row, : lengths_N[row], [2, 3, 5]] = 0.0
    logits_NK, weights_NP = net.forward_with_attention(x_NTC, lengths_N)
    for row in range(len(LENGTHS)):
        alone = x_NTC[row : row + 1], lengths_N[row : row + 1]
        if row in (1, 4, 9):
            expected = net.imu.forward_with_attention(alone[0][..., [0, 1, 4]], alone[1])
        else:
            expected = net.whole.forward_with_attention(*alone)
        torch.testing.assert_close(logits_NK[row], expected[0][0], atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(weights_NP[row], expected[1][0], atol=TOLERANCE, rtol=0)


def test_both_networks_of_a_sensor_router_are_trained_on_every_sequence():
    """Both have outputs for each row; the second gets no gradient from the optional columns."""
    torch.manual_seed(0)
    net = make_network(replace(SIZES, optional_columns=(2, 3, 5)))
    x_NTC, lengths_N = padded(sequences(), 128)
    x_NTC.requires_grad_()
    each_NMK = net.eval().forward_training(x_NTC, lengths_N).logits_NMK
    assert each_NMK.shape == (len(LENGTHS), 2, 5)
    (gradient_NTC,) = torch.autograd.grad(each_NMK[:, 1].sum(), x_NTC)
    has_influence_C = gradient_NTC.abs().sum(dim=(0, 1)) > 0
    assert has_influence_C.tolist() == [True, True, False, False, True, False]
    assert sum(p.numel() for p in net.imu.parameters()) == sum(
        p.numel() for p in make_network(replace(SIZES, num_channels=3)).parameters()
    )


def test_a_network_alone_is_its_only_member():
    """Its outputs in training are its logits in prediction."""
    torch.manual_seed(0)
    net = make_network(SIZES).eval()
    x_NTC, lengths_N = padded(sequences(), 128)
    with torch.no_grad():
        torch.testing.assert_close(
            net.forward_training(x_NTC, lengths_N).logits_NMK[:, 0], net(x_NTC, lengths_N)
        )
