"""Recurrent layers over packed sequences while they learn on a CPU: torch's steps, less waste.

In: an LSTM or GRU layer of two directions, and packed rows. Out: packed rows and gradients, to the
bit what torch gives. Its backward pass fills an array of all rows with zeros for every step, a
seventh of an epoch, and keeps a dozen nodes a step; here each direction is one node.

Source: the order of operations, which decides the last bits, is that of ATen's RNN.cpp (LSTMCell,
GRUCell, PackedLayer, ReversedPackedLayer), and of autograd for the gradients.

Shapes: N sequences, R real steps of all sequences (those of one step together, longest sequence
first), n sequences that have the step, U units, G gates of all units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


def run_both_ways(layer: nn.LSTM | nn.GRU, data_RC: Tensor, batch_sizes: list[int]) -> Tensor:
    """Return the output of a layer of one level and two directions, (R, 2 U).

    Args:
        layer: With biases, without a projection.
        data_RC: The packed rows.
        batch_sizes: How many rows each step has, never more than the step before.
    """
    is_lstm = isinstance(layer, nn.LSTM)
    outputs = []
    for is_reversed, names in enumerate(layer._all_weights):
        weight_ih, weight_hh, bias_ih, bias_hh = (getattr(layer, name) for name in names)
        rows_RG = nn.functional.linear(data_RC, weight_ih, bias_ih)
        steps = _Steps(tuple(batch_sizes), bool(is_reversed), is_lstm)
        outputs.append(_Direction.apply(rows_RG, weight_hh, bias_hh, steps))  # type: ignore[no-untyped-call]
    return torch.cat(outputs, dim=1)


class _Context(FunctionCtx):
    """What a node of the graph keeps for its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    steps: _Steps
    kept: list[tuple[Tensor, tuple[Tensor, ...]]]  # of each step taken: past output, and the rest


