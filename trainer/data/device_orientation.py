"""Device orientation: whose device is rotated by 180 degrees, and the correction of its recordings.

In: ``Sequences``. Out: subjects; ``Sequences`` as a device in the usual orientation records them.

How it is decided: for each subject the mean acceleration, as a part of 9.81 m/s2, shows the pose of
the wrist. It is compared with the median over all other subjects, as recorded and as if the device
were rotated by 180 degrees about x, y or z. Where a rotation brings a subject clearly nearer to the
others (LOOKS_REVERSED), the device looks reversed. Left-handers are mirrored first, as for the
models.

Shapes: N sequences, T time steps, S subjects, K gestures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.schema import NUM_TOF, TOF_SIDE
from trainer.data.sequences import FloatArray, Sequences

Vectors = NDArray[np.float64]

ORIENTATION_VERSION = 1  # raise it whenever the recordings of other subjects would be corrected
HALF_TURNS = {  # rotations of the device by 180 degrees about one axis
    "x": np.array([1.0, -1.0, -1.0]),
    "y": np.array([-1.0, 1.0, -1.0]),
    "z": np.array([-1.0, -1.0, 1.0]),
}
MIN_SUBJECTS = 4  # with fewer, the usual orientation is not known
MIN_SEQUENCES = 10  # of a subject that is corrected: a mean over fewer is too uncertain
LOOKS_REVERSED = 0.8  # of the distance as recorded: after the rotation it is clearly nearer
MIN_DISTANCE = 0.3  # of gravity: nearer than that, the pose is like the others' anyway
_MIRROR = np.array([-1.0, 1.0, 1.0])  # a left wrist as a right one (trainer.data.preprocess)

# Rotation about z: what was at +x is at -x, so sensors 2 and 4, 3 and 5 change places, each image
# upside down. The competition's reversed devices are rotated so (competition.md 3.1).
_ROTATION_ACC = HALF_TURNS["z"].astype(np.float32)
_ROTATED_SENSORS = [0, 3, 4, 1, 2]


@dataclass(frozen=True)
class DeviceOrientation:
    """The pose of one subject, compared with that of all others.

    Attributes:
        distance: As recorded, to the others: root mean square over gestures, parts of gravity; NaN
            where no other subject made any of the gestures.
        best_axis: "x", "y" or "z": a rotation by 180 degrees about it comes nearest to the others.
        rotated_distance: After that rotation.
    """

    distance: float
    best_axis: str
    rotated_distance: float

    @property
    def is_odd(self) -> bool:
        """Return whether a rotation brings it nearer to the others at all."""
        return self.distance > MIN_DISTANCE and self.rotated_distance < self.distance

    @property
    def looks_reversed(self) -> bool:
        """Return whether a rotation brings it clearly nearer."""
        return self.is_odd and self.rotated_distance < LOOKS_REVERSED * self.distance


def find_reversed(sequences: Sequences) -> tuple[str, ...]:
    """Return the subjects whose device looks rotated by 180 degrees about z from the others'.

    Args:
        sequences: Of all subjects.
    """
    return find_reversed_by(sequences.subjects, wrist_poses(sequences))


def find_reversed_by(subjects: NDArray[np.str_] | None, poses_N3: Vectors) -> tuple[str, ...]:
    """Return the same from the poses alone; the recordings need not be in memory at once.

    Gestures are not used, so that no label of a validation part has an influence.

    Args:
        subjects: (N,) of all sequences, or None.
        poses_N3: From ``wrist_poses``.
    """
    if subjects is None:
        return ()
    names, subject_idx, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if len(names) < MIN_SUBJECTS:
        return ()
    poses_SK3 = poses_by_subject(poses_N3, subject_idx, len(names))
    found = [compare_with_others(poses_SK3, subject) for subject in range(len(names))]
    return tuple(
        str(name)
        for name, count, one in zip(names, counts, found, strict=True)
        if count >= MIN_SEQUENCES and one.looks_reversed and one.best_axis == "z"
    )


def correct_orientation(
    sequences: Sequences, subjects: Collection[str], in_place: bool = False
) -> Sequences:
    """Return the recordings with the devices of these subjects rotated by 180 degrees about z.

    Args:
        sequences: The recordings; not changed, unless in place.
        subjects: Whose recordings to correct; those of others are returned as they are.
        in_place: Whether the arrays are the caller's to change: a copy of the images of 81 people
            takes 1.5 s.
    """
    if not subjects or sequences.subjects is None:
        return sequences
    return rotate(sequences, np.isin(sequences.subjects, list(subjects)), in_place)


def rotate(
    sequences: Sequences, rotated_N: NDArray[np.bool_] | None, in_place: bool = False
) -> Sequences:
    """Return the recordings with these devices rotated by 180 degrees about z.

    Args:
        sequences: As for ``correct_orientation``.
        rotated_N: (N,) which of them; None: none.
        in_place: As for ``correct_orientation``.
    """
    if rotated_N is None or not rotated_N.any():
        return sequences
    rows_T = np.repeat(rotated_N, sequences.lengths_N)
    corrected = sequences if in_place else _with_own_arrays(sequences)
    corrected.acc_T3[rows_T] *= _ROTATION_ACC
    if corrected.rot_T4 is not None:  # multiplied by the quaternion k from the right
        w_T, x_T, y_T, z_T = corrected.rot_T4[rows_T].T
        corrected.rot_T4[rows_T] = np.stack([-z_T, y_T, -x_T, w_T], axis=1)
    if corrected.thm_T5 is not None:
        corrected.thm_T5[rows_T] = corrected.thm_T5[rows_T][:, _ROTATED_SENSORS]
    if corrected.tof_T320 is not None:
        pixels = np.arange(corrected.tof_T320.shape[1]).reshape(NUM_TOF, TOF_SIDE, TOF_SIDE)
        source_320 = pixels[_ROTATED_SENSORS, ::-1, ::-1].ravel()
        corrected.tof_T320[rows_T] = corrected.tof_T320[rows_T][:, source_320]
    return corrected


def mean_acceleration(sequences: Sequences) -> Vectors:
    """Return the mean acceleration of each sequence over its complete rows, (N, 3), NaN without."""
    return mean_vectors(sequences.acc_T3, sequences.offsets)


def mean_vectors(values_T3: FloatArray, offsets: NDArray[np.int64]) -> Vectors:
    """Return the mean of each sequence over the rows without NaN, (N, 3), NaN without such rows."""
    known_T = np.asarray(~np.isnan(values_T3).any(axis=1))
    known_T3 = np.where(known_T[:, None], values_T3, 0.0)
    sums_N3 = np.add.reduceat(known_T3, offsets[:-1], axis=0, dtype=np.float64)
    counts_N1 = np.add.reduceat(known_T.astype(np.int64), offsets[:-1])[:, None]
    means_N3 = np.full(sums_N3.shape, np.nan)
    np.divide(sums_N3, counts_N1, out=means_N3, where=counts_N1 > 0)
    return means_N3


def wrist_poses(sequences: Sequences) -> Vectors:
    """Return the pose of each wrist, (N, 3), as the mean acceleration in parts of gravity.

    That of a left wrist is mirrored.
    """
    poses_N3 = mean_acceleration(sequences) / GRAVITY_MPS2
    poses_N3[sequences.right_handed_N == 0] *= _MIRROR
    return poses_N3


def poses_by_subject(
    poses_N3: Vectors,
    subject_idx: NDArray[np.int64],
    num_subjects: int,
    label_idx: NDArray[np.int64] | None = None,
) -> Vectors:
    """Return the mean pose of each subject in each gesture, (S, K, 3), NaN without any.

    Args:
        poses_N3: From ``wrist_poses``.
        subject_idx: (N,) position of each sequence's subject.
        num_subjects: S.
        label_idx: (N,) position of each sequence's gesture; None: all are one, K is 1.
    """
    if label_idx is None:
        label_idx = np.zeros(len(poses_N3), dtype=np.int64)
    num_gestures = int(label_idx.max()) + 1
    total_SK3 = np.zeros((num_subjects, num_gestures, 3))
    count_SK = np.zeros((num_subjects, num_gestures))
    known_N = ~np.isnan(poses_N3).any(axis=1)
    places = (subject_idx[known_N], label_idx[known_N])
    np.add.at(total_SK3, places, poses_N3[known_N])
    np.add.at(count_SK, places, 1)
    empty = np.full_like(total_SK3, np.nan)
    return np.divide(total_SK3, count_SK[..., None], out=empty, where=count_SK[..., None] > 0)


def compare_with_others(poses_SK3: Vectors, subject: int) -> DeviceOrientation:
    """Compare the pose of one subject with the median of all others.

    Args:
        poses_SK3: From ``poses_by_subject``.
        subject: Position of the subject.
    """
    own_K3 = poses_SK3[subject]
    others_SK3 = np.delete(poses_SK3, subject, axis=0)
    both_K = ~np.isnan(own_K3[:, 0]) & ~np.isnan(others_SK3[..., 0]).all(axis=0)
    if not both_K.any():
        return DeviceOrientation(np.nan, "z", np.nan)
    own_K3 = own_K3[both_K]
    others_K3 = np.nanmedian(others_SK3[:, both_K], axis=0)
    distances = {axis: _distance(own_K3 * turn, others_K3) for axis, turn in HALF_TURNS.items()}
    best = min(distances, key=lambda axis: distances[axis])
    return DeviceOrientation(_distance(own_K3, others_K3), best, distances[best])


def _distance(own_K3: Vectors, others_K3: Vectors) -> float:
    return float(np.sqrt(((own_K3 - others_K3) ** 2).sum(axis=1).mean()))


def _with_own_arrays(sequences: Sequences) -> Sequences:
    rot_T4, thm_T5, tof_T320 = sequences.rot_T4, sequences.thm_T5, sequences.tof_T320
    return dataclasses.replace(
        sequences,
        acc_T3=sequences.acc_T3.copy(),
        rot_T4=None if rot_T4 is None else rot_T4.copy(),
        thm_T5=None if thm_T5 is None else thm_T5.copy(),
        tof_T320=None if tof_T320 is None else tof_T320.copy(),
    )
