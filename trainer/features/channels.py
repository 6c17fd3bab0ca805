"""Channels: what the network sees at each time step.

In: ``Signals``. Out: named series with their sensor group.

The motion signals without the quaternion, whose heading is arbitrary; each thermopile; of each
time-of-flight sensor mean, std and nearest of the pixels in range, the in-range share and four
quadrant means. A present sensor that sees nothing says so with a range of 255, one more than the
largest: "far" is a fact and not missing.

Shapes: T time steps, V pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.data.preprocess import MOTION_SIGNALS, Signals
from trainer.data.sequences import FloatArray
from trainer.features.grid import QUADRANTS
from trainer.features.time_of_flight import NUM_TOF_SENSORS, range_series

Channel = tuple[str, str, FloatArray]  # name, sensor group, (T,) values

FAR = np.float32(255)  # what "nothing in range" is worth where a range must be a number


def frame_channels(signals: Signals) -> Iterator[Channel]:
    """Yield the channels of every sensor group that the signals have.

    Args:
        signals: Preprocessed recordings.
    """
    for column, name in enumerate(MOTION_SIGNALS):
        if not name.startswith("rot_"):
            group = "acc" if name.startswith("acc_") else "rot"
            yield name, group, signals.motion_TS[:, column]
    if signals.thm_T5 is not None:
        for column, values_T in enumerate(signals.thm_T5.T):
            yield f"thm_{column + 1}", "thm", values_T
    if signals.tof_T320 is not None:
        for sensor_idx in range(NUM_TOF_SENSORS):
            pixels_VT = signals.sensor_pixels(sensor_idx)
            for name, values_T in _range_channels(pixels_VT):
                yield f"tof_{sensor_idx + 1}.{name}", "tof", values_T


def _range_channels(pixels_VT: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield the channels of one time-of-flight sensor, NaN where the sensor is missing."""
    told = range_series(pixels_VT)
    sees_nothing_T = told.in_range_share_T == 0
    yield "mean", np.where(sees_nothing_T, FAR, told.mean_T)
    yield "std", np.where(sees_nothing_T, np.float32(0), told.std_T)
    yield "min", np.where(sees_nothing_T, FAR, told.min_T)
    yield "in_range_share", told.in_range_share_T
    for name, pixel_idx in zip(QUADRANTS.names, QUADRANTS.pixel_idx, strict=True):
        yield name, _mean_with_far(pixels_VT[pixel_idx])


def _mean_with_far(pixels_VT: FloatArray) -> FloatArray:
    """Return the mean of the pixels at each step, 255 for nothing in range, NaN if all missing."""
    present_VT = ~np.isnan(pixels_VT)
    num_present_T = np.sum(present_VT, axis=0, dtype=np.float32)
    far_VT = np.where(pixels_VT < 0, FAR, pixels_VT)
    total_T = np.sum(np.where(present_VT, far_VT, np.float32(0)), axis=0)
    mean_T: FloatArray = total_T / np.where(num_present_T > 0, num_present_T, np.float32(np.nan))
    return mean_T
