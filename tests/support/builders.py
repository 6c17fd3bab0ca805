"""Small tables in the competition's schema, for the tests of every room.

In: how many, how long, which sensors. Out: seeded polars tables that models can learn from.

A class shows in all four sensor groups: how far and how fast the wrist turns and shakes, how warm
the thermopiles are, which pixels of the time-of-flight images see something near.

Shapes: T time steps of one sequence.
"""

from __future__ import annotations

import numpy as np
import polars as pl

GESTURES = (
    ("Cheek - pinch skin", "Target"),
    ("Neck - scratch", "Target"),
    ("Text on phone", "Non-Target"),
    ("Wave hello", "Non-Target"),
)
POSTURES = ("Seated Straight", "Lie on Back")
GROUPS = ("acc", "rot", "thm", "tof")
GRAVITY_MPS2 = 9.81
NUM_PIXELS = 64


def make_table(
    num_subjects=6,
    sequences_per_subject=8,
    gestures=GESTURES,
    length=24,
    groups=GROUPS,
    seed=0,
    labelled=True,
):
    """Return a table of num_subjects x sequences_per_subject sequences, one row per time step.

    The gestures follow each other in turn; lengths vary between length and 1.5 x length; a
    sensor group that is not in ``groups`` has no columns; an unlabelled table has the columns of
    the competition's test.csv.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for subject in range(num_subjects):
        habit = rng.normal(0, 0.1)  # what makes people differ
        for turn in range(sequences_per_subject):
            number = subject * sequences_per_subject + turn
            class_idx = number % len(gestures)
            num_steps = int(rng.integers(length, length + length // 2 + 1))
            columns = _identity_columns(number, subject, num_steps)
            if labelled:
                columns |= _label_columns(gestures[class_idx], POSTURES[turn % 2], num_steps)
            columns |= _sensor_columns(class_idx, num_steps, habit, groups, rng)
            parts.append(pl.DataFrame(columns))
    return pl.concat(parts)


def make_demographics(table, left_handers=()):
    """Return one row per subject of the table, in test_demographics.csv's columns."""
    subjects = table["subject"].unique(maintain_order=True)
    return pl.DataFrame(
        {
            "subject": subjects,
            "adult_child": [1] * len(subjects),
            "age": [25] * len(subjects),
            "sex": [1] * len(subjects),
            "handedness": [int(subject not in left_handers) for subject in subjects],
            "height_cm": [165.0] * len(subjects),
            "shoulder_to_wrist_cm": [52] * len(subjects),
            "elbow_to_wrist_cm": [23.0] * len(subjects),
        }
    )


def make_small_table(groups=("acc", "rot"), **options):
    """Return 8 sequences of 4 to 6 steps by 2 subjects, or with other options of make_table."""
    options = {"num_subjects": 2, "sequences_per_subject": 4, "length": 4} | options
    return make_table(groups=groups, **options)


def with_value(table, column, row, value):
    """Return the table with one value changed; the column's type widens where it must."""
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


def _identity_columns(number, subject, num_steps):
    sequence_id = f"SEQ_{number:06d}"
    return {
        "row_id": [f"{sequence_id}_{step:06d}" for step in range(num_steps)],
        "sequence_id": [sequence_id] * num_steps,
        "sequence_counter": np.arange(num_steps),
        "subject": [f"SUBJ_{subject:06d}"] * num_steps,
    }


def _label_columns(gesture, posture, num_steps):
    name, sequence_type = gesture
    num_transition = num_steps // 2
    return {
        "sequence_type": [sequence_type] * num_steps,
        "gesture": [name] * num_steps,
        "orientation": [posture] * num_steps,
        "behavior": ["Performs gesture"] * num_steps,
        "phase": ["Transition"] * num_transition + ["Gesture"] * (num_steps - num_transition),
    }


def _sensor_columns(class_idx, num_steps, habit, groups, rng):
    turn_T = (0.4 + 0.5 * class_idx + habit) * np.sin(  # rad about the x axis
        (0.3 + 0.25 * class_idx) * np.arange(num_steps)
    )
    columns = {}
    if "acc" in groups:
        columns |= _acc_columns(turn_T, class_idx, rng)
    if "rot" in groups:
        columns |= _rot_columns(turn_T)
    if "thm" in groups:
        columns |= _thm_columns(class_idx, num_steps, rng)
    if "tof" in groups:
        columns |= _tof_columns(class_idx, num_steps, rng)
    return columns


def _acc_columns(turn_T, class_idx, rng):
    acc_T3 = rng.normal(0, 0.2 + 0.3 * class_idx, (len(turn_T), 3))
    acc_T3[:, 1] += GRAVITY_MPS2 * np.sin(turn_T)
    acc_T3[:, 2] += GRAVITY_MPS2 * np.cos(turn_T)
    acc_T3 = np.round(acc_T3 * 256) / 256  # the sensor's grid
    return {f"acc_{axis}": acc_T3[:, i] for i, axis in enumerate("xyz")}


def _rot_columns(turn_T):
    rot_T4 = np.zeros((len(turn_T), 4))
    rot_T4[:, 0] = np.cos(turn_T / 2)
    rot_T4[:, 1] = np.sin(turn_T / 2)
    rot_T4 *= np.where(rot_T4[:, :1] < 0, -1, 1)  # the device gives w >= 0
    return {f"rot_{axis}": rot_T4[:, i] for i, axis in enumerate("wxyz")}


def _thm_columns(class_idx, num_steps, rng):
    thm_T5 = 26 + class_idx + 0.5 * np.arange(5) + rng.normal(0, 0.3, (num_steps, 5))
    return {f"thm_{i + 1}": thm_T5[:, i] for i in range(5)}


def _tof_columns(class_idx, num_steps, rng):
    columns = {}
    for sensor in range(1, 6):
        image_TV = rng.integers(20, 200, (num_steps, NUM_PIXELS)).astype(float)
        is_far_V = np.arange(NUM_PIXELS) // 8 >= 2 + (class_idx + sensor) % 4
        image_TV[:, is_far_V] = -1.0  # nothing in range
        columns |= {f"tof_{sensor}_v{pixel}": image_TV[:, pixel] for pixel in range(NUM_PIXELS)}
    return columns
