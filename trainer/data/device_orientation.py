"""Wearing: whose device is worn turned by half a turn, and turning what it recorded back.

In: ``Sequences``. Out: subjects; ``Sequences`` as if their device had been worn like the others'.

How it is decided: for each subject the mean acceleration, as a part of 9.81 m/s2, says how the
wrist was held. It is compared with the median over all other subjects, as recorded and as if the
device had been turned by 180 degrees about x, y or z. Where a turn brings a subject clearly nearer
to the others (LOOKS_REVERSED), the device looks reversed. Left-handers are mirrored first, as for
the models.

Shapes: N sequences, T time steps, S subjects, K gestures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import measures
from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.schema import NUM_TOF, TOF_SIDE
from trainer.data.sequences import Sequences

Means = NDArray[np.float64]

ORIENTATION_VERSION = 1  # raise it whenever other subjects would be turned back
MIN_SUBJECTS = 4  # with fewer, nobody knows who is the odd one out
MIN_SEQUENCES = 10  # of a subject who is turned back: a mean over fewer says little
LOOKS_REVERSED = 0.8  # of the distance as recorded: the turned one is clearly nearer
MIN_DISTANCE = 0.3  # of gravity: nearer than that, a subject is held like the others anyway
_MIRROR = np.array([-1.0, 1.0, 1.0])  # a left wrist as a right one (trainer.data.preprocess)

# Half a turn about z: what was at +x is at -x, so sensors 2 and 4, 3 and 5 change places, each
# image upside down. The competition's reversed devices are turned so (competition.md 3.1).
_TURN_ACC = measures.TURNS["z"].astype(np.float32)
_TURN_SENSORS = [0, 3, 4, 1, 2]


@dataclass(frozen=True)
class Worn:
    """How a subject's device is worn, beside those of all others.

    Attributes:
        distance: As recorded, to the others: root mean square over gestures, parts of gravity; NaN
            where no gesture was made by anybody else.
        best_axis: "x", "y" or "z": half a turn about it comes nearest to the others.
        turned_distance: After that turn.
    """

    distance: float
    best_axis: str
    turned_distance: float

    @property
    def is_odd(self) -> bool:
        """Return whether a turn would bring it nearer to the others at all."""
        return self.distance > MIN_DISTANCE and self.turned_distance < self.distance

    @property
    def looks_reversed(self) -> bool:
        """Return whether a turn brings it clearly nearer."""
        return self.is_odd and self.turned_distance < LOOKS_REVERSED * self.distance


def find_reversed(sequences: Sequences) -> tuple[str, ...]:
    """Return the subjects whose device looks worn half a turn about z from the others'.

    Args:
        sequences: Of all subjects.
    """
    return find_reversed_by(sequences.subjects, held(sequences))


def find_reversed_by(subjects: NDArray[np.str_] | None, held_N3: Means) -> tuple[str, ...]:
    """Return the same by how the wrist was held; the recordings need not be in memory at once.

    Gestures are not looked at, so nothing is learnt from labels, of a validation part or other.

    Args:
        subjects: (N,) of all sequences, or None.
        held_N3: As ``held`` gives it.
    """
    if subjects is None:
        return ()
    names, subject_idx, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if len(names) < MIN_SUBJECTS:
        return ()
    means_SK3 = held_by_subject(held_N3, subject_idx, len(names))
    worn = [derive_state(means_SK3, subject) for subject in range(len(names))]
    return tuple(
        str(name)
        for name, count, one in zip(names, counts, worn, strict=True)
        if count >= MIN_SEQUENCES and one.looks_reversed and one.best_axis == "z"
    )


def correct_orientation(
    sequences: Sequences, subjects: Collection[str], in_place: bool = False
) -> Sequences:
    """Return the recordings as these subjects' devices would have made them, turned half about z.

    Args:
        sequences: The recordings; not changed, unless in place.
        subjects: Whose to turn; others' values are passed on as they are.
        in_place: Whether the arrays are the caller's to change: a copy of the images of 81 people
            takes 1.5 s.
    """
    if not subjects or sequences.subjects is None:
        return sequences
    turned_N = np.isin(sequences.subjects, list(subjects))
    if not turned_N.any():
        return sequences
    turned_T = np.repeat(turned_N, sequences.lengths_N)
    turned = sequences if in_place else _with_own_arrays(sequences)
    turned.acc_T3[turned_T] *= _TURN_ACC
    if turned.rot_T4 is not None:  # multiplied by the quaternion k from the right
        w_T, x_T, y_T, z_T = turned.rot_T4[turned_T].T
        turned.rot_T4[turned_T] = np.stack([-z_T, y_T, -x_T, w_T], axis=1)
    if turned.thm_T5 is not None:
        turned.thm_T5[turned_T] = turned.thm_T5[turned_T][:, _TURN_SENSORS]
    if turned.tof_T320 is not None:
        pixels = np.arange(turned.tof_T320.shape[1]).reshape(NUM_TOF, TOF_SIDE, TOF_SIDE)
        source_320 = pixels[_TURN_SENSORS, ::-1, ::-1].ravel()
        turned.tof_T320[turned_T] = turned.tof_T320[turned_T][:, source_320]
    return turned


def held(sequences: Sequences) -> Means:
    """Return how a right wrist would have been held: mean acceleration (N, 3), parts of gravity."""
    mean_N3 = measures.mean_acceleration(sequences) / GRAVITY_MPS2
    mean_N3[sequences.right_handed_N == 0] *= _MIRROR
    return mean_N3


def held_by_subject(
    held_N3: Means,
    subject_idx: NDArray[np.int64],
    num_subjects: int,
    label_idx: NDArray[np.int64] | None = None,
) -> Means:
    """Return how each subject held the wrist in each gesture, (S, K, 3), NaN without any.

    Args:
        held_N3: As ``held`` gives it.
        subject_idx: (N,) which of the subjects.
        num_subjects: S.
        label_idx: (N,) which gesture; None: all are one, K is 1.
    """
    if label_idx is None:
        label_idx = np.zeros(len(held_N3), dtype=np.int64)
    num_gestures = int(label_idx.max()) + 1
    total_SK3 = np.zeros((num_subjects, num_gestures, 3))
    count_SK = np.zeros((num_subjects, num_gestures))
    known_N = ~np.isnan(held_N3).any(axis=1)
    places = (subject_idx[known_N], label_idx[known_N])
    np.add.at(total_SK3, places, held_N3[known_N])
    np.add.at(count_SK, places, 1)
    empty = np.full_like(total_SK3, np.nan)
    return np.divide(total_SK3, count_SK[..., None], out=empty, where=count_SK[..., None] > 0)


def derive_state(means_SK3: Means, subject: int) -> Worn:
    """Return how a subject's device is worn.

    Args:
        means_SK3: Of all subjects and gestures, as ``held_by_subject`` gives them.
        subject: Position of the subject.
    """
    own_K3 = means_SK3[subject]
    others_SK3 = np.delete(means_SK3, subject, axis=0)
    both_K = ~np.isnan(own_K3[:, 0]) & ~np.isnan(others_SK3[..., 0]).all(axis=0)
    if not both_K.any():  # a gesture that nobody else made
        return Worn(np.nan, "z", np.nan)
    own_K3 = own_K3[both_K]
    others_K3 = np.nanmedian(others_SK3[:, both_K], axis=0)
    turned = {axis: _distance(own_K3 * turn, others_K3) for axis, turn in measures.TURNS.items()}
    best = min(turned, key=lambda axis: turned[axis])
    return Worn(_distance(own_K3, others_K3), best, turned[best])


def _distance(own_K3: Means, others_K3: Means) -> float:
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
