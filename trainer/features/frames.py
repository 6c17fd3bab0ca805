"""Frames: the input of the network, one row of channels per time step.

In: ``Signals``. Out: ``Frames``; they are scaled, cut and padded by ``trainer.features.batches``.

The channels are the motion signals without the quaternion, whose heading is arbitrary; turns and
path of the arm; each thermopile; and for each time-of-flight sensor the mean, std and minimum of
the pixels in range, the in-range share and the means of the four quadrants. Where a sensor is
present and nothing is in range, the range is 255, one more than the largest: "far" is a fact and
not missing.

Turns are in rad per step (``omega``), or in rad per duration of the sequence (``turn``), which does
not depend on the sampling rate. The path is the heading, rad, from its mean; turns about the
vertical and the horizontal; and the linear acceleration forward and sideways, m/s2.

Shapes: N sequences, T time steps, C channels, V pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.data.preprocess import MOTION_SIGNALS, Signals, example_signals
from trainer.data.sequences import FloatArray, IntArray
from trainer.features.grid import QUADRANTS
from trainer.features.heading import heading_signals
from trainer.features.time_axis import cut_time_axis
from trainer.features.time_of_flight import NUM_TOF_SENSORS, range_series

FRAME_VERSION = 1  # raise it whenever a channel or a value changes

OPTIONAL_GROUPS = ("rot", "thm", "tof")  # in the order of their presence flags
FAR = np.float32(255)  # the value of "nothing in range" where a range must be a number
_LENGTH_PERCENTILE = 95  # of the training part; longer sequences are cut at the left
_LENGTH_MULTIPLE = 4  # the network halves the length twice
_AXES = ("x", "y", "z", "norm")
_BY_STEP = tuple(f"omega_{axis}" for axis in _AXES)
_BY_DURATION = tuple(f"turn_{axis}" for axis in _AXES)
_PATH = ("heading", "turn_vertical", "turn_horizontal", "forward", "sideways")
_MOTION_CHANNELS = ("linear_", *_BY_STEP, *_BY_DURATION, "vertical", "horizontal_norm")
_FLAG_OF_BRANCH = {"raw": "rot", "motion": "rot"}

Channel = tuple[str, str, FloatArray]  # name, sensor group, (T,) values


@dataclass(frozen=True)
class Frames:
    """Network input before scaling; missing is NaN until a batch is made.

    Attributes:
        offsets: (N + 1,) int64, sequence n is rows ``offsets[n]:offsets[n + 1]``.
        values_TC: (T, C) float32.
        channels: C names, such as "linear_x" or "tof_3.mean".
        groups: C sensor groups, each one of SENSOR_GROUPS.
    """

    offsets: IntArray
    values_TC: FloatArray
    channels: tuple[str, ...]
    groups: tuple[str, ...]


def build_frames(signals: Signals, motion: str = "steps") -> Frames:
    """Lay the channels side by side; those of a group that no sequence has are left out.

    Everything that needs an orientation, the linear acceleration too, is of the group ``rot``.

    Args:
        signals: Preprocessed recordings.
        motion: As ``NetworkConfig.motion``; or "all", for networks that choose their own.
    """
    channels = [one for one in _channels(signals, motion) if not np.isnan(one[2]).all()]
    return Frames(
        offsets=signals.offsets,
        values_TC=np.stack([values_T for _, _, values_T in channels], axis=1),
        channels=tuple(name for name, _, _ in channels),
        groups=tuple(group for _, group, _ in channels),
    )


def frame_layout(
    groups: Collection[str], motion: str = "steps"
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and sensor groups of the channels that recordings of these groups have."""
    names = [(name, group) for name, group, _ in _channels(example_signals(groups), motion)]
    present = [(name, group) for name, group in names if group in groups]
    return tuple(name for name, _ in present), tuple(group for _, group in present)


def num_input_channels(frames: Frames) -> int:
    """Return the number of channels of a batch: of the frames, and one flag per optional group."""
    return len(frames.channels) + len(OPTIONAL_GROUPS)


