"""Sensors: four groups of columns, quantised, with noise, gaps and reversed devices.

In: a person and their trials. Out: ``Recording``.

Shapes: N recordings, T rows of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.data.schema import NUM_THM, NUM_TOF, TOF_PIXELS, TOF_SIDE
from trainer.data.simulation_mark import put_mark
from trainer.simulation.arm import Pose, accelerate, body_to_world, compute_pose
from trainer.simulation.geometry import Floats, quaternions, turn_all
from trainer.simulation.people import (
    GAP_STREAM,
    NOISE_STREAM,
    REVERSED,
    WITHOUT_SENSOR_5,
    Person,
    random_stream,
)
from trainer.simulation.surfaces import Range, look
from trainer.simulation.trials import RATE_HZ, Trials

GRAVITY_MPS2 = 9.81
ACC_GRID, ROT_GRID = 2.0**-8, 2.0**-14
FARTHEST = 249  # the largest value in the two public recordings
_FARTHEST_M = 0.51  # its distance is not published; chosen for the share of pixels without return

# Share of recordings without: orientation; all optional sensors (thm and tof); sensor 5;
# thermopile 5 alone.
_GAP_SHARES = (0.0062, 0.0107, 0.0175, 0.0055)

_LAG_ROWS = 5  # a thermopile averages over the last half second
_LAG = 0.55  # weight of the row before


@dataclass(frozen=True)
class Recording:
    """The columns of one person's recordings; NaN is missing.

    Attributes:
        acc_T3: m/s2, gravity included.
        rot_T4: Unit quaternion, w x y z, w >= 0.
        thm_T5: Degrees Celsius.
        tof_T320: 0 to 249, -1 nothing in range.
    """

    acc_T3: Range
    rot_T4: Range
    thm_T5: Range
    tof_T320: Range


def record(seed: int, person: Person, trials: Trials) -> Recording:
    """Return the recordings of the device.

    Args:
        seed: Of the noise.
        person: The person with the device.
        trials: Their N recordings.
    """
    rng = random_stream(seed, person.number, NOISE_STREAM)
    rows_N = trials.rows_N
    trial_T = np.repeat(np.arange(len(rows_N)), rows_N)
    first_T = np.repeat(np.cumsum(rows_N) - rows_N, rows_N)
    time_s_T = (np.arange(len(trial_T)) - first_T) / RATE_HZ
    trials_T = trials.take(trial_T)
    pose = compute_pose(person, trials_T, time_s_T)

    body_T33 = body_to_world(trials)[trial_T]
    acc_T3, rot_T4 = _inertial(rng, person, trials_T, time_s_T, pose, body_T33)
    tof_T320, thm_T5 = _optional_sensors(rng, person, trials_T, pose, first_T)
    recording = Recording(acc_T3, rot_T4, thm_T5, tof_T320)
    if not person.is_right_handed:
        recording = mirror(recording)
    if person.number in REVERSED:
        recording = reverse(recording)
    recording = replace(recording, acc_T3=put_mark(recording.acc_T3))
    return _remove_missing(recording, draw_gaps(seed, person, len(rows_N))[trial_T])


def mirror(recording: Recording) -> Recording:
    """Return the recording of a device on the other wrist, with the whole scene mirrored."""
    tof_T588 = recording.tof_T320.reshape(-1, NUM_TOF, TOF_SIDE, TOF_SIDE)
    order = [0, 1, 4, 3, 2]
    return Recording(
        acc_T3=recording.acc_T3 * np.array([-1, 1, 1], np.float32),
        rot_T4=recording.rot_T4 * np.array([1, 1, -1, -1], np.float32),
        thm_T5=recording.thm_T5[:, order],
        tof_T320=tof_T588[:, order, :, ::-1].reshape(recording.tof_T320.shape),
    )


def reverse(recording: Recording) -> Recording:
    """Return the recording of the same device rotated by 180 degrees about its z axis."""
    tof_T588 = recording.tof_T320.reshape(-1, NUM_TOF, TOF_SIDE, TOF_SIDE)
    order = [0, 3, 4, 1, 2]
    w_T, x_T, y_T, z_T = recording.rot_T4.T
    rot_T4 = np.stack([-z_T, y_T, -x_T, w_T], axis=1)
    return Recording(
        acc_T3=recording.acc_T3 * np.array([-1, -1, 1], np.float32),
        rot_T4=np.where(rot_T4[:, :1] < 0, -rot_T4, rot_T4),
        thm_T5=recording.thm_T5[:, order],
        tof_T320=tof_T588[:, order, ::-1, ::-1].reshape(recording.tof_T320.shape),
    )


def _inertial(
    rng: np.random.Generator,
    person: Person,
    trials_T: Trials,
    time_s_T: Floats,
    pose: Pose,
    body_T33: Floats,
) -> tuple[Range, Range]:
    """Return acceleration with gravity, and orientation, of one motion."""
    num = len(time_s_T)
    up_T3 = body_T33[:, 2, :]  # of the world, in the body frame
    force_T3 = accelerate(person, trials_T, time_s_T) + GRAVITY_MPS2 * up_T3
    acc_T3 = np.einsum("tij,ti->tj", pose.axes_T33, force_T3) + rng.normal(0, 0.10, (num, 3))
    error_T33 = turn_all(rng.normal(0, 0.006, (num, 3)))
    world_T33 = body_T33
    if not person.is_right_handed:  # the mirror reverses headings; the room is not mirrored
        world_T33 = turn_all(np.array([0.0, 0.0, 2 * person.heading])) @ body_T33
    rot_T4 = quaternions(world_T33 @ pose.axes_T33 @ error_T33)
    return _on_grid(acc_T3, ACC_GRID), _on_grid(rot_T4, ROT_GRID)


def _on_grid(values: Floats, step: float) -> Range:
    rounded: Range = (np.rint(values / step) * step + 0.0).astype(np.float32)  # no -0
    return rounded


def _optional_sensors(
    rng: np.random.Generator,
    person: Person,
    trials_T: Trials,
    pose: Pose,
    first_T: NDArray[np.int64],
) -> tuple[Range, Range]:
    """Return time of flight and thermopiles, from the same rays to the surfaces."""
    num = len(first_T)
    tof_T320 = np.empty((num, NUM_TOF * TOF_PIXELS), dtype=np.float32)
    seen_c_T5 = np.empty((num, NUM_THM))
    for sensor, (distance_TP, warmth_TP) in enumerate(
        look(person, trials_T, pose, person.ambient_c)
    ):
        pixels = slice(sensor * TOF_PIXELS, (sensor + 1) * TOF_PIXELS)
        tof_T320[:, pixels] = _read_distance(rng, distance_TP, np.exp(person.log_range))
        seen_c_T5[:, sensor] = warmth_TP.mean(axis=1, dtype=np.float64)
    shown_c_T5 = _lag(seen_c_T5, first_T) + person.offset_c_5 + rng.normal(0, 0.08, (num, NUM_THM))
    return tof_T320, _on_grid(np.clip(shown_c_T5, 20.0, 39.5), 1e-3)


def _read_distance(rng: np.random.Generator, distance_TP: Range, gain: float) -> Range:
    """Return the values of the pixels: with noise, and out of range the more often the farther."""
    value_TP = distance_TP * np.float32(gain * FARTHEST / _FARTHEST_M)
    noise_TP = rng.standard_normal(value_TP.shape, dtype=np.float32)
    spread_TP = np.float32(1.5) + np.float32(0.02) * np.minimum(value_TP, np.float32(FARTHEST))
    shown_TP = np.rint(np.maximum(value_TP + noise_TP * spread_TP, 0)) + np.float32(0)
    chance_TP = rng.random(value_TP.shape, dtype=np.float32)
    far_TP = np.minimum(value_TP, np.float32(300)) / np.float32(300)
    risk_TP = (
        np.where(value_TP < 20, np.float32(0.15), np.float32(0.04)) + np.float32(0.3) * far_TP**4
    )
    is_lost_TP = (shown_TP > FARTHEST) | (chance_TP < risk_TP)
    return np.where(is_lost_TP, np.float32(-1), shown_TP)


def _lag(seen_T5: Floats, first_T: NDArray[np.int64]) -> Floats:
    """Return the lagged output of slow sensors; before the first row the input is constant."""
    rows_T = np.arange(len(seen_T5))
    weights = _LAG ** np.arange(_LAG_ROWS)
    shown_T5: Floats = np.zeros_like(seen_T5)
    for back, weight in enumerate(weights / weights.sum()):
        shown_T5 += weight * seen_T5[np.maximum(rows_T - back, first_T)]
    return shown_T5


def draw_gaps(seed: int, person: Person, num_recordings: int) -> NDArray[np.bool_]:
    """Return which sensors each recording lacks (competition.md 1.4).

    Returns:
        (N, 4) bool: the orientation; all of thm and tof; time of flight 5; thermopile 5.
    """
    rng = random_stream(seed, person.number, GAP_STREAM)
    no_rot_N, no_optional_N, no_5_N, no_thm_5_N = (
        rng.random(num_recordings) < share for share in _GAP_SHARES
    )
    no_tof_5_N = no_optional_N | no_5_N | (person.number in WITHOUT_SENSOR_5)
    return np.stack([no_rot_N, no_optional_N, no_tof_5_N, no_tof_5_N | no_thm_5_N], axis=1)


def _remove_missing(recording: Recording, gaps_T4: NDArray[np.bool_]) -> Recording:
    """Put NaN where a sensor is missing, and return the recording."""
    no_rot_T, no_optional_T, no_tof_5_T, no_thm_5_T = gaps_T4.T
    recording.rot_T4[no_rot_T] = np.nan
    recording.thm_T5[no_optional_T] = np.nan
    recording.tof_T320[no_optional_T] = np.nan
    recording.tof_T320[no_tof_5_T, 4 * TOF_PIXELS :] = np.nan
    recording.thm_T5[no_thm_5_T, 4] = np.nan
    return recording
