"""Recurrent layers while they learn: the bits of torch's own, outputs and gradients."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainer.models.network.layers import run_packed
from trainer.models.network.optimizer import reproducible


def torch_packed(layer, x_NPC, lengths_N):
    """Run the layer as torch would: what ``run_packed`` has to equal."""
    packed = pack_padded_sequence(x_NPC, lengths_N, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x_NPC.shape[1])[0]


def output_and_gradients(run, layer, x_NPC, lengths_N):
    """Return the output, and the gradients of the input and of every weight."""
    layer.zero_grad(set_to_none=True)
    x_NPC = x_NPC.clone().requires_grad_()
    output_NPC = run(layer, x_NPC, lengths_N)
    (output_NPC * torch.arange(output_NPC.numel()).reshape(output_NPC.shape).cos()).sum().backward()
    return [output_NPC.detach(), x_NPC.grad, *(weight.grad for weight in layer.parameters())]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize(
    "lengths",
    [[3, 9, 9, 1, 7, 12, 2, 12, 5], [4, 4, 4], [1, 1, 1, 1], [6], [1, 12]],
    ids=["any", "all equal", "one step", "one sequence", "steps of one sequence"],
)
def test_learning_gives_the_bits_of_the_layer_itself(kind, lengths):
    """Output and every gradient, for lengths of all kinds and padding of any content."""
    with reproducible(1):
        torch.manual_seed(3)
        layer = kind(24, 16, batch_first=True, bidirectional=True)
        x_NPC = torch.randn(len(lengths), 12, 24)
        lengths_N = torch.tensor(lengths)
        ours = output_and_gradients(run_packed, layer, x_NPC, lengths_N)
        theirs = output_and_gradients(torch_packed, layer, x_NPC, lengths_N)
    assert len(ours) == 10  # output, input, four weights of each direction
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_an_answer_without_gradients_is_the_one_that_was_learnt_from():
    """Prediction uses torch's own layer, training the cheaper one: the same numbers."""
    with reproducible(1):
        torch.manual_seed(5)
        layer = nn.GRU(8, 4, batch_first=True, bidirectional=True)
        x_NPC, lengths_N = torch.randn(3, 7, 8), torch.tensor([7, 2, 5])
        learning_NPC = run_packed(layer, x_NPC, lengths_N)
        with torch.no_grad():
            asked_NPC = run_packed(layer, x_NPC, lengths_N)
    assert torch.equal(learning_NPC.detach(), asked_NPC)