def input_branches(frames: Frames) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return which columns of a batch belong together: name and columns of each branch.

    Raw acceleration and pose; motion that was derived from them; the thermopiles; each
    time-of-flight sensor by itself, all under one name. A group's presence flag is in its branches.

    Args:
        frames: Of all sequences.
    """
    columns_of: dict[str, list[int]] = {}
    for column, (name, group) in enumerate(zip(frames.channels, frames.groups, strict=True)):
        columns_of.setdefault(_branch_of(name, group), []).append(column)
    flag_of = {group: len(frames.channels) + i for i, group in enumerate(OPTIONAL_GROUPS)}
    return tuple(
        (
            "tof" if branch.startswith("tof_") else branch,
            (*columns, flag_of[_FLAG_OF_BRANCH.get(branch, branch.partition("_")[0])]),
        )
        for branch, columns in columns_of.items()
    )


def _branch_of(name: str, group: str) -> str:
    """Return the branch of a channel; each time-of-flight sensor has one of its own."""
    if group == "tof":
        return name.partition(".")[0]
    if group == "thm":
        return "thm"
    return "motion" if name.startswith(_MOTION_CHANNELS) else "raw"


def align_channels(frames: Frames, channels: tuple[str, ...], groups: tuple[str, ...]) -> Frames:
    """Return the frames in a model's channel order.

    Args:
        frames: Of the sequences to score.
        channels: C names, as stored with the model.
        groups: C sensor groups, as stored with the model.

    Returns:
        Frames with exactly these channels; one that the frames lack is NaN, one that the model
        does not have is left out.
    """
    column_of = {name: column for column, name in enumerate(frames.channels)}
    values_TC = np.full((len(frames.values_TC), len(channels)), np.nan, dtype=np.float32)
    for place, name in enumerate(channels):
        if name in column_of:
            values_TC[:, place] = frames.values_TC[:, column_of[name]]
    return Frames(frames.offsets, values_TC, channels, groups)


def frame_length(lengths_N: IntArray, sequence_idx: IntArray, configured: int | None) -> int:
    """Return the largest number of steps of a sequence in the network's input.

    Args:
        lengths_N: Steps of all sequences.
        sequence_idx: Positions of the training part.
        configured: A length to use instead.

    Returns:
        ``configured``, or the 95th percentile of the training part rounded up to a multiple of 4.
    """
    if configured is not None:
        return configured
    return round_up_length(float(np.percentile(lengths_N[sequence_idx], _LENGTH_PERCENTILE)))


def round_up_length(length: float) -> int:
    """Return the smallest multiple of 4 that is not below a length."""
    return int(np.ceil(length / _LENGTH_MULTIPLE)) * _LENGTH_MULTIPLE


def _channels(signals: Signals, motion: str) -> Iterator[Channel]:
    """Yield the channels of every sensor group that the signals have."""
    left_out = _BY_STEP if motion == "path" else ()
    for column, name in enumerate(MOTION_SIGNALS):
        if not name.startswith("rot_") and name not in left_out:
            group = "acc" if name.startswith("acc_") else "rot"
            yield name, group, signals.motion_TS[:, column]
    if motion != "steps":
        yield from ((name, "rot", values_T) for name, values_T in _turns_and_path(signals))
    if signals.thm_T5 is not None:
        for column, values_T in enumerate(signals.thm_T5.T):
            yield f"thm_{column + 1}", "thm", values_T
    if signals.tof_T320 is not None:
        for sensor_idx in range(NUM_TOF_SENSORS):
            pixels_VT = signals.sensor_pixels(sensor_idx)
            for name, values_T in _range_channels(pixels_VT):
                yield f"tof_{sensor_idx + 1}.{name}", "tof", values_T


def _turns_and_path(signals: Signals) -> Iterator[tuple[str, FloatArray]]:
    """Yield turns per duration of each sequence, and the path; nothing without an orientation."""
    signals_T = {
        name: signals.motion_TS[:, column].astype(np.float64)
        for column, name in enumerate(MOTION_SIGNALS)
    }
    if np.isnan(signals_T["rot_w"]).all():
        return
    lengths_N = np.diff(signals.offsets)
    steps_T = np.repeat(lengths_N, lengths_N)
    path_T = heading_signals(signals_T, cut_time_axis(signals.offsets, num_bins=1))
    turns_T = {f"turn_{axis}": steps_T * signals_T[f"omega_{axis}"] for axis in _AXES}
    turns_T["turn_vertical"] = steps_T * path_T["turn_rate"]
    turns_T["turn_horizontal"] = steps_T * path_T["tilt_rate"]
    for name in (*_BY_DURATION, *_PATH):
        yield name, (path_T if name in path_T else turns_T)[name].astype(np.float32)


def _range_channels(pixels_VT: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield the channels of one time-of-flight sensor, NaN where the sensor is missing."""
    series = range_series(pixels_VT)
    is_far_T = series.in_range_share_T == 0
    yield "mean", np.where(is_far_T, FAR, series.mean_T)
    yield "std", np.where(is_far_T, np.float32(0), series.std_T)
    yield "min", np.where(is_far_T, FAR, series.min_T)
    yield "in_range_share", series.in_range_share_T
    for name, pixel_idx in zip(QUADRANTS.names, QUADRANTS.pixel_idx, strict=True):
        yield name, mean_with_far(pixels_VT[pixel_idx])


def mean_with_far(pixels_VT: FloatArray) -> FloatArray:
    """Return the mean of the pixels at each step, 255 for nothing in range, NaN if all missing."""
    present_VT = ~np.isnan(pixels_VT)
    num_present_T = np.sum(present_VT, axis=0, dtype=np.float32)
    far_VT = np.where(pixels_VT < 0, FAR, pixels_VT)
    total_T = np.sum(np.where(present_VT, far_VT, np.float32(0)), axis=0)
    mean_T: FloatArray = total_T / np.where(num_present_T > 0, num_present_T, np.float32(np.nan))
    return mean_T
