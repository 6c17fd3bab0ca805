"""A fitted network fold, and what it says of sequences: probabilities and attention.

In: a ``NetworkModel`` and ``Frames``. Out: float64 probabilities. Weights are float32; prediction
computes in float64, so that a sequence alone and in any batch agree far below 1e-6, whichever
kernels the sizes pick. It costs twice the time of float32 (0.6 ms a sequence of 60 steps).

Shapes: N sequences, T time steps, P pooled steps, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.sequences import IntArray
from trainer.features.frames import (
    Batch,
    Frames,
    FrameScaler,
    NetworkInput,
    align_channels,
    make_batch,
    scale,
)
from trainer.models.network import TIME_MULTIPLE, GestureNet, NetworkSizes, make_network

BATCH_SIZE = 256  # sequences predicted at once; bounds memory, changes nothing


@dataclass(frozen=True)
class NetworkModel:
    """All that prediction needs of one network fold.

    Attributes:
        weights: Names and CPU tensors, as ``state_dict`` of a bare network.
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


def build_network(model: NetworkModel) -> GestureNet:
    """Build the network, in float64 and ready to predict."""
    net = make_network(model.sizes)
    net.load_state_dict(model.weights)
    return net.double().eval()


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
    """Predict gestures with a network that is at hand.

    Args:
        net: In float64 and evaluation mode, on any device.
        scaled: Frames as the network knows them.
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
        parts.append(torch.softmax(logits_NK, dim=1).numpy())
    return np.concatenate(parts)


def attend_fold(
    model: NetworkModel, frames: Frames, sequence_idx: IntArray
) -> list[NDArray[np.float64]]:
    """Return how much each stretch of each sequence weighed in the answer.

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
    """Bring frames into the model's channels and scale."""
    return scale(align_channels(frames, model.channels, model.groups), model.scaler)


def _run(net: GestureNet, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return float64 logits (N, K) and attention (N, P) on the CPU."""
    device = next(net.parameters()).device
    with torch.inference_mode():
        logits_NK, weights_NP = net.forward_with_attention(
            torch.from_numpy(batch.values_NTC).double().to(device),
            torch.from_numpy(batch.lengths_N).to(device),
        )
    return logits_NK.cpu(), weights_NP.cpu()
