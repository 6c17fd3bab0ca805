"""Prediction with a fitted network fold: probabilities and attention.

In: a ``NetworkModel`` and ``Frames``. Out: float64 probabilities. Weights are float32; prediction
computes in float64, so that the probabilities of a sequence alone and in any batch differ by far
less than 1e-6, whichever kernels torch chooses for the sizes.

For many sequences a part is computed in float32: not the first convolution, whose norm divides by
small deviations, and not the head. Largest difference to float64 throughout, 15 trained folds and
5,400 sequences: 2e-7 of one fold, 4e-8 of the mean of five; with all in float32 9e-7 of one fold.

Shapes: N sequences, T time steps, P pooled steps, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.data.sequences import IntArray
from trainer.features.batches import (
    Batch,
    FrameScaler,
    NetworkInput,
    ScaledFrames,
    make_batch,
    scale,
)
from trainer.features.frames import Frames, align_channels
from trainer.models.network.factory import make_network
from trainer.models.network.gesture_net import GestureNet, NetworkSizes
from trainer.models.network.layers import TIME_MULTIPLE

BATCH_SIZE = 256  # sequences predicted at once; bounds memory, changes nothing
MANY_BATCH_SIZE = 128  # of nearly one length; the quickest of 16 to 512
QUICK_PARTS = {  # computed in float32 for many sequences
    "time_series_net": ("second_block", "lstm", "gru"),
    "branches": ("gru",),
}
# Scaled values of recordings are at most 42, also of recordings that are new to the run. Values in
# other units are thousands, which would make float32 as many times less exact.
LARGEST_QUICK = 64.0


@dataclass(frozen=True)
class NetworkModel:
    """One network fold, as prediction needs it.

    Attributes:
        weights: Names and CPU tensors, as in ``GestureNet.state_dict``.
        scaler: Of the fold's training part.
        channels: Names of the input channels, without presence flags.
        groups: The sensor group of each channel.
        length: Time steps of a frame; longer sequences lose their start.
        sizes: To build the network again.
    """

    weights: dict[str, Tensor]
    scaler: FrameScaler
    channels: tuple[str, ...]
    groups: tuple[str, ...]
    length: int
    sizes: NetworkSizes

    @cached_property
    def network(self) -> GestureNet:
        """Return the network, built once."""
        return build_network(self)

    @cached_property
    def quick_network(self) -> GestureNet:
        """Return the network with ``QUICK_PARTS`` in float32, built once.

        One of own code has no such parts.
        """
        if self.sizes.architecture not in QUICK_PARTS:
            return self.network
        return quicken(build_network(self), self.sizes.architecture)


def build_network(model: NetworkModel) -> GestureNet:
    """Build the network, in float64 and ready to predict."""
    net = make_network(model.sizes)
    net.load_state_dict(model.weights)
    return net.double().eval()


def quicken(net: GestureNet, architecture: str) -> GestureNet:
    """Make a network compute its ``QUICK_PARTS`` in float32 and the others in float64.

    Args:
        net: Ready to predict; it is changed.
        architecture: Which network it is.
    """
    quick = QUICK_PARTS[architecture]
    for submodel in net.submodels():
        for name, part in submodel.named_children():
            dtype = torch.float32 if name in quick else torch.float64
            part.to(dtype).register_forward_pre_hook(partial(_cast_input, dtype))
    return net


def predict_many(
    model: NetworkModel, frames: Frames, sequence_idx: IntArray
) -> NDArray[np.float64]:
    """Predict the gestures of many sequences, in half the time that ``predict_fold`` takes.

    Sequences with values far from those of any recording are predicted in float64 throughout.

    Args:
        model: A fitted fold.
        frames: Of any recordings; channels they lack count as missing.
        sequence_idx: (N,) positions of sequences in ``frames``.

    Returns:
        (N, K) float64 probabilities, within 1e-6 of those of ``predict_fold``.
    """
    scaled = _scale(frames, model)
    assert isinstance(scaled, ScaledFrames), "aligned frames are in memory"
    largest_N = np.maximum.reduceat(np.abs(scaled.values_TC).max(axis=1), scaled.offsets[:-1])
    is_quick_N = largest_N[sequence_idx] <= LARGEST_QUICK
    by_length = np.argsort(np.diff(scaled.offsets)[sequence_idx], kind="stable")
    proba_NK = np.empty((len(sequence_idx), model.sizes.num_classes))
    for net, mask_N in ((model.quick_network, is_quick_N), (model.network, ~is_quick_N)):
        places = by_length[mask_N[by_length]]
        if len(places):
            proba_NK[places] = predict_scaled(
                net, scaled, sequence_idx[places], model.length, batch_size=MANY_BATCH_SIZE
            )
    return proba_NK


def predict_fold(
    model: NetworkModel, frames: Frames, sequence_idx: IntArray, batch_size: int = BATCH_SIZE
) -> NDArray[np.float64]:
    """Predict gestures.

    Args:
        model: A fitted fold.
        frames: Of any recordings; channels they lack count as missing.
        sequence_idx: (N,) positions of sequences in ``frames``.
        batch_size: Sequences at once.

    Returns:
        (N, K) float64 probabilities.
    """
    return predict_scaled(
        model.network,
        _scale(frames, model),
        sequence_idx,
        model.length,
        batch_size=batch_size,
    )


def predict_scaled(
    net: GestureNet,
    scaled: NetworkInput,
    sequence_idx: IntArray,
    length: int,
    *,
    batch_size: int = BATCH_SIZE,
    hidden_groups: Collection[str] = (),
) -> NDArray[np.float64]:
    """Predict gestures with a built network.

    Args:
        net: In float64 and evaluation mode, on any device.
        scaled: Frames in the network's channels and scale.
        sequence_idx: (N,) positions of sequences in ``scaled``.
        length: Time steps of a frame.
        batch_size: Sequences at once.
        hidden_groups: Sensor groups to hide, of every sequence.

    Returns:
        (N, K) float64 probabilities.
    """
    parts = []
    for first in range(0, len(sequence_idx), batch_size):
        chosen_idx = sequence_idx[first : first + batch_size]
        batch = make_batch(scaled, chosen_idx, length, hidden_groups)
        logits_NK, _ = _run(net, batch)
        parts.append(torch.softmax(logits_NK / net.temperature, dim=1).numpy())
    return np.concatenate(parts)


def attend_fold(
    model: NetworkModel, frames: Frames, sequence_idx: IntArray
) -> list[NDArray[np.float64]]:
    """Return the attention weights of each sequence.

    Args:
        model: A fitted fold.
        frames: Of any recordings; channels they lack count as missing.
        sequence_idx: (N,) positions of sequences in ``frames``.

    Returns:
        N arrays (P,) of float64 weights that sum to 1. Weight p is of the frame's steps 4 p to
        4 p + 3; the frame is the last ``model.length`` steps of the sequence.
    """
    batch = make_batch(_scale(frames, model), sequence_idx, model.length)
    _, weights_NP = _run(model.network, batch)
    num_pooled_N = -(-batch.lengths_N // TIME_MULTIPLE)
    return [
        weights_P[:num_pooled].numpy()
        for weights_P, num_pooled in zip(weights_NP, num_pooled_N, strict=True)
    ]


def _scale(frames: Frames, model: NetworkModel) -> NetworkInput:
    """Convert frames to the model's channels and scale."""
    return scale(align_channels(frames, model.channels, model.groups), model.scaler)


def _cast_input(dtype: torch.dtype, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Convert the first input of a part to the precision that the part computes in."""
    return (inputs[0].to(dtype), *inputs[1:])


def _run(net: GestureNet, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return float64 logits (N, K) and attention (N, P) on the CPU."""
    device = next(net.parameters()).device
    with torch.inference_mode():
        logits_NK, weights_NP = net.forward_with_attention(
            torch.from_numpy(batch.values_NTC).double().to(device),
            torch.from_numpy(batch.lengths_N).to(device),
        )
    return logits_NK.cpu(), weights_NP.cpu()
