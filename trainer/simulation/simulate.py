"""Simulated recordings in the competition's schema.

In: the number of subjects, and a seed. Out: ``Sequences``, or a folder in the competition's schema.

A person depends on the seed and their own number only: 20 subjects are the first of 81. A score on
these recordings is no estimate of the score on real ones; the acceleration carries a mark by which
they are recognised under any name (``trainer.data.simulation_mark``).

    python -m trainer simulate DIR --subjects 81

Shapes: N recordings of one person, T rows of all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.schema import (
    ACC_COLUMNS,
    PHASES,
    ROT_COLUMNS,
    SEQUENCE_TYPES,
    THM_COLUMNS,
    TOF_COLUMNS,
    DataError,
    list_names,
)
from trainer.data.sequences import IntArray, LabelTable, Sequences
from trainer.simulation.gestures import BEHAVIOURS, DESIGN, GESTURES, PAUSE, PERFORM, POSTURES
from trainer.simulation.people import Person, make_person
from trainer.simulation.sensors import Recording, record
from trainer.simulation.surfaces import Range
from trainer.simulation.trials import Trials, make_trials

NUM_SUBJECTS = 81  # as many as the competition's training data has
SEED = 42
MAX_SUBJECTS = 1000  # nine gigabytes
_LABELS = LabelTable(
    tuple(gesture.name for gesture in GESTURES), sum(gesture.is_target for gesture in GESTURES)
)


def read_num_subjects(source: str) -> int:
    """Return the number of subjects of ``simulated[:SUBJECTS]``.

    Raises:
        DataError: It is not a number from 1 to MAX_SUBJECTS.
    """
    _, colon, text = source.partition(":")
    if not colon:
        return NUM_SUBJECTS
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_SUBJECTS):
        raise DataError(
            f"Source {source[:200]!r}: expected simulated:SUBJECTS with a whole number from 1 to "
            f"{MAX_SUBJECTS}, got {text[:60]!r}. Write simulated:20 for 20 subjects, or "
            f"simulated for {NUM_SUBJECTS}."
        )
    return int(text)


def simulate(num_subjects: int = NUM_SUBJECTS, seed: int = SEED) -> Sequences:
    """Return the recordings of simulated subjects.

    Args:
        num_subjects: At least 1.
        seed: Not negative.
    """
    subjects = [_make_subject(seed, number) for number in range(num_subjects)]
    rows = np.concatenate([trials.rows_N for _, trials in subjects])
    offsets = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    arrays = [np.empty((int(offsets[-1]), width), np.float32) for width in (3, 4, 5, 320)]
    first = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each subject has a random stream of its own
        for recording in pool.map(lambda subject: record(seed, *subject), subjects):
            last = first + len(recording.acc_T3)
            for array, values in zip(arrays, _columns(recording), strict=True):
                array[first:last] = values
            first = last
    subject_of_N = np.repeat(
        np.arange(num_subjects), [len(trials.rows_N) for _, trials in subjects]
    )
    names, hands = zip(
        *((person.name, person.is_right_handed) for person, _ in subjects), strict=True
    )
    return Sequences(
        sequence_ids=np.concatenate([_sequence_ids(*pair) for pair in subjects]),
        offsets=offsets,
        acc_T3=arrays[0],
        rot_T4=arrays[1],
        thm_T5=arrays[2],
        tof_T320=arrays[3],
        subjects=np.array(names)[subject_of_N],
        right_handed_N=np.array(hands, dtype=np.float32)[subject_of_N],
        label_idx=np.concatenate([trials.gesture_N for _, trials in subjects]),
        labels=_LABELS,
        phase_T=np.concatenate([(_part_T(trials) == 2).astype(np.int8) for _, trials in subjects]),
        posture_N=np.array(POSTURES)[np.concatenate([trials.posture_N for _, trials in subjects])],
    )


def write_folder(folder: Path, num_subjects: int = NUM_SUBJECTS, seed: int = SEED) -> int:
    """Write train.csv and train_demographics.csv, subject by subject, and return the rows written.

    A file gets its name once it is complete.

    Args:
        folder: Created if missing; it must be empty.
        num_subjects: At least 1.
        seed: Not negative.

    Raises:
        DataError: The folder is not empty, or cannot be written.
    """
    _require_empty(folder)
    subjects = [_make_subject(seed, number) for number in range(num_subjects)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        people = demographics_table([person for person, _ in subjects])
        _write_csv(folder / "train_demographics.csv", [people])
        _write_csv(
            folder / "train.csv",
            (
                recordings_table(person, trials, record(seed, person, trials))
                for person, trials in subjects
            ),
        )
    except OSError as error:
        raise DataError(
            f"Folder {str(folder)!r} cannot be written: {error.strerror or error}. Free space or "
            "allow writing there, remove the files in it, and simulate again."
        ) from error
    return sum(int(trials.rows_N.sum()) for _, trials in subjects)


def demographics_table(people: list[Person]) -> pl.DataFrame:
    """Return the people in the schema of train_demographics.csv."""
    return pl.DataFrame(
        {
            "subject": [person.name for person in people],
            "adult_child": [int(person.age >= 18) for person in people],
            "age": [person.age for person in people],
            "sex": [int(person.is_male) for person in people],
            "handedness": [int(person.is_right_handed) for person in people],
            "height_cm": [person.height_cm for person in people],
            "shoulder_to_wrist_cm": [person.shoulder_to_wrist_cm for person in people],
            "elbow_to_wrist_cm": [person.elbow_to_wrist_cm for person in people],
        }
    )


def recordings_table(person: Person, trials: Trials, recording: Recording) -> pl.DataFrame:
    """Return one person's recordings in the schema of train.csv."""
    rows_N = trials.rows_N
    counter_T = np.concatenate([np.arange(rows) for rows in rows_N])
    part_T = _part_T(trials)

    def spread(names: list[str]) -> pl.Series:
        return pl.Series(names).gather(np.repeat(np.arange(len(rows_N)), rows_N))

    ids = spread(_sequence_ids(person, trials).tolist())
    behaviours = pl.Series([*BEHAVIOURS, PAUSE, PERFORM])
    lead_T = np.repeat(trials.behaviour_N, rows_N)
    table = pl.DataFrame(
        {
            "row_id": ids + "_" + pl.Series(counter_T).cast(pl.String).str.zfill(6),
            "sequence_type": spread(
                [SEQUENCE_TYPES[int(not GESTURES[k].is_target)] for k in trials.gesture_N]
            ),
            "sequence_id": ids,
            "sequence_counter": counter_T,
            "subject": pl.repeat(person.name, len(counter_T), eager=True),
            "orientation": spread([POSTURES[k] for k in trials.posture_N]),
            "behavior": behaviours.gather(np.where(part_T == 0, lead_T, part_T + 1)),
            "phase": pl.Series(PHASES).gather((part_T == 2).astype(np.int64)),
            "gesture": spread([GESTURES[k].name for k in trials.gesture_N]),
        }
    )
    names = (ACC_COLUMNS, ROT_COLUMNS, THM_COLUMNS, TOF_COLUMNS)
    sensors = [
        pl.from_numpy(values, schema=list(columns)).fill_nan(None)
        for columns, values in zip(names, _columns(recording), strict=True)
    ]
    return pl.concat([table, *sensors], how="horizontal")


