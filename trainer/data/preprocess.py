"""Preprocessing: the input signals of every model, the same for training and for one upload.

In: ``Sequences``. Out: ``Signals``. Sources: ../shared/facts/competition.md, section 3.

Shapes: N sequences, T time steps of all sequences, S motion signals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trainer.data.schema import NUM_TOF, TOF_SIDE
from trainer.data.sequences import FloatArray, IntArray, Sequences
from trainer.data.threads import map_in_threads

# Every motion signal, in order; NaN where it cannot be known (no orientation: only acc_*).
MOTION_SIGNALS = (
    *("acc_x", "acc_y", "acc_z", "acc_norm"),  # m/s2, gravity included
    *("linear_x", "linear_y", "linear_z", "linear_norm"),  # m/s2, gravity removed, sensor axes
    *("gravity_x", "gravity_y", "gravity_z"),  # unit vector, sensor axes: the pose, heading-free
    *("omega_x", "omega_y", "omega_z", "omega_norm"),  # rad per step, sensor axes
    *("vertical", "horizontal_norm"),  # m/s2, linear acceleration along and across gravity
    *("rot_w", "rot_x", "rot_y", "rot_z"),  # unit quaternion, sign continuous along a sequence
)

GRAVITY_MPS2 = np.float32(9.81)
MIN_QUATERNION_NORM = 0.5  # a shorter one is a sensor without a reading (issue 2, point 2)

# What a mirror through the sensor's y-z plane does to a left wrist. Source: the competition's
# 10th place (competition.md 3.2).
_MIRROR_ACC = np.array([-1, 1, 1], dtype=np.float32)
_MIRROR_ROT = np.array([1, 1, -1, -1], dtype=np.float32)
_NUM_PIXELS = TOF_SIDE**2
_MIRROR_SENSORS = [0, 1, 4, 3, 2]  # thermopiles and images 3 and 5 change places
_PIECE_STEPS = 32_768  # of motion computed at once: an array of them fits the processor's cache
_BLOCK_ROWS = 1024  # the images of one sensor fit the processor's cache while they are turned


@dataclass(frozen=True)
class Signals:
    """Preprocessed recordings; sequence n is rows ``offsets[n]:offsets[n + 1]``.

    Attributes:
        offsets: (N + 1,) int64.
        motion_TS: (T, S) float32, columns MOTION_SIGNALS, NaN missing.
        thm_T5: (T, 5) float32, degrees Celsius, NaN missing, left-handers mirrored; or None.
        tof_T320: (T, 320) float32, -1 "nothing in range", NaN missing, or None; as recorded:
            ``sensor_pixels`` mirrors left-handers, so that most of all memory is not copied.
        left_T: (T,) bool, True where images are to be mirrored; or None, nowhere.
    """

    offsets: IntArray
    motion_TS: FloatArray
    thm_T5: FloatArray | None
    tof_T320: FloatArray | None
    left_T: NDArray[np.bool_] | None = None

    def stretch(self, first: int, stop: int) -> Signals:
        """Return sequences ``first`` to ``stop``, the last left out, without a copy."""
        steps = slice(int(self.offsets[first]), int(self.offsets[stop]))
        return Signals(
            offsets=self.offsets[first : stop + 1] - self.offsets[first],
            motion_TS=self.motion_TS[steps],
            thm_T5=None if self.thm_T5 is None else self.thm_T5[steps],
            tof_T320=None if self.tof_T320 is None else self.tof_T320[steps],
            left_T=None if self.left_T is None else self.left_T[steps],
        )

    def sensor_pixels(self, sensor_idx: int) -> FloatArray:
        """Return a copy of one time-of-flight sensor's images, left-handers mirrored.

        Args:
            sensor_idx: 0 for ``tof_1``; the signals have images.

        Returns:
            (64, T) float32, pixel by pixel, contiguous.
        """
        assert self.tof_T320 is not None
        plain = slice(sensor_idx * _NUM_PIXELS, (sensor_idx + 1) * _NUM_PIXELS)
        other_64 = _mirrored_pixels()[plain]
        pixels_VT = np.empty((_NUM_PIXELS, len(self.tof_T320)), dtype=np.float32)
        for start in range(0, pixels_VT.shape[1], _BLOCK_ROWS):
            images_TV = self.tof_T320[start : start + _BLOCK_ROWS]
            pixels_VT[:, start : start + _BLOCK_ROWS] = images_TV[:, plain].T
            if self.left_T is not None:
                left_idx = np.flatnonzero(self.left_T[start : start + _BLOCK_ROWS])
                pixels_VT[:, start + left_idx] = images_TV[left_idx[:, None], other_64].T
        return pixels_VT


def preprocess(sequences: Sequences, mirror_left_handers: bool = True) -> Signals:
    """Return the recordings as input signals of the models.

    A quaternion shorter than 0.5, or with a part missing, is a missing orientation: all signals
    derived from it are NaN. Thermopile values are left as recorded.

    Args:
        sequences: The recordings; they are not changed.
        mirror_left_handers: Whether to make left-handers, where they are known, look like
            right-handers.
    """
    left_T = np.zeros(int(sequences.offsets[-1]), dtype=bool)
    if mirror_left_handers:
        left_T = np.repeat(sequences.right_handed_N == 0, sequences.lengths_N)
    return Signals(
        offsets=sequences.offsets,
        motion_TS=_compute_motion(sequences, left_T),
        thm_T5=_mirror_thm(sequences.thm_T5, left_T),
        tof_T320=sequences.tof_T320,
        left_T=left_T if sequences.tof_T320 is not None and left_T.any() else None,
    )


def example_signals(groups: Collection[str]) -> Signals:
    """Return one step of one sequence with these sensor groups, to derive names from."""

    def example(group: str, num_columns: int) -> FloatArray | None:
        return np.ones((1, num_columns), dtype=np.float32) if group in groups else None

    return preprocess(
        Sequences(
            sequence_ids=np.array(["example"]),
            offsets=np.array([0, 1]),
            acc_T3=np.ones((1, 3), dtype=np.float32),
            rot_T4=example("rot", 4),
            thm_T5=example("thm", NUM_TOF),
            tof_T320=example("tof", NUM_TOF * TOF_SIDE**2),
            subjects=None,
            right_handed_N=np.ones(1, dtype=np.float32),
            label_idx=None,
            labels=None,
            phase_T=None,
        )
    )


def mirror(sequences: Sequences) -> Sequences:
    """Return the recordings as the same gestures of the other hand.

    Args:
        sequences: The recordings; they are not changed. The result has the same handedness.
    """
    all_T = np.ones(int(sequences.offsets[-1]), dtype=bool)
    rot_T4, tof_T320 = sequences.rot_T4, sequences.tof_T320
    return dataclasses.replace(
        sequences,
        acc_T3=sequences.acc_T3 * _MIRROR_ACC,
        rot_T4=None if rot_T4 is None else rot_T4 * _MIRROR_ROT,
        thm_T5=_mirror_thm(sequences.thm_T5, all_T),
        tof_T320=None if tof_T320 is None else tof_T320[:, _mirrored_pixels()],
    )


def _mirror_thm(thm_T5: FloatArray | None, left_T: NDArray[np.bool_]) -> FloatArray | None:
    if thm_T5 is None or not left_T.any():
        return thm_T5
    return np.where(left_T[:, None], thm_T5[:, _MIRROR_SENSORS], thm_T5)


def _mirrored_pixels() -> IntArray:
    """Return the source of each pixel of a mirrored hand, (320,)."""
    # left-right in all five, as the 10th place; others flip 3 and 5 up-down (competition.md 3.2)
    pixels = np.arange(NUM_TOF * _NUM_PIXELS).reshape(NUM_TOF, TOF_SIDE, TOF_SIDE)
    return pixels[_MIRROR_SENSORS, :, ::-1].ravel()


def _compute_motion(sequences: Sequences, left_T: NDArray[np.bool_]) -> FloatArray:
    """Return the motion signals, (T, S), some sequences at a time, in threads."""
    offsets, rot_T4 = sequences.offsets, sequences.rot_T4
    motion_TS = np.empty((len(left_T), len(MOTION_SIGNALS)), dtype=np.float32)
    cuts = np.searchsorted(offsets, [*range(0, len(left_T), _PIECE_STEPS), len(left_T)])

    def compute(piece: tuple[int, int]) -> None:
        first, stop = piece
        steps = slice(int(offsets[first]), int(offsets[stop]))
        _fill_motion(
            motion_TS[steps],
            offsets[first : stop + 1] - offsets[first],
            sequences.acc_T3[steps],
            None if rot_T4 is None else rot_T4[steps],
            left_T[steps],
        )

    for _ in map_in_threads(compute, list(pairwise(np.unique(cuts).tolist()))):
        pass
    return motion_TS


def _fill_motion(
    motion_TS: FloatArray,
    offsets: IntArray,
    acc_T3: FloatArray,
    rot_T4: FloatArray | None,
    left_T: NDArray[np.bool_],
) -> None:
    acc_T3 = np.where(left_T[:, None], acc_T3 * _MIRROR_ACC, acc_T3)
    motion_TS.fill(np.nan)
    _put(motion_TS, "acc_x", acc_T3)
    _put(motion_TS, "acc_norm", _norm(acc_T3))
    if rot_T4 is None:
        return

    rot_T4 = np.where(left_T[:, None], rot_T4 * _MIRROR_ROT, rot_T4)
    rot_T4 = _make_continuous(_normalise(rot_T4), offsets)
    gravity_T3 = _gravity_direction(rot_T4)
    linear_T3 = acc_T3 - GRAVITY_MPS2 * gravity_T3
    omega_T3 = _angular_velocity(rot_T4, offsets)
    vertical_T = np.einsum("tc,tc->t", linear_T3, gravity_T3)
    _put(motion_TS, "linear_x", linear_T3)
    _put(motion_TS, "linear_norm", _norm(linear_T3))
    _put(motion_TS, "gravity_x", gravity_T3)
    _put(motion_TS, "omega_x", omega_T3)
    _put(motion_TS, "omega_norm", _norm(omega_T3))
    _put(motion_TS, "vertical", vertical_T)
    _put(motion_TS, "horizontal_norm", _norm(linear_T3 - vertical_T[:, None] * gravity_T3))
    _put(motion_TS, "rot_w", rot_T4)


def _put(motion_TS: FloatArray, first: str, values: FloatArray) -> None:
    """Write one or several neighbouring signals, beginning with the named one."""
    start = MOTION_SIGNALS.index(first)
    width = 1 if values.ndim == 1 else values.shape[1]
    motion_TS[:, start : start + width] = values.reshape(len(values), width)


def _norm(vectors_TC: FloatArray) -> FloatArray:
    squares_T: FloatArray = np.einsum("tc,tc->t", vectors_TC, vectors_TC)
    return np.sqrt(squares_T)


def _normalise(rot_T4: FloatArray) -> FloatArray:
    """Return unit quaternions, all four parts NaN where the orientation is missing."""
    norm_T = _norm(rot_T4)
    norm_T[norm_T < MIN_QUATERNION_NORM] = np.nan
    unit_T4: FloatArray = rot_T4 / norm_T[:, None]
    return unit_T4


def _make_continuous(rot_T4: FloatArray, offsets: IntArray) -> FloatArray:
    """Return the same rotations with signs that never jump between neighbours.

    q and -q are one rotation. Each quaternion takes the sign that is nearer to the last known one
    before it in its sequence; the first of a sequence has w >= 0, so that the signs that came in
    do not matter.
    """
    known_idx = np.flatnonzero(~np.isnan(rot_T4[:, 0]))
    if len(known_idx) == 0:
        return rot_T4
    known_K4 = rot_T4[known_idx]
    sequence_K = np.searchsorted(offsets, known_idx, side="right") - 1
    first_K = np.diff(sequence_K, prepend=-1) != 0
    flips_K = np.zeros(len(known_idx), dtype=np.int64)
    flips_K[1:] = np.einsum("tc,tc->t", known_K4[1:], known_K4[:-1]) < 0
    flips_K[first_K] = known_K4[first_K, 0] < 0

    total_K = np.cumsum(flips_K)
    before_first_K = (total_K - flips_K)[first_K][np.cumsum(first_K) - 1]
    is_odd_K = (total_K - before_first_K) % 2 == 1
    rot_T4[known_idx[is_odd_K]] *= -1
    return rot_T4


def _gravity_direction(rot_T4: FloatArray) -> FloatArray:
    """Return R(q)^-1 [0, 0, 1]: where up is, in sensor axes, (T, 3)."""
    w_T, x_T, y_T, z_T = rot_T4.T
    return np.stack(
        [
            2 * (x_T * z_T - w_T * y_T),
            2 * (y_T * z_T + w_T * x_T),
            1 - 2 * (x_T * x_T + y_T * y_T),
        ],
        axis=1,
    )


def _angular_velocity(rot_T4: FloatArray, offsets: IntArray) -> FloatArray:
    """Return the rotation vector from each step to the next, rad, sensor axes, (T, 3).

    The last step of a sequence repeats the one before it; in a sequence of one step nothing turns.
    """
    omega_T3 = np.zeros((len(rot_T4), 3), dtype=np.float32)
    omega_T3[:-1] = _rotation_vector(_relative(rot_T4[:-1], rot_T4[1:]))
    last_idx = offsets[1:] - 1
    is_single_N = np.diff(offsets) == 1
    omega_T3[last_idx] = np.where(is_single_N[:, None], 0, omega_T3[last_idx - 1])
    omega_T3[np.isnan(rot_T4[:, 0])] = np.nan
    return omega_T3


def _relative(from_T4: FloatArray, to_T4: FloatArray) -> FloatArray:
    """Return conj(from) * to: the turn between two orientations, in sensor axes."""
    w1, x1, y1, z1 = from_T4.T
    w2, x2, y2, z2 = to_T4.T
    return np.stack(
        [
            w1 * w2 + x1 * x2 + y1 * y2 + z1 * z2,
            w1 * x2 - x1 * w2 - y1 * z2 + z1 * y2,
            w1 * y2 - y1 * w2 - z1 * x2 + x1 * z2,
            w1 * z2 - z1 * w2 - x1 * y2 + y1 * x2,
        ],
        axis=1,
    )


def _rotation_vector(rot_T4: FloatArray) -> FloatArray:
    """Return axis times angle; the sign of w is taken as it is, not negative for neighbours."""
    sine_T = _norm(rot_T4[:, 1:])  # of half the angle
    angle_T = 2 * np.arctan2(sine_T, rot_T4[:, 0])
    per_sine_T = np.full_like(sine_T, 2)  # the limit for small angles
    np.divide(angle_T, sine_T, out=per_sine_T, where=sine_T > 1e-6)
    vector_T3: FloatArray = rot_T4[:, 1:] * per_sine_T[:, None]
    return vector_T3
