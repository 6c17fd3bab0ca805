"""Batches: frames scaled once per fold, then cut and padded.

In: ``Frames``. Out: their scaler, the scaled frames, and padded batches of them with presence
flags. A batch takes its rows from the scaled frames by index alone.

Shapes: N sequences, T time steps, C channels, R rows. In a batch N, T and C are its sequences,
their padded steps, and the channels followed by one flag per optional group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.sequences import FloatArray, IntArray
from trainer.features.frames import OPTIONAL_GROUPS, Frames, num_input_channels, round_up_length

_MAPPED_COLUMNS = 8  # read from a mapped file in one go
_SMALLEST_SPREAD = 1e-6  # relative; below it a channel counts as constant and is only centred


@dataclass(frozen=True)
class FrameScaler:
    """Mean and standard deviation per channel, of the training part only.

    Attributes:
        mean_C: (C,) float32.
        std_C: (C,) float32, never 0.
    """

    mean_C: FloatArray
    std_C: FloatArray


@dataclass(frozen=True)
class ScaledFrames:
    """Network input, ready to be cut and padded.

    Attributes:
        offsets: (N + 1,) int64, sequence n is rows ``offsets[n]:offsets[n + 1]``.
        values_TC: (T + 1, C + 3) float32, missing 0, then the presence flags of OPTIONAL_GROUPS;
            the last row is the padding, all 0.
        channels: C names, as the frames'.
        groups: C sensor groups, as the frames'.
    """

    offsets: IntArray
    values_TC: FloatArray
    channels: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def padding_row(self) -> int:
        """Return the row that is used for padding."""
        return len(self.values_TC) - 1

    def rows(self, row_idx: IntArray) -> FloatArray:
        """Return some rows, (..., C + 3), as an array of its own."""
        return self.values_TC[row_idx]


@dataclass(frozen=True)
class MappedFrames:
    """Network input in a file larger than memory: rows are scaled when they are read.

    Attributes:
        frames: Their values are mapped from a file; not scaled.
        scaler: Of the fold's training part.
    """

    frames: Frames
    scaler: FrameScaler

    @property
    def offsets(self) -> IntArray:
        """Return where sequences begin and end, (N + 1,) int64."""
        return self.frames.offsets

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the C names."""
        return self.frames.channels

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the C sensor groups."""
        return self.frames.groups

    @property
    def padding_row(self) -> int:
        """Return the row that is used for padding; it is not in the file."""
        return len(self.frames.values_TC)

    def rows(self, row_idx: IntArray) -> FloatArray:
        """Return some rows, (..., C + 3), as ``ScaledFrames.rows`` does, to the last bit."""
        flat_idx = row_idx.reshape(-1)
        is_padding = flat_idx == self.padding_row
        raw_RC = np.asarray(self.frames.values_TC[np.where(is_padding, 0, flat_idx)])
        rows_RC = np.empty((len(flat_idx), num_input_channels(self.frames)), dtype=np.float32)
        _scale_into(rows_RC, raw_RC, self.scaler, self.groups)
        rows_RC[is_padding] = 0.0
        return rows_RC.reshape(*row_idx.shape, -1)


NetworkInput = ScaledFrames | MappedFrames


@dataclass(frozen=True)
class Batch:
    """Sequences of one padded length: real steps first, zeros behind.

    Attributes:
        values_NTC: (N, T, C + 3) float32, T a multiple of 4.
        lengths_N: (N,) int64, real steps, at least 1.
        row_NT: (N, T) int64, the row of the frames that each step is, or is nearest to; their
            padding row on padding.
    """

    values_NTC: FloatArray
    lengths_N: IntArray
    row_NT: IntArray


def fit_scaler(frames: Frames, sequence_idx: IntArray) -> FrameScaler:
    """Return mean and standard deviation of each channel over the given sequences.

    Args:
        frames: All frames.
        sequence_idx: (M,) positions of the training part.

    Returns:
        The scaler; a constant channel has std 1, one without values mean 0 and std 1.
    """
    chosen_N = np.zeros(len(frames.offsets) - 1, dtype=bool)
    chosen_N[sequence_idx] = True
    chosen_T = np.repeat(chosen_N, np.diff(frames.offsets))
    moments = [_mean_and_std(values_T[chosen_T]) for values_T in _columns(frames.values_TC)]
    mean_C, std_C = np.array(moments, dtype=np.float32).T
    return FrameScaler(mean_C, std_C)


def scale(frames: Frames, scaler: FrameScaler) -> NetworkInput:
    """Scale all frames, put 0 where a value is missing and add the presence flags.

    Frames that are mapped from a file are scaled row by row as they are read.

    Args:
        frames: All frames.
        scaler: Of the fold's training part.
    """
    if isinstance(frames.values_TC, np.memmap):
        return MappedFrames(frames, scaler)
    num_steps = len(frames.values_TC)
    values_TC = np.zeros((num_steps + 1, num_input_channels(frames)), dtype=np.float32)
    _scale_into(values_TC[:num_steps], frames.values_TC, scaler, frames.groups)
    return ScaledFrames(frames.offsets, values_TC, frames.channels, frames.groups)


def make_batch(
    scaled: NetworkInput,
    sequence_idx: IntArray,
    length: int,
    hidden_groups: Collection[str] = (),
    hidden_N: NDArray[np.bool_] | None = None,
) -> Batch:
    """Cut and pad some sequences.

    Args:
        scaled: All scaled frames.
        sequence_idx: (N,) positions of the batch's sequences.
        length: Steps kept at most; a longer sequence is cut at the left, for the gesture is at
            its end.
        hidden_groups: Sensor groups whose channels and flags become 0, as in a recording
            without these sensors.
        hidden_N: (N,) bool, the sequences in which they are hidden; None is all of them.

    Returns:
        The batch, as long as its longest sequence, rounded up to a multiple of 4.
    """
    stops_N = scaled.offsets[1:][sequence_idx]
    lengths_N = np.minimum(stops_N - scaled.offsets[:-1][sequence_idx], length)
    step_T = np.arange(padded_length(lengths_N))
    row_NT = (stops_N - lengths_N)[:, None] + step_T
    row_NT = np.where(step_T < lengths_N[:, None], row_NT, scaled.padding_row)
    values_NTC = scaled.rows(row_NT)
    if hidden_groups:
        hide_groups(values_NTC, scaled, hidden_groups, hidden_N)
    return Batch(values_NTC, lengths_N, row_NT)


def hide_groups(
    values_NTC: FloatArray,
    scaled: NetworkInput,
    groups: Collection[str],
    hidden_N: NDArray[np.bool_] | None = None,
) -> None:
    """Put 0 into channels and flags of some sensor groups, as in a recording without these sensors.

    Args:
        values_NTC: (N, T, C + 3) of a batch, changed in place.
        scaled: The frames it was cut from.
        groups: Which.
        hidden_N: (N,) bool, of which sequences; None is all of them.
    """
    hidden_C = np.isin([*scaled.groups, *OPTIONAL_GROUPS], list(groups))
    values_NTC[slice(None) if hidden_N is None else hidden_N] *= ~hidden_C


def padded_length(lengths_N: IntArray) -> int:
    """Return the time steps of a batch: those of its longest sequence, rounded up to 4."""
    return round_up_length(int(lengths_N.max()))


def _columns(values_TC: FloatArray) -> Iterator[FloatArray]:
    """Yield each column; of a mapped file several at a time are read, not the file for each."""
    if not isinstance(values_TC, np.memmap):
        yield from values_TC.T
        return
    for first in range(0, values_TC.shape[1], _MAPPED_COLUMNS):
        yield from np.ascontiguousarray(values_TC[:, first : first + _MAPPED_COLUMNS].T)


def _scale_into(
    rows_RC: FloatArray, raw_RC: FloatArray, scaler: FrameScaler, groups: tuple[str, ...]
) -> None:
    """Write scaled channels, missing as 0, and the presence flags of OPTIONAL_GROUPS."""
    num_channels = raw_RC.shape[1]
    scaled_RC = rows_RC[:, :num_channels]
    np.subtract(raw_RC, scaler.mean_C, out=scaled_RC)
    np.divide(scaled_RC, scaler.std_C, out=scaled_RC)
    known_RC = ~np.isnan(scaled_RC)
    scaled_RC[~known_RC] = 0.0
    for column, group in enumerate(OPTIONAL_GROUPS, start=num_channels):
        group_mask_C = np.array(groups) == group
        rows_RC[:, column] = np.any(known_RC[:, group_mask_C], axis=1)


def _mean_and_std(values_T: FloatArray) -> tuple[float, float]:
    """Return mean and standard deviation of the values that are not missing, summed in 64 bits."""
    known_T = values_T[~np.isnan(values_T)].astype(np.float64)
    if known_T.size == 0:
        return 0.0, 1.0
    mean, std = float(np.mean(known_T)), float(np.std(known_T))
    return mean, std if std > _SMALLEST_SPREAD * max(1.0, abs(mean)) else 1.0
