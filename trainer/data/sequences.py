"""Sequences: flat float32 arrays plus offsets, and the label table.

In: nothing but arrays. Out: ``Sequences``, the one form in which recordings travel between rooms.

Shapes: N sequences, T time steps of all sequences one after the other, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.simulation_mark import has_mark

SENSOR_GROUPS = ("acc", "rot", "thm", "tof")

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class LabelTable:
    """The gestures in class order: targets first, alphabetical, then non-targets, alphabetical.

    Attributes:
        gestures: K names; the position is the class index.
        num_targets: How many of the first gestures are targets.
    """

    gestures: tuple[str, ...]
    num_targets: int

    @property
    def num_classes(self) -> int:
        """Return K."""
        return len(self.gestures)


@dataclass(frozen=True)
class Annotations:
    """Annotations of people beside the gesture: never an input, at most a target.

    Attributes:
        phase_T: (T,) int8, 0 transition, 1 gesture, -1 unknown; or None.
        posture_N: (N,) unicode, the body's posture, "" unknown; or None.
    """

    phase_T: NDArray[np.int8] | None = None
    posture_N: NDArray[np.str_] | None = None


NO_ANNOTATIONS = Annotations()


@dataclass(frozen=True)
class Catalogue:
    """Everything about recordings but the sensor values; it always fits in memory.

    Attributes:
        sequence_ids: (N,) unicode.
        offsets: (N + 1,) int64, first 0, last T.
        subjects: (N,) unicode, or None where there is no such column.
        label_idx: (N,) int64 class indices, or None where they are unlabelled.
        labels: The label table, or None where they are unlabelled.
        groups: The sensor groups that at least one sequence has, in SENSOR_GROUPS order.
        is_simulated: Whether at least one sequence carries the mark of the simulated ones.
        annotations: Annotations of people beside the gesture.
    """

    sequence_ids: NDArray[np.str_]
    offsets: IntArray
    subjects: NDArray[np.str_] | None
    label_idx: IntArray | None
    labels: LabelTable | None
    groups: tuple[str, ...]
    is_simulated: bool
    annotations: Annotations

    @property
    def num_sequences(self) -> int:
        """Return N."""
        return len(self.sequence_ids)

    @property
    def num_rows(self) -> int:
        """Return T."""
        return int(self.offsets[-1])

    @property
    def lengths_N(self) -> IntArray:
        """Return the number of time steps of each sequence, (N,) int64."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Sequences:
    """Recordings as flat arrays: sequence n is rows ``offsets[n]:offsets[n + 1]``.

    Missing values are NaN. A sensor group that no sequence has is None, so a column that is
    absent and a column that is present but wholly null are the same.

    Attributes:
        sequence_ids: (N,) unicode, in order of first appearance in the table.
        offsets: (N + 1,) int64, first 0, last T.
        acc_T3: (T, 3) float32, m/s2, gravity included, x y z.
        rot_T4: (T, 4) float32, quaternion, w x y z, or None.
        thm_T5: (T, 5) float32, degrees Celsius, or None.
        tof_T320: (T, 320) float32, 5 sensors of 8 x 8 pixels, row-major; -1 is "nothing in
            range" and not missing; or None.
        subjects: (N,) unicode, or None where the table has no subject column.
        right_handed_N: (N,) float32, 1 right, 0 left, NaN unknown.
        label_idx: (N,) int64 class indices, or None where the table is unlabelled.
        labels: The label table, or None where the table is unlabelled.
        phase_T: (T,) int8, 0 transition, 1 gesture, -1 unknown; shown to people, never an input;
            or None.
        posture_N: (N,) unicode, posture of the body (the column ``orientation``), "" unknown;
            never an input; or None.
        turned_N: (N,) bool, whose device orientation is corrected by 180 degrees about z before a
            prediction (``trainer.data.orientation_detector``); or None where that is undecided.
    """

    sequence_ids: NDArray[np.str_]
    offsets: IntArray
    acc_T3: FloatArray
    rot_T4: FloatArray | None
    thm_T5: FloatArray | None
    tof_T320: FloatArray | None
    subjects: NDArray[np.str_] | None
    right_handed_N: FloatArray
    label_idx: IntArray | None
    labels: LabelTable | None
    phase_T: NDArray[np.int8] | None
    posture_N: NDArray[np.str_] | None = None
    turned_N: NDArray[np.bool_] | None = None

    @property
    def num_sequences(self) -> int:
        """Return N."""
        return len(self.sequence_ids)

    @property
    def lengths_N(self) -> IntArray:
        """Return the number of time steps of each sequence, (N,) int64."""
        return np.diff(self.offsets)

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups that at least one sequence has, in SENSOR_GROUPS order."""
        return tuple(self.arrays)

    @property
    def catalogue(self) -> Catalogue:
        """Return everything but the sensor values."""
        return Catalogue(
            self.sequence_ids,
            self.offsets,
            self.subjects,
            self.label_idx,
            self.labels,
            self.groups,
            has_mark(self.acc_T3, self.offsets),
            self.annotations,
        )

    @property
    def annotations(self) -> Annotations:
        """Return the annotations of people beside the gesture."""
        return Annotations(self.phase_T, self.posture_N)

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """Return the values of each sensor group that is not None, (T, C) by group name."""
        arrays = (self.acc_T3, self.rot_T4, self.thm_T5, self.tof_T320)
        pairs = zip(SENSOR_GROUPS, arrays, strict=True)
        return {group: array for group, array in pairs if array is not None}

    def presence(self) -> dict[str, NDArray[np.bool_]]:
        """Return which sequences have any value of each group in ``arrays``, (N,) by group name."""
        return {
            group: np.logical_or.reduceat(~np.isnan(array).all(axis=1), self.offsets[:-1])
            for group, array in self.arrays.items()
        }

    def select(self, sequence_idx: IntArray) -> Sequences:
        """Return the given sequences, in the given order.

        Args:
            sequence_idx: (M,) int64 positions in 0..N-1.
        """
        lengths = self.lengths_N[sequence_idx]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = self.offsets[:-1][sequence_idx]
        row_idx = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)

        def rows(array_TC: FloatArray | None) -> FloatArray | None:
            return None if array_TC is None else array_TC[row_idx]

        return Sequences(
            sequence_ids=self.sequence_ids[sequence_idx],
            offsets=offsets,
            acc_T3=self.acc_T3[row_idx],
            rot_T4=rows(self.rot_T4),
            thm_T5=rows(self.thm_T5),
            tof_T320=rows(self.tof_T320),
            subjects=None if self.subjects is None else self.subjects[sequence_idx],
            right_handed_N=self.right_handed_N[sequence_idx],
            label_idx=None if self.label_idx is None else self.label_idx[sequence_idx],
            labels=self.labels,
            phase_T=None if self.phase_T is None else self.phase_T[row_idx],
            posture_N=None if self.posture_N is None else self.posture_N[sequence_idx],
            turned_N=None if self.turned_N is None else self.turned_N[sequence_idx],
        )

    def keep_steps(self, keep_mask: NDArray[np.bool_]) -> Sequences:
        """Return the sequences without some of their time steps.

        Args:
            keep_mask: (T,) bool, True for at least one step of every sequence.
        """
        lengths_N = np.add.reduceat(keep_mask, self.offsets[:-1], dtype=np.int64)

        def kept(array_TC: FloatArray | None) -> FloatArray | None:
            return None if array_TC is None else array_TC[keep_mask]

        return dataclasses.replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int64),
            acc_T3=self.acc_T3[keep_mask],
            rot_T4=kept(self.rot_T4),
            thm_T5=kept(self.thm_T5),
            tof_T320=kept(self.tof_T320),
            phase_T=None if self.phase_T is None else self.phase_T[keep_mask],
        )

    def without(self, groups: Collection[str]) -> Sequences:
        """Return the sequences without the given sensor groups.

        Args:
            groups: Any of "rot", "thm", "tof"; the acceleration cannot be left out.
        """
        return dataclasses.replace(
            self,
            rot_T4=None if "rot" in groups else self.rot_T4,
            thm_T5=None if "thm" in groups else self.thm_T5,
            tof_T320=None if "tof" in groups else self.tof_T320,
        )
