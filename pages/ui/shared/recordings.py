"""Recordings: their content, as frames to show.

In: ``Sequences``. Out: polars frames. Models use none of these numbers.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared import distributions
from trainer.data.schema import THM_COLUMNS, TOF_PIXELS
from trainer.data.sequences import SENSOR_GROUPS, Sequences

GROUP_TITLES = {
    "acc": "Accelerometer",
    "rot": "Orientation",
    "thm": "Thermopiles",
    "tof": "Time of flight",
}
PHASE_TITLES = {0: "transition", 1: "gesture"}
NUM_TOF = 5
NOTHING_IN_RANGE = -1.0

Values = NDArray[np.float32]


def overview(sequences: Sequences) -> pl.DataFrame:
    """Return one row per sequence: names, steps, handedness, share missing by sensor group."""
    labels, label_idx, subjects = sequences.labels, sequences.label_idx, sequences.subjects
    num = sequences.num_sequences
    gestures = [None] * num
    if labels is not None and label_idx is not None:
        gestures = [labels.gestures[k] for k in label_idx]
    hands = {1.0: "right", 0.0: "left"}
    frame = {
        "sequence_id": sequences.sequence_ids.tolist(),
        "gesture": pl.Series(gestures, dtype=pl.String),
        "subject": pl.Series([None] * num if subjects is None else subjects, dtype=pl.String),
        "steps": sequences.lengths_N,
        "hand": [hands.get(hand, "unknown") for hand in sequences.right_handed_N.tolist()],
    }
    shares = {
        f"missing_{group}": _missing_share(values, sequences.offsets)
        for group, values in _groups(sequences)
    }
    return pl.DataFrame(frame | shares)


def pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how many sequences each subject has of each gesture: gesture, then each subject."""
    known = rows.drop_nulls(["gesture", "subject"]).sort("subject", "gesture")
    if known.is_empty():
        return pl.DataFrame(schema={"gesture": pl.String})
    table = known.pivot("subject", index="gesture", values="steps", aggregate_function="len")
    return table.fill_null(0).sort("gesture")