@dataclass(frozen=True)
class _Steps:
    """The steps of a direction, in the order it takes them."""

    sizes: tuple[int, ...]
    is_reversed: bool
    is_lstm: bool

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the first row of each step and how many it has."""
        firsts = [0]
        for size in self.sizes[:-1]:
            firsts.append(firsts[-1] + size)
        pairs = list(zip(firsts, self.sizes, strict=True))
        return iter(pairs[::-1] if self.is_reversed else pairs)


def _resized(state_nU: Tensor, size: int) -> Tensor:
    """Return a state, or its gradient, for more sequences (0 for the new ones) or for fewer."""
    if size <= len(state_nU):
        return state_nU[:size]
    return torch.cat([state_nU, state_nU.new_zeros(size - len(state_nU), state_nU.shape[1])])


class _Direction(torch.autograd.Function):
    """All steps of one direction."""

    @staticmethod
    def forward(
        ctx: _Context, rows_RG: Tensor, weight_hh: Tensor, bias_hh: Tensor, steps: _Steps
    ) -> Tensor:
        num_units = weight_hh.shape[1]
        output_RU = rows_RG.new_empty(len(rows_RG), num_units)
        output_nU = cell_nU = rows_RG.new_zeros(0, num_units)
        transposed = weight_hh.t()
        ctx.kept = []
        for first, size in steps:
            output_nU = _resized(output_nU, size)
            gates_nG = torch.addmm(bias_hh, output_nU, transposed)
            rows_nG = rows_RG[first : first + size]
            if steps.is_lstm:
                kept = _lstm_forward(rows_nG, gates_nG, _resized(cell_nU, size))
                new_nU, cell_nU = kept[-2:]
            else:
                kept = _gru_forward(rows_nG, gates_nG, output_nU)
                new_nU = kept[-1]
            ctx.kept.append((output_nU, kept))
            output_nU = new_nU
            output_RU[first : first + size] = new_nU
        ctx.steps = steps
        ctx.save_for_backward(weight_hh)
        return output_RU

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (weight_hh,) = ctx.saved_tensors
        d_output_RU = gradients[0]
        d_rows_RG = d_output_RU.new_empty(len(d_output_RU), len(weight_hh))
        d_weight = d_bias = None
        later: tuple[Tensor, ...] = ()  # what the step taken after this one hands back
        d_cell_nU = None
        steps = list(ctx.steps)
        for (first, size), (before_nU, kept) in zip(steps[::-1], ctx.kept[::-1], strict=True):
            d_nU = _add_later(d_output_RU[first : first + size], later)
            if ctx.steps.is_lstm:
                d_cell_nU = None if d_cell_nU is None else _resized(d_cell_nU, size)
                d_gates_nG, d_cell_nU = _lstm_backward(d_nU, d_cell_nU, kept)
                d_rows_RG[first : first + size] = d_gates_nG
                later = (d_gates_nG.mm(weight_hh),)
            else:
                d_gates_nG, d_past_nU = _gru_backward(d_nU, kept, d_rows_RG[first : first + size])
                later = (d_past_nU, d_gates_nG.mm(weight_hh))
            step_weight, step_bias = d_gates_nG.t().mm(before_nU), d_gates_nG.sum(0)
            d_weight = step_weight if d_weight is None else d_weight.add_(step_weight)
            d_bias = step_bias if d_bias is None else d_bias.add_(step_bias)
        assert d_weight is not None and d_bias is not None  # there is a step
        return d_rows_RG, d_weight, d_bias, None


def _add_later(d_output_nU: Tensor, later: tuple[Tensor, ...]) -> Tensor:
    """Return a step's gradient and what came from the next step, added in autograd's order."""
    if not later:
        return d_output_nU
    size = len(d_output_nU)
    if len(later[0]) == size:
        for part_nU in later:
            d_output_nU = d_output_nU + part_nU
        return d_output_nU
    return d_output_nU + _resized(later[0] if len(later) == 1 else later[0] + later[1], size)


def _lstm_forward(rows_nG: Tensor, gates_nG: Tensor, past_nU: Tensor) -> tuple[Tensor, ...]:
    """Return past cell, four gates, tanh of the cell, then output and cell."""
    entry, forget, candidate, exit_ = gates_nG.add_(rows_nG).chunk(4, 1)
    entry.sigmoid_(), forget.sigmoid_(), candidate.tanh_(), exit_.sigmoid_()
    cell_nU = (forget * past_nU).add_(entry * candidate)
    tanh_nU = cell_nU.tanh()
    return past_nU, entry, forget, candidate, exit_, tanh_nU, exit_ * tanh_nU, cell_nU


def _lstm_backward(
    d_nU: Tensor, d_cell_nU: Tensor | None, kept: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the gates and of the past cell."""
    past_nU, entry, forget, candidate, exit_, tanh_nU, _, _ = kept
    d_here_nU = _tanh_backward(d_nU * exit_, tanh_nU)
    d_cell_nU = d_here_nU if d_cell_nU is None else d_cell_nU + d_here_nU
    d_gates_nG = torch.cat(
        [
            _sigmoid_backward(d_cell_nU * candidate, entry),
            _sigmoid_backward(d_cell_nU * past_nU, forget),
            _tanh_backward(d_cell_nU * entry, candidate),
            _sigmoid_backward(d_nU * tanh_nU, exit_),
        ],
        dim=1,
    )
    return d_gates_nG, d_cell_nU * forget


def _gru_forward(rows_nG: Tensor, gates_nG: Tensor, past_nU: Tensor) -> tuple[Tensor, ...]:
    """Return the parts of a step, its output last."""
    row_reset, row_entry, row_candidate = rows_nG.chunk(3, 1)
    reset, entry, recalled = gates_nG.chunk(3, 1)
    reset.add_(row_reset).sigmoid_(), entry.add_(row_entry).sigmoid_()
    candidate = row_candidate.add(recalled * reset).tanh_()
    difference_nU = past_nU - candidate
    return reset, entry, recalled, candidate, difference_nU, (difference_nU * entry).add_(candidate)


def _gru_backward(
    d_nU: Tensor, kept: tuple[Tensor, ...], d_rows_nG: Tensor
) -> tuple[Tensor, Tensor]:
    """Write the gradient of the rows; return those of the gates and of the past output."""
    reset, entry, recalled, candidate, difference_nU, _ = kept
    d_past_nU = d_nU * entry
    d_candidate = _tanh_backward(d_nU - d_past_nU, candidate)
    d_reset = _sigmoid_backward(d_candidate * recalled, reset)
    d_entry = _sigmoid_backward(d_nU * difference_nU, entry)
    torch.cat([d_reset, d_entry, d_candidate], dim=1, out=d_rows_nG)
    return torch.cat([d_reset, d_entry, d_candidate * reset], dim=1), d_past_nU
