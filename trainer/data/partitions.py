"""Recordings in parts: a folder of Parquet files, read one at a time, so that one fits in memory.

In: such a folder. Out: the ``Sequences`` of each part, and a survey of them all.

A part has whole sequences, best all those of a subject; parts are read in the order of their
paths. In a folder named ``subject=NAME`` the column ``subject`` may be left out of its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.columns import text_column
from trainer.data.device_orientation import Vectors, wrist_poses
from trainer.data.files import read_table
from trainer.data.orientation_detector import odd_features
from trainer.data.raw_table import sequences_from_table
from trainer.data.schema import DataError
from trainer.data.sequences import (
    SENSOR_GROUPS,
    Annotations,
    Catalogue,
    IntArray,
    LabelTable,
    Sequences,
)

DEMOGRAPHICS = ("train_demographics", "demographics")
_HIVE = "subject="
_BYTES_PER_VALUE = 16  # a column as it is read, and its copy in one table


@dataclass(frozen=True)
class Partitions:
    """The parts of one folder.

    Attributes:
        folder: The folder that contains them, also in subfolders.
        paths: The parts, in order.
        demographics: ``subject`` and ``handedness``, or None.
    """

    folder: Path
    paths: tuple[Path, ...]
    demographics: pl.DataFrame | None

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.paths)

    def __iter__(self) -> Iterator[Sequences]:
        """Yield the recordings of each part, one part in memory at a time."""
        return (self.read(number) for number in range(len(self)))

    def read(self, number: int) -> Sequences:
        """Return the recordings of one part, labelled by its own gestures.

        Raises:
            DataError: They cannot be used; the message names the file.
        """
        try:
            return sequences_from_table(self._table(number), self.demographics)
        except DataError as error:
            raise DataError(f"Part {self.name(number)!r}: {error}") from error

    def read_whole(self) -> Sequences:
        """Return the recordings of all parts at once, as if they stood in one file.

        Raises:
            DataError: They cannot be used, or would not fit in the memory that is free.
        """
        self._refuse_what_does_not_fit()
        tables = [self._table(number) for number in range(len(self))]
        try:
            table = pl.concat(tables, how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"Folder {str(self.folder)!r}: its parts have columns of different types "
                f"({error}). Write them with the same types."
            ) from error
        return sequences_from_table(table, self.demographics)

    def alone(self, number: int, subjects: Collection[str]) -> Partitions:
        """Return one part by itself, small enough to be sent with every task.

        Args:
            number: The part.
            subjects: Of the part; demographics of others are left out.
        """
        people = self.demographics
        if people is not None:
            people = people.filter(text_column(people, "subject").is_in(sorted(subjects)))
        return Partitions(self.folder, (self.paths[number],), people)

    def name(self, number: int) -> str:
        """Return a part's path in the folder."""
        return self.paths[number].relative_to(self.folder).as_posix()

    def _refuse_what_does_not_fit(self) -> None:
        import psutil

        needed = 0
        for path in self.paths:
            scan = pl.scan_parquet(path, glob=False)
            num_rows = scan.select(pl.len()).collect().item()
            needed += num_rows * len(scan.collect_schema()) * _BYTES_PER_VALUE
        free = psutil.virtual_memory().available
        if needed > free:
            raise DataError(
                f"Folder {str(self.folder)!r}: its {len(self)} parts need about "
                f"{needed / 1e9:.1f} GB of memory at once, {free / 1e9:.1f} GB are free. Training "
                "works through them one at a time; to look at single recordings, name one part."
            )

    def _table(self, number: int) -> pl.DataFrame:
        path = self.paths[number]
        table = read_table(path)
        if "subject" not in table.columns and path.parent.name.startswith(_HIVE):
            subject = path.parent.name.removeprefix(_HIVE)
            table = table.with_columns(pl.lit(subject).alias("subject"))
        return table


@dataclass(frozen=True)
class Survey:
    """The result of reading every part once.

    Attributes:
        catalogue: Of all recordings, in the order of the parts.
        fingerprint: SHA-256 of all content, 64 hexadecimal digits.
        part_fingerprints: The same of each part.
        first_sequence: (parts + 1,) position of each part's first sequence, then N.
        poses_N3: (N, 3) the pose of the wrist (``trainer.data.device_orientation``).
        orientation_NF: (N, F) features of ``trainer.data.orientation_detector``, as recorded.
    """

    catalogue: Catalogue
    fingerprint: str
    part_fingerprints: tuple[str, ...]
    first_sequence: tuple[int, ...]
    poses_N3: Vectors
    orientation_NF: Vectors


def find_partitions(folder: Path) -> Partitions | None:
    """Return the parts of a folder; None where the demographics are its only Parquet file.

    Args:
        folder: Searched with its immediate subfolders.

    Raises:
        DataError: The demographics cannot be read.
    """
    found = [*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]
    paths = sorted(path for path in found if path.stem not in DEMOGRAPHICS)
    if not paths:
        return None
    names = (folder / f"{stem}.{kind}" for stem in DEMOGRAPHICS for kind in ("parquet", "csv"))
    demographics = next((path for path in names if path.is_file()), None)
    return Partitions(
        folder, tuple(paths), None if demographics is None else read_table(demographics)
    )


