"""Places: the part of a recording that a feature is computed from, to mark it on the traces.

In: one sequence and the name of a feature. Out: ``Place``: its signals as they were preprocessed,
its time window, its region of the time-of-flight image.

Shapes: T time steps of the sequence, V pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import IntArray, Sequences
from trainer.explain.preconditions import check_single
from trainer.features.feature_table import feature_names, parse_name
from trainer.features.grid import GRID_SIDE, GridRegion, find_region
from trainer.features.meanings import motion_names
from trainer.features.motion import motion_signals
from trainer.features.segments import early_and_late, equal_bins
from trainer.features.time_axis import SPECTRUM_STEPS, cut_time_axis
from trainer.features.time_of_flight import range_series
from trainer.predict.predictor import Predictor

Lines = dict[str, NDArray[np.floating]]

MIRRORED = {"thm_3": "thm_5", "thm_5": "thm_3", "tof_3": "tof_5", "tof_5": "tof_3"}
UNITS = {
    "acc": "m/s²",
    "linear": "m/s²",
    "vertical": "m/s²",
    "horizontal": "m/s²",
    "forward": "m/s²",
    "sideways": "m/s²",
    "gravity": "part of gravity",
    "omega": "rad per step",
    "turn": "rad per step",
    "tilt": "rad per step",
    "heading": "rad",
    "rot": "part of the quaternion",
}
_BIN = re.compile(r"bin(\d+)_")
_LATE = re.compile(r"late_(?!minus_|to_)")
_SPECTRUM = re.compile(r"band\d+_share|dominant_|spectral_")


@dataclass(frozen=True)
class Place:
    """The part of a recording that a feature is computed from.

    Attributes:
        feature: Name of the feature.
        sensor: The sensor that recorded it, such as "acc" or "tof_3". Where a left hand is
            mirrored, it may differ from the sensor in the feature's name.
        lines: Name to (T,) values of its preprocessed signals; empty for features of no signal.
        unit: Unit of the lines.
        start: First time step.
        stop: The step after the last one.
        num_steps: T.
        region: Its part of the time-of-flight image as recorded; None for the whole image.
    """

    feature: str
    sensor: str
    lines: Lines
    unit: str
    start: int
    stop: int
    num_steps: int
    region: GridRegion | None

    @property
    def is_whole(self) -> bool:
        """Return whether it is computed from the whole recording."""
        return (self.start, self.stop) == (0, self.num_steps)


def count_bins(names: Iterable[str]) -> int:
    """Return the number of time bins in the names of features; 0 if none is of a bin."""
    found = (_BIN.match(name.rpartition(".")[2]) for name in names)
    return max((int(match[1]) for match in found if match), default=0)


def num_time_bins(predictor: Predictor) -> int:
    """Return the number of time bins of the feature table; 0 if no model of the run uses it."""
    uses_table = any(fitted.model.inputs == "features" for fitted in predictor.models.values())
    return count_bins(feature_names(("acc",))) if uses_table else 0


def bin_bounds(num_steps: int, num_bins: int) -> IntArray:
    """Return the bounds of the time bins, (num_bins + 1,) steps."""
    return equal_bins(np.array([0, num_steps]), num_bins).bounds


def place_of(
    sequence: Sequences, feature: str, num_bins: int, mirror_left_handers: bool = True
) -> Place:
    """Return the part of one sequence that a feature is computed from.

    Args:
        sequence: One sequence.
        feature: The name of the feature.
        num_bins: Number of time bins, such as from ``num_time_bins``.
        mirror_left_handers: Whether left-handers were mirrored in training.

    Raises:
        PredictError: There are several sequences.
        FeatureError: The name is not that of a feature.
    """
    check_single(sequence)
    name = parse_name(feature)
    is_mirrored = mirror_left_handers and bool(sequence.right_handed_N[0] == 0)
    lines = _lines(preprocess(sequence, mirror_left_handers), name.sensor, name.signal)
    num_steps = int(sequence.offsets[-1])
    start, stop = _window(name.statistic, num_steps, num_bins)
    return Place(
        feature=feature,
        sensor=MIRRORED.get(name.sensor, name.sensor) if is_mirrored else name.sensor,
        lines={signal: line_T.astype(np.float64) for signal, line_T in lines.items()},
        unit=" and ".join(dict.fromkeys(_unit(name.sensor, line) for line in lines)),
        start=start,
        stop=stop,
        num_steps=num_steps,
        region=_recorded_region(name.sensor, name.signal, is_mirrored),
    )


def _window(statistic: str, num_steps: int, num_bins: int) -> tuple[int, int]:
    """Return the first step that a statistic is computed from, and the step after the last."""
    in_bin = _BIN.match(statistic)
    if in_bin is not None:
        bounds = bin_bounds(num_steps, max(num_bins, int(in_bin[1])))
        return int(bounds[int(in_bin[1]) - 1]), int(bounds[int(in_bin[1])])
    if _LATE.match(statistic):
        return int(early_and_late(np.array([0, num_steps])).bounds[1]), num_steps
    if _SPECTRUM.match(statistic):
        return max(0, num_steps - SPECTRUM_STEPS), num_steps
    return {"first": (0, 1), "last": (num_steps - 1, num_steps)}.get(statistic, (0, num_steps))


def _lines(signals: Signals, sensor: str, signal: str) -> Lines:
    """Return the preprocessed signals that a feature is computed from."""
    if sensor.startswith("thm_") and signals.thm_T5 is not None:
        others = [signal.removeprefix("minus_")] if signal.startswith("minus_thm_") else []
        return {name: signals.thm_T5[:, int(name[-1]) - 1] for name in (sensor, *others)}
    if sensor.startswith("tof_") and signals.tof_T320 is not None:
        return {f"{sensor} {signal}": _range_line(signals, sensor, signal)}
    known = motion_signals(signals.motion_TS, cut_time_axis(signals.offsets, 1))
    return {name: known[name] for name in motion_names(signal, known)}


def _range_line(signals: Signals, sensor: str, signal: str) -> NDArray[np.float32]:
    """Return the series of an image; for a region or an unknown signal, the mean in range."""
    pixels_VT = signals.sensor_pixels(int(sensor[-1]) - 1)
    region = find_region(sensor, signal)
    if region is not None:
        rows = np.array(region.rows)[:, None] * GRID_SIDE
        outside = np.ones(len(pixels_VT), dtype=bool)
        outside[(rows + np.array(region.columns)).ravel()] = False
        pixels_VT[outside] = np.nan
    found = range_series(pixels_VT)
    series = {
        "range_std": found.std_T,
        "range_min": found.min_T,
        "range_max": found.max_T,
        "in_range_share": found.in_range_share_T,
    }
    return series.get(signal, found.mean_T)


def _recorded_region(sensor: str, signal: str, is_mirrored: bool) -> GridRegion | None:
    """Return the region before a left hand was mirrored."""
    region = find_region(sensor, signal)
    if region is None or not is_mirrored:
        return region
    columns = tuple(sorted(GRID_SIDE - 1 - column for column in region.columns))
    return GridRegion(MIRRORED.get(sensor, sensor), region.rows, columns)


def _unit(sensor: str, line: str) -> str:
    if sensor.startswith("thm_"):
        return "°C"
    if sensor.startswith("tof_"):
        return "share of pixels" if line.endswith("in_range_share") else "range, sensor's own"
    return UNITS.get(line.partition("_")[0], "")
