"""Surfaces in front of the sensors: head, neck, trunk, thighs, own hand, held object, furniture.

In: the pose of the device. Out: distance and temperature at each pixel. Every surface is an
ellipsoid, so that its distance along a ray is the root of one quadratic equation.

Arithmetic on single rays is plain float32 addition, multiplication, division and square root on
numbers that were rounded from float64 before: the same bits on every processor.

Shapes: N recordings, T rows, R rows near enough, P pixels of one sensor (64), E ellipsoids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.schema import TOF_SIDE
from trainer.simulation.arm import HEAD_M, Pose
from trainer.simulation.geometry import Floats, turn
from trainer.simulation.gestures import BACK, LEAN, SIDE, STRAIGHT
from trainer.simulation.people import Person
from trainer.simulation.trials import Trials

Range = NDArray[np.float32]

REACH_M = 0.55  # beyond it there is no return and no warmth
SKIN_C, CLOTHES_C, THING_C = 35.5, 33.0, 29.0

_FIELD = np.radians(52.0)  # of one sensor, from edge to edge
_HALF_FIELD = np.radians(31.2)  # to the corners, and a little more
_RING_TILT = np.radians(42.0)  # of sensors 2 to 5, away from sensor 1
_SENSOR_M = 0.030  # from the middle of the wrist to the sensors
_BLOCK_ROWS = 512  # whose rays fit the processor's cache
_NOWHERE = np.array([0.0, 0.0, -9.0])


@dataclass(frozen=True)
class Ellipsoid:
    """One surface in the frame of the body or of the device.

    Attributes:
        centre_T3: m, one for each row.
        shape_T33: Matrix of the quadratic form that is 1 on the surface.
        radius_m: Of the longest half axis.
        warmth_c: Degrees Celsius.
    """

    centre_T3: Floats
    shape_T33: Floats
    radius_m: float
    warmth_c: float


@dataclass(frozen=True)
class Sensor:
    """One time-of-flight sensor in the device's frame.

    Attributes:
        place_3: m.
        axis_3: Where it looks.
        rays_P3: Where its pixels look, row by row.
    """

    place_3: Floats
    axis_3: Floats
    rays_P3: Floats


def make_sensors() -> tuple[Sensor, ...]:
    """Return the five sensors: 1 in the middle, 2 and 4 to +y and -y, 3 and 5 to +x and -x.

    All images have columns along +x and rows along -y, so that a left wrist's images are mirrored
    left-right with 3 and 5 swapped, and those of a reversed device turned by half a turn
    (competition.md 3.1 and 3.2).
    """
    edge = np.tan(_FIELD / 2) * (np.arange(TOF_SIDE) + 0.5 - TOF_SIDE / 2) / (TOF_SIDE / 2)
    across, down = np.meshgrid(edge, edge)
    plain_P3 = np.stack([across.ravel(), -down.ravel(), np.ones(TOF_SIDE**2)], axis=1)
    plain_P3 /= np.linalg.norm(plain_P3, axis=1, keepdims=True)
    tilts = (np.eye(3), turn(0, -_RING_TILT), turn(1, _RING_TILT), turn(0, _RING_TILT))
    sensors = []
    for tilt in (*tilts, turn(1, -_RING_TILT)):
        axis_3 = tilt[:, 2]
        place_3 = np.array([0, 0, _SENSOR_M]) + 0.015 * axis_3 * (1, 1, 0)
        sensors.append(Sensor(place_3, axis_3, plain_P3 @ tilt.T))
    return tuple(sensors)


def look(
    person: Person, trials_T: Trials, pose: Pose, ambient_c: float
) -> Iterator[tuple[Range, Range]]:
    """Yield distances and temperatures of each sensor.

    Args:
        person: The person with this body.
        trials_T: The parameters of the recording of each row.
        pose: Of the device.
        ambient_c: Temperature where no surface is near.

    Yields:
        (T, 64) float32 distance in m, inf without a surface, 0 at contact; and
        (T, 64) float32 temperature of the surface, degrees Celsius.
    """
    ellipsoids = [_seen_from_device(e, pose) for e in _body(person, trials_T)]
    ellipsoids += _in_hand(person, trials_T, pose)
    for sensor in make_sensors():
        shape = (len(pose.wrist_T3), TOF_SIDE**2)
        distance_TP = np.full(shape, np.inf, dtype=np.float32)
        warmth_TP = np.full(shape, ambient_c, dtype=np.float32)
        for ellipsoid in ellipsoids:
            _meet(ellipsoid, sensor, distance_TP, warmth_TP)
        yield distance_TP, warmth_TP


def _body(person: Person, trials_T: Trials) -> list[Ellipsoid]:
    """Return head, neck, trunk, hips, thighs and the furniture, body frame."""
    scale, num = person.scale, len(trials_T.posture_N)
    head_T3 = HEAD_M * scale + trials_T.head_N3
    nod_T33 = turn(0, trials_T.head_N3[:, 1] * 8)

    def still(centre: tuple[float, ...], radii: tuple[float, ...], warmth_c: float) -> Ellipsoid:
        centre_T3 = np.broadcast_to(np.array(centre) * scale, (num, 3))
        turns_T33 = np.broadcast_to(np.eye(3), (num, 3, 3))
        return _ellipsoid(centre_T3, turns_T33, np.array(radii) * scale, warmth_c)

    face = _ellipsoid(head_T3, nod_T33, np.array([0.073, 0.092, 0.115]) * scale, SKIN_C)
    return [
        face,
        still((0, 0.0, 0.05), (0.056, 0.058, 0.09), SKIN_C),
        still((0, -0.01, -0.25), (0.175, 0.115, 0.27), CLOTHES_C),
        still((0, 0.0, -0.52), (0.165, 0.13, 0.12), CLOTHES_C),
        *_thighs(trials_T, scale),
        _furniture(trials_T),
    ]


def _thighs(trials_T: Trials, scale: float) -> list[Ellipsoid]:
    """Return both thighs, forward of a sitting person, along the body of a lying one."""
    sits_T = np.isin(trials_T.posture_N, (STRAIGHT, LEAN))
    centre_T3 = np.where(sits_T[:, None], (0.0, 0.24, -0.56), (0.0, 0.04, -0.82)) * scale
    turns_T33 = turn(0, np.where(sits_T, 0.0, np.pi / 2))
    radii = np.array([0.080, 0.27, 0.080]) * scale
    return [
        _ellipsoid(centre_T3 + np.array([side * scale, 0, 0]), turns_T33, radii, CLOTHES_C)
        for side in (-0.10, 0.10)
    ]


def _furniture(trials_T: Trials) -> Ellipsoid:
    """Return the table in front of a sitting person or the bed under a lying one."""
    centres, turns = np.zeros((4, 3)), np.zeros((4, 3, 3))
    centres[STRAIGHT], turns[STRAIGHT] = (0.1, 0.75, -0.46), np.eye(3)
    centres[LEAN], turns[LEAN] = (-0.2, 0.60, -0.30), turn(0, 0.9)
    centres[BACK], turns[BACK] = (0.0, -0.20, -0.3), turn(0, np.pi / 2)
    centres[SIDE], turns[SIDE] = (-0.28, 0.0, -0.3), turn(1, np.pi / 2)
    posture_T = trials_T.posture_N
    return _ellipsoid(centres[posture_T], turns[posture_T], np.array([0.6, 0.35, 0.04]), THING_C)


def _in_hand(person: Person, trials_T: Trials, pose: Pose) -> list[Ellipsoid]:
    """Return the own hand and the held object, device frame."""
    bend_T33 = turn(1, pose.flex_T)
    away_T3 = -bend_T33[:, :, 0]
    hand_T3 = away_T3 * 0.095 * person.scale
    hand = _ellipsoid(hand_T3, bend_T33, np.array([0.085, 0.042, 0.016]) * person.scale, SKIN_C)
    length_T = trials_T.thing_m_N
    thing_T3 = away_T3 * 0.13 + bend_T33[:, :, 2] * 0.03
    thing_T3 = np.where(length_T[:, None] > 0, thing_T3, _NOWHERE)
    radii_T3 = np.stack([0 * length_T + 0.03, 0 * length_T + 0.04, length_T + 0.01], axis=1)
    return [hand, _ellipsoid(thing_T3, bend_T33, radii_T3, THING_C)]


def _ellipsoid(centre_T3: Floats, turns_T33: Floats, radii: Floats, warmth_c: float) -> Ellipsoid:
    """Return a surface of the given half axes, one set for all rows or one for each."""
    shape_T33 = (turns_T33 / radii[..., None, :] ** 2) @ np.swapaxes(turns_T33, 1, 2)
    return Ellipsoid(centre_T3, shape_T33, float(radii.max()), warmth_c)


def _seen_from_device(ellipsoid: Ellipsoid, pose: Pose) -> Ellipsoid:
    """Return the same surface in the device's frame."""
    back_T33 = np.swapaxes(pose.axes_T33, 1, 2)
    centre_T3 = np.einsum("tij,tj->ti", back_T33, ellipsoid.centre_T3 - pose.wrist_T3)
    shape_T33 = back_T33 @ ellipsoid.shape_T33 @ pose.axes_T33
    return Ellipsoid(centre_T3, shape_T33, ellipsoid.radius_m, ellipsoid.warmth_c)