def _make_subject(seed: int, number: int) -> tuple[Person, Trials]:
    person = make_person(seed, number)
    return person, make_trials(seed, person)


def _columns(recording: Recording) -> tuple[Range, Range, Range, Range]:
    return recording.acc_T3, recording.rot_T4, recording.thm_T5, recording.tof_T320


def _sequence_ids(person: Person, trials: Trials) -> NDArray[np.str_]:
    """Return ids that are numbered over all persons, with gaps where recordings are missing."""
    first = person.number * len(DESIGN)
    return np.array([f"SEQ_{first + k:06d}" for k in range(len(trials.gesture_N))])


def _part_T(trials: Trials) -> IntArray:
    """Return 0 lead, 1 pause, 2 gesture of each row, (T,)."""
    rows_N3 = np.stack([trials.lead_N, trials.pause_N, trials.perform_N], axis=1)
    return np.repeat(np.tile(np.arange(3), len(rows_N3)), rows_N3.ravel())


def _require_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{str(folder)!r} is a file: expected a new or an empty folder.")
    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if found:
        raise DataError(
            f"Folder {str(folder)!r} is not empty, it contains {list_names(found)}: existing files "
            "are never replaced. Name a new or an empty folder."
        )


def _write_csv(path: Path, tables: Iterable[pl.DataFrame]) -> None:
    """Write a CSV under a temporary name, and rename it once it is on the disk."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with unfinished.open("wb") as file:
        for number, table in enumerate(tables):
            table.write_csv(file, include_header=number == 0)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
