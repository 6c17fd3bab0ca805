"""The arm: position of the wrist and orientation of the device on it, at any instant.

In: the parameters of a recording for each instant. Out: ``Pose`` in the body frame. All of it is a
formula in time, so that acceleration and orientation belong to one motion.

The device is on the inside of the wrist: z where the palm faces, x along the forearm towards
the elbow, y across it. Shapes: T instants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.simulation.geometry import Floats, turn, turn_all, unit
from trainer.simulation.gestures import BACK, LEAN, SIDE, STRAIGHT
from trainer.simulation.people import Person
from trainer.simulation.trials import RATE_HZ, Trials

SHOULDER_M = np.array([0.19, 0.0, -0.05])
HEAD_M = np.array([0.0, 0.02, 0.175])
_STEP_S = 0.02  # a tenth of the fastest rhythm's period
# Where an elbow hangs from the line between shoulder and wrist, by posture.
_ELBOW = np.array([[0.45, -0.45, -0.77], [0.4, 0.2, -0.9], [0.6, -0.7, -0.4], [0.0, -0.3, -0.95]])
_EASE_S = 0.4  # until a movement has its full size


@dataclass(frozen=True)
class Pose:
    """Position of the wrist and orientation of the device.

    Attributes:
        wrist_T3: Body frame, m.
        axes_T33: Columns: the device's x, y and z in the body frame.
        flex_T: How far the hand is bent towards the palm, rad.
    """

    wrist_T3: Floats
    axes_T33: Floats
    flex_T: Floats


def compute_pose(person: Person, trials_T: Trials, time_s_T: Floats) -> Pose:
    """Return the pose at the given instants.

    Args:
        person: The person with this arm.
        trials_T: The parameters of the recording of each instant.
        time_s_T: (T,) seconds from the first row of the recording.
    """
    there_T = _at_target(trials_T, time_s_T)[:, None]
    size_T = _envelope(trials_T, time_s_T)
    angle_T = _phase(trials_T, time_s_T)
    wave_T = _wave(angle_T, trials_T.sharpness_N) * size_T
    second_T = np.sin(trials_T.ratio_N * angle_T + 0.5 * np.pi) * size_T

    wrist_T3 = trials_T.rest_N3 * (1 - there_T) + trials_T.target_N3 * there_T
    wrist_T3 += 4 * there_T * (1 - there_T) * trials_T.arc_N3
    wrist_T3 += wave_T[:, None] * trials_T.stroke_N3 + second_T[:, None] * trials_T.stroke_2_N3
    wrist_T3 += _sway(trials_T, time_s_T)
    shoulder = SHOULDER_M * person.scale
    wrist_T3 = shoulder + _within_reach(wrist_T3 - shoulder, person)
    elbow_T3 = _elbow(wrist_T3 - shoulder, trials_T, person) + shoulder

    palm_T3 = _palm(wrist_T3, there_T, trials_T, person)
    roll_T = there_T[:, 0] * trials_T.roll_N + trials_T.roll_swing_N * wave_T
    axes_T33 = _device_axes(unit(wrist_T3 - elbow_T3), palm_T3, roll_T) @ turn_all(person.mounting)
    return Pose(wrist_T3, axes_T33, trials_T.flex_N + trials_T.flex_swing_N * wave_T)


def accelerate(person: Person, trials_T: Trials, time_s_T: Floats) -> Floats:
    """Return the wrist's acceleration, body frame, m/s2, (T, 3)."""
    before, now, after = (
        compute_pose(person, trials_T, time_s_T + step).wrist_T3 for step in (-_STEP_S, 0, _STEP_S)
    )
    acceleration: Floats = (after - 2 * now + before) / _STEP_S**2
    return acceleration


def body_to_world(trials_N: Trials) -> Floats:
    """Return the rotation from the body frame to the world (x east, y north, z up), (N, 3, 3)."""
    postures = np.zeros((4, 3, 3))
    postures[STRAIGHT] = turn(0, 0.05)
    postures[LEAN] = turn(1, -0.35) @ turn(0, -0.85)
    postures[BACK] = turn(0, 1.40)
    postures[SIDE] = turn(1, -1.45)
    heading_N33 = turn(2, -trials_N.heading_N)
    rotation: Floats = heading_N33 @ turn_all(trials_N.tilt_N3) @ postures[trials_N.posture_N]
    return rotation


def _smooth(progress_T: Floats) -> Floats:
    """Return the minimum-jerk path from 0 to 1; before 0 it is 0, after 1 it is 1."""
    x_T = np.clip(progress_T, 0, 1)
    path_T: Floats = x_T**3 * (10 - 15 * x_T + 6 * x_T**2)
    return path_T


def _at_target(trials_T: Trials, time_s_T: Floats) -> Floats:
    """Return the share of the way from rest to target."""
    left_T = _smooth((time_s_T - trials_T.leave_s_N) / trials_T.move_s_N)
    come_T = _smooth((time_s_T - trials_T.arrive_s_N) / trials_T.move_s_N)
    there_T: Floats = trials_T.leaves_N * (1 - left_T) * (1 - come_T) + come_T
    return there_T