def _meet(ellipsoid: Ellipsoid, sensor: Sensor, distance_TP: Range, warmth_TP: Range) -> None:
    """Update the distances where an ellipsoid is the nearest surface of a ray."""
    from_sensor_T3 = ellipsoid.centre_T3 - sensor.place_3
    away_T, radius = np.linalg.norm(from_sensor_T3, axis=1), ellipsoid.radius_m
    off_axis_T = np.arccos(np.clip(from_sensor_T3 @ sensor.axis_3 / away_T, -1, 1))
    seen_size_T = np.where(away_T > radius, np.arcsin(np.minimum(radius / away_T, 1)), np.pi)
    is_seen_T = off_axis_T < _HALF_FIELD + seen_size_T
    near_idx = np.flatnonzero((away_T < REACH_M + radius) & is_seen_T)
    for start in range(0, len(near_idx), _BLOCK_ROWS):
        idx_R = near_idx[start : start + _BLOCK_ROWS]
        shape_R33, centre_R3 = ellipsoid.shape_T33[idx_R], from_sensor_T3[idx_R]
        met_RP = _distances(shape_R33, centre_R3, sensor.rays_P3)
        before_RP, warmth_RP = distance_TP[idx_R], warmth_TP[idx_R]
        is_first_RP = met_RP < before_RP
        np.copyto(before_RP, met_RP, where=is_first_RP)
        np.copyto(warmth_RP, np.float32(ellipsoid.warmth_c), where=is_first_RP)
        distance_TP[idx_R], warmth_TP[idx_R] = before_RP, warmth_RP


