"""Recordings: what is in them, as frames to show.

In: ``Sequences``. Out: polars frames; nothing is computed here that a model sees.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.schema import ACC_COLUMNS, ROT_COLUMNS, THM_COLUMNS, TOF_PIXELS
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


def missing_by_subject(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the share of values missing, 0 to 1, of each subject; those with most first."""
    columns = [f"missing_{group}" for group in SENSOR_GROUPS]
    table = rows.group_by("subject").agg(pl.col(columns).mean())
    table = table.sort(pl.sum_horizontal(columns), "subject", descending=[True, False])
    return table.rename({f"missing_{group}": GROUP_TITLES[group] for group in SENSOR_GROUPS})


def value_ranges(sequences: Sequences) -> pl.DataFrame:
    """Return one row per channel: lowest, mean and highest value, share missing."""
    return pl.DataFrame(
        [
            {"channel": name, "unit": unit, **_range(values)}
            for name, unit, values in _channels(sequences)
        ]
    )


def quaternion_norms(sequences: Sequences) -> Values:
    """Return the length of every orientation that is there, (M,), 1 where it is a rotation."""
    if sequences.rot_T4 is None:
        return np.zeros(0, dtype=np.float32)
    norms = np.linalg.norm(sequences.rot_T4, axis=1)
    return norms[~np.isnan(norms)]


def traces(sequences: Sequences, index: int, rate_hz: float) -> pl.DataFrame:
    """Return the traces of one sequence: columns panel, channel, step, time_s, value.

    Args:
        sequences: The recordings.
        index: Which, from 0.
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
    cuts = np.flatnonzero(np.diff(phase, prepend=-2, append=-2)) if len(phase) else []
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


def _channels(sequences: Sequences) -> Iterator[tuple[str, str, Values]]:
    for names, unit, values in (
        (ACC_COLUMNS, "m/s²", sequences.acc_T3),
        (ROT_COLUMNS, "quaternion part", sequences.rot_T4),
        (THM_COLUMNS, "°C", sequences.thm_T5),
    ):
        if values is not None:
            yield from ((name, unit, values[:, i]) for i, name in enumerate(names))
    if sequences.tof_T320 is not None:
        for sensor in range(NUM_TOF):
            yield f"tof_{sensor + 1}", "sensor's own, -1 far", _pixels(sequences.tof_T320, sensor)


def _range(values: Values) -> dict[str, float | None]:
    known = values[~np.isnan(values)]
    missing = 1.0 - known.size / max(values.size, 1)
    if not known.size:
        return {"lowest": None, "mean": None, "highest": None, "missing": missing}
    return {
        "lowest": float(known.min()),
        "mean": float(known.mean(dtype=np.float64)),
        "highest": float(known.max()),
        "missing": missing,
    }


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
    """Return the mean of the pixels that see something, NaN where none does."""
    seen_TV = ~np.isnan(pixels_TV) & (pixels_TV != NOTHING_IN_RANGE)
    total_T = np.where(seen_TV, pixels_TV, 0.0).sum(axis=1)
    count_T = seen_TV.sum(axis=1)
    return np.divide(total_T, count_T, out=np.full(len(total_T), np.nan), where=count_T > 0)