def _envelope(trials_T: Trials, time_s_T: Floats) -> Floats:
    """Return the size of the movement, 0 to 1: 0 before its phase, then in bouts."""
    begin_s_T = (trials_T.lead_N + trials_T.pause_N) / RATE_HZ - _EASE_S / 2
    bout_T = np.sin(2 * np.pi * trials_T.bout_hz_N * time_s_T + trials_T.bout_phase_N)
    size_T: Floats = 1 - trials_T.bout_depth_N * (0.5 + 0.5 * bout_T)
    return size_T * _smooth((time_s_T - begin_s_T) / _EASE_S)


def _phase(trials_T: Trials, time_s_T: Floats) -> Floats:
    """Return the angle of the movement: a rhythm with a varying frequency."""
    wander_T = np.sin(2 * np.pi * trials_T.wander_hz_N * time_s_T + 3 * trials_T.phase_N)
    angle_T: Floats = 2 * np.pi * trials_T.rhythm_hz_N * time_s_T + trials_T.phase_N
    return angle_T + trials_T.wander_N * wander_T


def _wave(angle_T: Floats, sharpness_T: Floats) -> Floats:
    """Return the wave of a movement, -1 to 1: a sine, the squarer the sharper."""
    edge_T = np.maximum(sharpness_T, 0.01)
    wave_T: Floats = np.tanh(edge_T * np.sin(angle_T)) / np.tanh(edge_T)
    return wave_T


def _sway(trials_T: Trials, time_s_T: Floats) -> Floats:
    """Return sway and tremor, m, (T, 3)."""
    angle_T3 = 2 * np.pi * trials_T.sway_hz_N3 * time_s_T[:, None] + trials_T.sway_phase_N3
    sway_T3: Floats = np.einsum("tck,tk->tc", trials_T.sway_N33, np.sin(angle_T3))
    return sway_T3


def _arm_m(person: Person) -> tuple[float, float]:
    """Return the length of upper arm and forearm."""
    forearm_m = person.elbow_to_wrist_cm / 100
    return person.shoulder_to_wrist_cm / 100 - forearm_m, forearm_m


def _within_reach(from_shoulder_T3: Floats, person: Person) -> Floats:
    """Return the wrist, moved smoothly towards the shoulder where the arm is too short."""
    longest_m = 0.985 * sum(_arm_m(person))
    far_T1 = np.linalg.norm(from_shoulder_T3, axis=1, keepdims=True) / longest_m
    near_T3: Floats = from_shoulder_T3 / (1 + far_T1**10) ** 0.1
    return near_T3


def _elbow(from_shoulder_T3: Floats, trials_T: Trials, person: Person) -> Floats:
    """Return the elbow from the shoulder, m: from both bones, and the lift for the free angle."""
    upper_m, fore_m = _arm_m(person)
    reach_T1 = np.linalg.norm(from_shoulder_T3, axis=1, keepdims=True)
    along_T3 = from_shoulder_T3 / reach_T1
    down_T3 = _ELBOW[trials_T.posture_N]
    down_T3 = unit(down_T3 - along_T3 * np.sum(down_T3 * along_T3, axis=1, keepdims=True))
    side_T3 = np.cross(down_T3, along_T3)
    lift_T1 = trials_T.swivel_N[:, None]
    foot_T1 = (reach_T1**2 + upper_m**2 - fore_m**2) / (2 * reach_T1)
    height_T1 = np.sqrt(np.maximum(upper_m**2 - foot_T1**2, 1e-6))
    out_T3 = np.cos(lift_T1) * down_T3 + np.sin(lift_T1) * side_T3
    elbow_T3: Floats = along_T3 * foot_T1 + out_T3 * height_T1
    return elbow_T3


def _palm(wrist_T3: Floats, there_T1: Floats, trials_T: Trials, person: Person) -> Floats:
    """Return where the palm faces, on the way from rest to target."""
    to_head_T3 = unit(HEAD_M * person.scale + trials_T.head_N3 - wrist_T3)
    is_free_T1 = np.abs(trials_T.palm_N3).sum(axis=1, keepdims=True) > 0
    at_target_T3 = np.where(is_free_T1, unit(trials_T.palm_N3 + 1e-12), to_head_T3)
    palm_T3: Floats = trials_T.rest_palm_N3 * (1 - there_T1) + at_target_T3 * there_T1
    return palm_T3


def _device_axes(forearm_T3: Floats, palm_T3: Floats, roll_T: Floats) -> Floats:
    """Return the device's axes as columns, the palm turned about the forearm, (T, 3, 3)."""
    x_T3 = -forearm_T3
    z_T3 = unit(palm_T3 - x_T3 * np.sum(palm_T3 * x_T3, axis=1, keepdims=True))
    y_T3 = np.cross(z_T3, x_T3)
    axes_T33: Floats = np.stack([x_T3, y_T3, z_T3], axis=2) @ turn(0, roll_T)
    return axes_T33
