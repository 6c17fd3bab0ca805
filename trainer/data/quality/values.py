"""Values: ranges that the device can give, and channels that never change.

In: ``Sequences``. Out: ``Check``s.

Shapes: N sequences, T time steps of all sequences, P pixels of one sensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.quality import bounds
from trainer.data.quality.acceleration import measure_acceleration
from trainer.data.quality.findings import (
    NO_EVIDENCE,
    Check,
    Finding,
    Mask,
    first_of,
    share_text,
)
from trainer.data.schema import ACC_COLUMNS, NUM_TOF, ROT_COLUMNS, THM_COLUMNS, TOF_PIXELS
from trainer.data.sequences import FloatArray, Sequences


@dataclass(frozen=True)
class Channel:
    """One column of a sensor, or all pixels of a time-of-flight sensor.

    Attributes:
        name: Of the column, or such as "tof_1".
        group: One of SENSOR_GROUPS.
        unit: Of the values, for people.
        values: (T,) or (T, P) float32.
        limits: The lowest and the highest value that the device can give.
        expected: The limits in words.
    """

    name: str
    group: str
    unit: str
    values: FloatArray
    limits: tuple[float, float]
    expected: str


def channels(sequences: Sequences) -> Iterator[Channel]:
    """Yield every channel that the recordings have; the image of a sensor is one channel."""
    low, high = bounds.THM_RANGE_C
    for names, group, unit, limits, expected in (
        (ACC_COLUMNS, "acc", "m/s²", bounds.ACC_RANGE_MPS2, "at most 16 g = 157 m/s2"),
        (ROT_COLUMNS, "rot", "quaternion part", bounds.ROT_RANGE, "-1 to 1"),
        (THM_COLUMNS, "thm", "°C", bounds.THM_RANGE_C, f"{low:g} to {high:g} degrees Celsius"),
    ):
        values_TC = sequences.arrays.get(group)
        if values_TC is not None:
            for name, values_T in zip(names, values_TC.T, strict=True):
                yield Channel(name, group, unit, values_T, limits, expected)
    if sequences.tof_T320 is not None:
        expected = f"-1 (nothing in range) or 0 to {bounds.TOF_RANGE[1]:g}"
        for sensor in range(NUM_TOF):
            pixels_TP = sequences.tof_T320[:, sensor * TOF_PIXELS : (sensor + 1) * TOF_PIXELS]
            unit = "sensor's own, -1 nothing in range"
            name = f"tof_{sensor + 1}"
            yield Channel(name, "tof", unit, pixels_TP, bounds.TOF_RANGE, expected)


def check_ranges(sequences: Sequences) -> Check:
    """Check that every channel's values are ones that the device can give."""
    table = pl.DataFrame([_describe(channel) for channel in channels(sequences)])
    findings = [
        finding
        for channel, outside in zip(channels(sequences), table["outside"], strict=True)
        if outside > 0 and (finding := _range_finding(sequences, channel))
    ]
    what = f"all values of {len(table)} channels are within the device's range"
    method = (
        "Expected: acceleration within 16 g, quaternion parts within 1, thermopiles 18 to 40 °C "
        "(the competition's best solutions treated others as missing), time of flight -1 (nothing "
        "in range) to 254. The acceleration of sequences with a doubtful unit, and quaternions, "
        "whose length has its own check, are listed only. The models are given the values as "
        "recorded."
    )
    return Check(
        "ranges", "Values in range", tuple(findings) or (Finding("note", what),), method, table
    )


def _describe(channel: Channel) -> dict[str, str | float | None]:
    """Return a channel's values, those expected, and the shares out of range and missing."""
    low, high = channel.limits
    known = channel.values[~np.isnan(channel.values)]
    row: dict[str, str | float | None] = {"channel": channel.name, "unit": channel.unit}
    row |= {"lowest": None, "mean": None, "highest": None, "outside": 0.0}
    if known.size:
        lowest, highest = float(known.min()), float(known.max())
        row |= {"lowest": lowest, "mean": float(known.mean(dtype=np.float64)), "highest": highest}
        if lowest < low or highest > high:
            row["outside"] = float(np.mean((known < low) | (known > high)))
    row["expected"] = f"{low:g} to {high:g}"
    row["missing"] = 1.0 - known.size / max(channel.values.size, 1)
    return row


def _range_finding(sequences: Sequences, channel: Channel) -> Finding | None:
    """Return the finding about a channel with values out of range; None where another has it."""
    if channel.group == "rot":  # a part beyond 1 makes a quaternion too long
        return None
    wrong = (channel.values < channel.limits[0]) | (channel.values > channel.limits[1])
    wrong_T = wrong if wrong.ndim == 1 else wrong.any(axis=1)
    wrong_N = np.logical_or.reduceat(wrong_T, sequences.offsets[:-1])
    if channel.group == "acc":  # in another unit everything is out of range
        wrong_N &= measure_acceleration(sequences).usual_N
    if not wrong_N.any():
        return None
    values = channel.values[wrong]
    return Finding(
        "warning",
        f"values out of range in {share_text(wrong_N)}",
        expected=channel.expected,
        got=f"{float(values.min()):.4g} to {float(values.max()):.4g}",
        sequence_id=first_of(wrong_N, sequences.sequence_ids),
        channel=channel.name,
    )


def check_stuck_channels(sequences: Sequences) -> Check:
    """Find sequences in which a channel never changes."""
    findings: list[Finding] = []
    rows: list[dict[str, str | float | None]] = []
    for channel in channels(sequences):
        if channel.group == "tof":  # an image may have nothing in range throughout
            continue
        stuck_N, low_N = find_stuck(channel.values, sequences.offsets)
        if not stuck_N.any():
            continue
        findings.append(
            Finding(
                "warning",
                f"the channel never changes in {share_text(stuck_N)}",
                expected="values that vary",
                got=f"{float(low_N[np.argmax(stuck_N)]):.4g} throughout",
                sequence_id=first_of(stuck_N, sequences.sequence_ids),
                channel=channel.name,
            )
        )
        rows += [
            {
                "sequence_id": str(sequences.sequence_ids[n]),
                "subject": None if sequences.subjects is None else str(sequences.subjects[n]),
                "channel": channel.name,
                "value": float(low_N[n]),
            }
            for n in np.flatnonzero(stuck_N)
        ]
    method = (
        "A channel that has one and the same value through a sequence, in "
        f"{bounds.STUCK_STEPS} known values or more, though a wrist is never quite still."
    )
    return Check(
        "stuck",
        "Channels that never change",
        tuple(findings) or (Finding("note", "every channel changes in every sequence"),),
        method,
        pl.DataFrame(rows) if rows else NO_EVIDENCE,
    )


def find_stuck(values_T: FloatArray, offsets: NDArray[np.int64]) -> tuple[Mask, FloatArray]:
    """Return in which sequences a channel never changes, and its lowest value in each.

    Args:
        values_T: (T,) float32, NaN missing.
        offsets: (N + 1,) where each sequence begins, and the end.
    """
    starts = offsets[:-1]
    num_known_N = np.add.reduceat(~np.isnan(values_T), starts, dtype=np.int64)
    low_N = np.fmin.reduceat(values_T, starts)
    stuck_N = (low_N == np.fmax.reduceat(values_T, starts)) & (num_known_N >= bounds.STUCK_STEPS)
    return stuck_N, low_N
