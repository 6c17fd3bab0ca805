"""Time warp: a part of each sequence, played faster or slower.

In: scaled frames and how to warp each sequence. Out: a ``Batch``. Speeds and accelerations keep
their values: a slower sequence is one that dwells, not one that another body moved.

Shapes: N sequences of the batch, T time steps, C channels with the presence flags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import IntArray
from trainer.features.frames import OPTIONAL_GROUPS, Batch, NetworkInput, padded_length


@dataclass(frozen=True)
class Warp:
    """How each sequence of a batch is warped.

    Attributes:
        head_N: (N,) share of its steps that is cut off at the start, 0 to below 0.5.
        tail_N: (N,) the same at the end.
        factor_N: (N,) how much longer the rest becomes; 1 leaves it.
    """

    head_N: NDArray[np.float64]
    tail_N: NDArray[np.float64]
    factor_N: NDArray[np.float64]


def warped_batch(scaled: NetworkInput, sequence_idx: IntArray, length: int, warp: Warp) -> Batch:
    """Cut, warp and pad some sequences.

    Between two steps values are interpolated; where a sensor begins or ends there, the nearer
    step counts.

    Args:
        scaled: All scaled frames.
        sequence_idx: (N,) positions of the batch's sequences.
        length: Steps kept at most, the last ones.
        warp: How each is warped.
    """
    starts_N, stops_N = scaled.offsets[:-1][sequence_idx], scaled.offsets[1:][sequence_idx]
    steps_N = stops_N - starts_N
    first_N = starts_N + np.floor(warp.head_N * steps_N).astype(np.int64)
    last_N = np.maximum(first_N, stops_N - 1 - np.floor(warp.tail_N * steps_N).astype(np.int64))
    full_N = np.maximum(1, np.rint((last_N - first_N + 1) * warp.factor_N).astype(np.int64))
    lengths_N = np.minimum(full_N, length)
    pace_N = (last_N - first_N) / np.maximum(1, full_N - 1)

    step_T = np.arange(padded_length(lengths_N))
    is_real_NT = step_T < lengths_N[:, None]
    back_NT = np.where(is_real_NT, lengths_N[:, None] - 1 - step_T, 0)  # steps to the end
    position_NT = np.maximum(last_N[:, None] - back_NT * pace_N[:, None], first_N[:, None])
    row_NT = np.floor(position_NT).astype(np.int64)
    next_NT = np.minimum(row_NT + 1, last_N[:, None])
    share_NT1 = (position_NT - row_NT)[..., None].astype(np.float32)

    before_NTC = scaled.rows(np.where(is_real_NT, row_NT, scaled.padding_row))
    after_NTC = scaled.rows(np.where(is_real_NT, next_NT, scaled.padding_row))
    flags = slice(-len(OPTIONAL_GROUPS), None)
    differs_NT1 = (before_NTC[..., flags] != after_NTC[..., flags]).any(axis=2, keepdims=True)
    share_NT1 = np.where(differs_NT1, np.rint(share_NT1), share_NT1)
    nearest_NT = np.where(share_NT1[..., 0] < 0.5, row_NT, next_NT)
    return Batch(
        before_NTC + share_NT1 * (after_NTC - before_NTC),
        lengths_N,
        np.where(is_real_NT, nearest_NT, scaled.padding_row),
    )