def steps_by_gesture(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the quantiles of the lengths by gesture, as ``distributions.by_gesture``."""
    gestures = rows["gesture"].drop_nulls().unique().sort().to_list()
    known = rows.drop_nulls("gesture")
    label_idx = known["gesture"].replace_strict(
        gestures, range(len(gestures)), return_dtype=pl.Int64
    )
    return distributions.by_gesture(known["steps"].to_numpy(), label_idx.to_numpy(), gestures)


def seen_shares(sequences: Sequences, index: int) -> dict[str, NDArray[np.float64]]:
    """Return the share of time steps in which each pixel had a target in range.

    Returns:
        Sensor to (8, 8), 0 to 1; nothing where the sequence has no time of flight.
    """
    start, stop = sequences.offsets[index], sequences.offsets[index + 1]
    if sequences.tof_T320 is None:
        return {}
    tof_T320 = sequences.tof_T320[start:stop]
    found = {}
    for sensor in range(NUM_TOF):
        pixels_TV = _pixels(tof_T320, sensor)
        if not np.isnan(pixels_TV).all():
            found[f"tof_{sensor + 1}"] = (pixels_TV > NOTHING_IN_RANGE).mean(axis=0).reshape(8, 8)
    return found


def missing_by_subject(sequences: Sequences) -> pl.DataFrame:
    """Return the share of values missing, 0 to 1, by subject and single sensor; most first.

    Returns:
        Columns subject, acc, rot, thm_1 to thm_5, tof_1 to tof_5 as far as they exist; the mean
        over the subject's sequences.
    """
    shares = {
        name: _missing_share(values, sequences.offsets) for name, values in _sensors(sequences)
    }
    subjects = sequences.subjects
    if subjects is None:
        subjects = np.full(sequences.num_sequences, "unknown")
    table = pl.DataFrame({"subject": subjects} | shares)
    table = table.group_by("subject").agg(pl.col(list(shares)).mean())
    return table.sort(pl.sum_horizontal(*shares), "subject", descending=[True, False])


def traces(sequences: Sequences, index: int, rate_hz: float) -> pl.DataFrame:
    """Return the traces of one sequence: columns panel, channel, step, time_s, value.

    Args:
        sequences: The recordings.
        index: The sequence, from 0.
        rate_hz: Labels the time axis only; the recordings have no clock.
    """
    one = sequences.select(np.array([index], dtype=np.int64))
    steps = np.arange(len(one.acc_T3))
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "panel": panel,
                    "channel": channel,
                    "step": steps,
                    "time_s": steps / rate_hz,
                    "value": values.astype(np.float64),
                }
            )
            for panel, channel, values in _panels(one)
        ]
    ).with_columns(pl.col("value").fill_nan(None))


def phase_bands(sequences: Sequences, index: int, rate_hz: float) -> pl.DataFrame:
    """Return the stretches of known phase of one sequence: columns phase, from_s, to_s."""
    start, stop = sequences.offsets[index], sequences.offsets[index + 1]
    phase = np.full(0, -1) if sequences.phase_T is None else sequences.phase_T[start:stop]
    changes = np.diff(phase, prepend=-2, append=-2) if len(phase) else phase
    cuts = np.flatnonzero(changes)
    return pl.DataFrame(
        [
            {"phase": PHASE_TITLES[int(phase[a])], "from_s": a / rate_hz, "to_s": b / rate_hz}
            for a, b in pairwise(cuts)
            if phase[a] >= 0
        ],
        schema={"phase": pl.String, "from_s": pl.Float64, "to_s": pl.Float64},
    )


def sensors_present(sequences: Sequences, index: int) -> tuple[str, ...]:
    """Return the titles of the sensor groups that one sequence has values of."""
    start, stop = sequences.offsets[index], sequences.offsets[index + 1]
    return tuple(
        GROUP_TITLES[group]
        for group, values in _groups(sequences)
        if values is not None and not np.isnan(values[start:stop]).all()
    )


def _groups(sequences: Sequences) -> Iterator[tuple[str, Values | None]]:
    arrays = (sequences.acc_T3, sequences.rot_T4, sequences.thm_T5, sequences.tof_T320)
    yield from zip(SENSOR_GROUPS, arrays, strict=True)


def _missing_share(values: Values | None, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    if values is None:
        return np.ones(len(offsets) - 1)
    missing_T = np.isnan(values).mean(axis=1)
    return np.add.reduceat(missing_T, offsets[:-1]) / np.diff(offsets)


def _sensors(sequences: Sequences) -> Iterator[tuple[str, Values]]:
    """Yield name and values, (T, C), of every single sensor of the recordings."""
    yield "acc", sequences.acc_T3
    if sequences.rot_T4 is not None:
        yield "rot", sequences.rot_T4
    if sequences.thm_T5 is not None:
        yield from ((name, sequences.thm_T5[:, [i]]) for i, name in enumerate(THM_COLUMNS))
    if sequences.tof_T320 is not None:
        for sensor in range(NUM_TOF):
            yield f"tof_{sensor + 1}", _pixels(sequences.tof_T320, sensor)


def _panels(one: Sequences) -> Iterator[tuple[str, str, Values]]:
    yield from (("Acceleration, m/s²", axis, one.acc_T3[:, i]) for i, axis in enumerate("xyz"))
    yield "Acceleration, m/s²", "length", np.linalg.norm(one.acc_T3, axis=1)
    for title, names, values in (
        ("Orientation, quaternion", "wxyz", one.rot_T4),
        ("Temperature, °C", [f"thm {i}" for i in range(1, 6)], one.thm_T5),
    ):
        if values is not None and not np.isnan(values).all():
            yield from ((title, name, values[:, i]) for i, name in enumerate(names))
    if one.tof_T320 is not None and not np.isnan(one.tof_T320).all():
        for sensor in range(NUM_TOF):
            pixels = _pixels(one.tof_T320, sensor)
            yield "Time of flight, mean in range", f"tof {sensor + 1}", _mean_in_range(pixels)


def _pixels(tof_T320: Values, sensor: int) -> Values:
    return tof_T320[:, sensor * TOF_PIXELS : (sensor + 1) * TOF_PIXELS]


def _mean_in_range(pixels_TV: Values) -> Values:
    """Return the mean of the pixels with a target in range, NaN where there is none."""
    seen_TV = ~np.isnan(pixels_TV) & (pixels_TV != NOTHING_IN_RANGE)
    total_T = np.where(seen_TV, pixels_TV, 0.0).sum(axis=1)
    count_T = seen_TV.sum(axis=1)
    mean_T: Values = np.full(len(total_T), np.nan)
    np.divide(total_T, count_T, out=mean_T, where=count_T > 0)
    return mean_T