def survey(parts: Partitions, fingerprint_of: Callable[[Sequences], str]) -> Survey:
    """Read every part once, one in memory at a time.

    Args:
        parts: The parts.
        fingerprint_of: Returns the SHA-256 of a part's content.

    Raises:
        DataError: A part cannot be used, or two contradict each other.
    """
    catalogues: list[Catalogue] = []
    fingerprints: list[str] = []
    poses: list[Vectors] = []
    orientation: list[Vectors] = []
    for sequences in parts:
        catalogues.append(sequences.catalogue)
        fingerprints.append(fingerprint_of(sequences))
        poses.append(wrist_poses(sequences))
        orientation.append(odd_features(sequences))
    _refuse_doubled(parts, catalogues)
    labels = _join_labels(parts, catalogues)
    counts = [part.num_sequences for part in catalogues]
    lengths_N = np.concatenate([part.lengths_N for part in catalogues])
    groups = {group for part in catalogues for group in part.groups}
    whole = Catalogue(
        sequence_ids=np.concatenate([part.sequence_ids for part in catalogues]),
        offsets=np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int64),
        subjects=_join(parts, [part.subjects for part in catalogues], "subject"),
        label_idx=None if labels is None else _relabel(catalogues, labels),
        labels=labels,
        groups=tuple(group for group in SENSOR_GROUPS if group in groups),
        is_simulated=any(part.is_simulated for part in catalogues),
        annotations=_join_annotations(catalogues),
    )
    digest = hashlib.sha256("".join(fingerprints).encode())
    first_sequence = (0, *np.cumsum(counts).tolist())
    return Survey(
        whole,
        digest.hexdigest(),
        tuple(fingerprints),
        first_sequence,
        np.concatenate(poses),
        np.concatenate(orientation),
    )


def _refuse_doubled(parts: Partitions, catalogues: list[Catalogue]) -> None:
    seen: dict[str, int] = {}
    for number, part in enumerate(catalogues):
        for sequence_id in part.sequence_ids.tolist():
            first = seen.setdefault(sequence_id, number)
            if first != number:
                raise DataError(
                    f"Sequence {sequence_id!r} is in {parts.name(first)!r} and in "
                    f"{parts.name(number)!r}: expected all its rows in one part. Write the parts "
                    "by subject, or give the sequences different ids."
                )


def _join_labels(parts: Partitions, catalogues: list[Catalogue]) -> LabelTable | None:
    """Return the gestures of all parts; a gesture is a target in all of them or in none."""
    tables = [part.labels for part in catalogues]
    known = [table for table in tables if table is not None]
    if not known:
        return None
    if len(known) < len(tables):
        raise DataError(
            f"Part {parts.name(tables.index(None))!r} has no gestures, others have: expected all "
            "labelled or none. Leave it out, or label it."
        )
    targets = {name for table in known for name in table.gestures[: table.num_targets]}
    others = {name for table in known for name in table.gestures[table.num_targets :]}
    if targets & others:
        raise DataError(
            f"Gesture {min(targets & others)!r}: sequence_type is 'Target' in some parts and "
            "'Non-Target' in others; expected one of them. Correct the sequence_type."
        )
    return LabelTable((*sorted(targets), *sorted(others)), num_targets=len(targets))


def _relabel(catalogues: list[Catalogue], labels: LabelTable) -> IntArray:
    """Return (N,) class indices in the label table of all parts."""
    position = {gesture: place for place, gesture in enumerate(labels.gestures)}
    joined = []
    for part in catalogues:
        assert part.labels is not None and part.label_idx is not None  # _join_labels refuses
        place_P = np.array([position[gesture] for gesture in part.labels.gestures])
        joined.append(place_P[part.label_idx])
    return np.concatenate(joined).astype(np.int64)


def _join_annotations(catalogues: list[Catalogue]) -> Annotations:
    """Return the annotations of all parts; those of a part that has none are unknown."""
    phases, postures = [], []
    for part in catalogues:
        phase_T, posture_N = part.annotations.phase_T, part.annotations.posture_N
        phases.append(np.full(part.num_rows, -1, np.int8) if phase_T is None else phase_T)
        postures.append(np.full(part.num_sequences, "") if posture_N is None else posture_N)
    phase_T, posture_N = np.concatenate(phases), np.concatenate(postures)
    return Annotations(
        phase_T if (phase_T >= 0).any() else None, posture_N if (posture_N != "").any() else None
    )


def _join(
    parts: Partitions, columns: list[NDArray[np.str_] | None], name: str
) -> NDArray[np.str_] | None:
    known = [column for column in columns if column is not None]
    if not known:
        return None
    if len(known) < len(columns):
        lacking = next(number for number, column in enumerate(columns) if column is None)
        raise DataError(
            f"Part {parts.name(lacking)!r} has no column {name!r}, others have. Add it."
        )
    return np.concatenate(known)
