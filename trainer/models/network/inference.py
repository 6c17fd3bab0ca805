"""Prediction with a fitted network fold: probabilities and attention.

In: a ``NetworkModel`` and ``Frames``. Out: float64 probabilities. Weights are float32; prediction
computes in float64, but for the ``quick_parts`` of a network. So the probabilities of a sequence
alone and in any batch differ by far less than 1e-6, whichever kernels torch chooses for the sizes.

Largest difference to float64 throughout, which a fold's validation rows are predicted in: 2e-7 of
one fold, 4e-8 of the mean of five (20 trained folds, 6,000 sequences); with all parts in float32
9e-7 of one fold.

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
from trainer.models import own_networks
from trainer.models.network.factory import make_network
from trainer.models.network.gesture_net import GestureNet, NetworkSizes
from trainer.models.network.layers import TIME_MULTIPLE

BATCH_SIZE = 256  # sequences predicted at once; bounds memory, changes nothing
SORTED_BATCH_SIZE = 128  # of nearly one length; the quickest of 16 to 512
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
        """Return the network with its ``quick_parts`` in float32, built once."""
        return quicken(_load(self).eval())


def build_network(model: NetworkModel) -> GestureNet:
    """Build the network, in float64 and ready to predict."""
    return _load(model).double().eval()


def quicken(net: GestureNet) -> GestureNet:
    """Make a network compute its ``quick_parts`` in float32 and the others in float64.

    Args:
        net: In float32; it is changed.
    """
    for submodel in net.submodels():
        if not submodel.quick_parts:
            submodel.double()
            continue
        for name, part in submodel.named_children():
            dtype = torch.float32 if name in submodel.quick_parts else torch.float64
            part.to(dtype).register_forward_pre_hook(partial(_cast_input, dtype))
    return net


def predict_fold(
    model: NetworkModel, frames: Frames, sequence_idx: IntArray
) -> NDArray[np.float64]:
    """Predict gestures.

    Sequences with values far from those of any recording are predicted in float64 throughout.

    Args:
        model: A fitted fold.
        frames: Of any recordings; channels they lack count as missing.
        sequence_idx: (N,) positions of sequences in ``frames``.

    Returns:
        (N, K) float64 probabilities.
    """
    scaled = _scale(frames, model)
    assert isinstance(scaled, ScaledFrames), "aligned frames are in memory"
    largest_N = np.maximum.reduceat(np.abs(scaled.values_TC).max(axis=1), scaled.offsets[:-1])
    is_quick_N = largest_N[sequence_idx] <= LARGEST_QUICK
    by_length = np.argsort(np.diff(scaled.offsets)[sequence_idx], kind="stable")
    proba_NK = np.empty((len(sequence_idx), model.sizes.num_classes))
    for is_quick, mask_N in ((True, is_quick_N), (False, ~is_quick_N)):
        places = by_length[mask_N[by_length]]
        if len(places):
            net = model.quick_network if is_quick else model.network
            proba_NK[places] = predict_scaled(
                net, scaled, sequence_idx[places], model.length, batch_size=SORTED_BATCH_SIZE
            )
    return proba_NK


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


def _load(model: NetworkModel) -> GestureNet:
    """Build the network with its weights, in float32."""
    if own_networks.is_own(model.sizes.architecture):  # it may compute what is not in its weights
        net = make_network(model.sizes)
        net.load_state_dict(model.weights)
        return net
    with torch.device("meta"):  # no random weights: they are replaced
        net = make_network(model.sizes)
    net.load_state_dict(model.weights, assign=True)
    return net


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