def _distances(shape_R33: Floats, centre_R3: Floats, rays_P3: Floats) -> Range:
    """Return the distance of the ellipsoid along each ray: inf if missed, 0 from inside, (R, P)."""
    across_R3 = np.einsum("rij,rj->ri", shape_R33, centre_R3)
    outside_R = np.einsum("ri,ri->r", across_R3, centre_R3) - 1
    x_P, y_P, z_P = rays_P3.T
    squares_6P = np.stack(
        [x_P * x_P, y_P * y_P, z_P * z_P, 2 * x_P * y_P, 2 * x_P * z_P, 2 * y_P * z_P]
    )
    parts_R6 = shape_R33[:, (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    a_RP = (parts_R6 @ squares_6P).astype(np.float32)
    b_RP = (across_R3 @ rays_P3.T).astype(np.float32)
    under_root_RP = b_RP * b_RP - a_RP * outside_R[:, None].astype(np.float32)
    is_met_RP = (under_root_RP > 0) & (b_RP > 0)
    root_RP = np.sqrt(np.maximum(under_root_RP, 0))
    met_RP = np.where(is_met_RP, (b_RP - root_RP) / a_RP, np.float32(np.inf))
    met_RP[outside_R <= 0] = 0
    return met_RP.astype(np.float32, copy=False)
