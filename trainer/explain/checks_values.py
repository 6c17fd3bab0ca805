"""The doctor's checks of values: units and frame, stuck and clipped channels, ranges.

In: ``Sequences``. Out: ``Finding``s. What is measured, and the lines: ``trainer.data.measures``.

Shapes: N sequences, T time steps of all sequences, C columns of one sensor group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.data.measures import (
    THM_RANGE_C,
    TOF_RANGE,
    measure_acceleration,
    off_unit,
    stuck,
)
from trainer.data.preprocess import MIN_QUATERNION_NORM
from trainer.data.schema import ACC_COLUMNS, NUM_TOF, ROT_COLUMNS, THM_COLUMNS, TOF_PIXELS
from trainer.data.sequences import FloatArray, Sequences
from trainer.explain.findings import Finding, first_of, share_text

Values = NDArray[np.float64]

MIN_CLIPPED_MPS2 = 15.0  # no sensor's range ends below 2 g = 19.6; some headroom for its offset
CLIPPED_STEPS = 4  # equal extreme values in a row
BLIND_SHARE = 0.98  # of pixels with nothing in range


def examine_values(sequences: Sequences) -> Iterator[Finding]:
    """Yield what the values themselves say.

    Args:
        sequences: The recordings.
    """
    yield from _gravity(sequences)
    yield from _clipped(sequences)
    yield from _stuck(sequences, ACC_COLUMNS, sequences.acc_T3)
    if sequences.rot_T4 is not None:
        yield from _quaternions(sequences, sequences.rot_T4)
        yield from _stuck(sequences, ROT_COLUMNS, sequences.rot_T4)
    if sequences.thm_T5 is not None:
        yield from _thermopiles(sequences, sequences.thm_T5)
        yield from _stuck(sequences, THM_COLUMNS, sequences.thm_T5)
    if sequences.tof_T320 is not None:
        yield from _time_of_flight(sequences, sequences.tof_T320)


def _gravity(sequences: Sequences) -> Iterator[Finding]:
    """Tell unit and frame of the acceleration by its length, sequence by sequence."""
    found = measure_acceleration(sequences)
    told = (
        (found.in_g_N, "the acceleration seems to be in g, not m/s2; multiply it by 9.81"),
        (found.in_mg_N, "the acceleration seems to be in thousandths of g; multiply it by 0.00981"),
        (found.without_N, "gravity seems to have been removed from the acceleration; leave it in"),
        (found.strong_N, "the acceleration is stronger than a hand's; check its unit"),
    )
    for mask_N, what in told:
        if mask_N.any():
            yield Finding(
                "warning",
                f"{what} ({share_text(mask_N)})",
                expected="a median length near 9.81 m/s2",
                got=f"{float(np.median(found.median_N[mask_N])):.3g}",
                sequence_id=first_of(mask_N, sequences.sequence_ids),
                channel="acc",
            )
    if found.usual_N.all():
        got = f"a median length of {float(np.median(found.median_N)):.2f} m/s2"
        yield Finding("note", "the acceleration is in m/s2 with gravity", got=got, channel="acc")


def _clipped(sequences: Sequences) -> Iterator[Finding]:
    """Find an axis that stays at the largest value the recordings have."""
    starts = sequences.offsets[:-1]
    position_T = np.arange(sequences.offsets[-1]) - np.repeat(starts, sequences.lengths_N)
    for column, name in enumerate(ACC_COLUMNS):
        size_T = np.abs(sequences.acc_T3[:, column])
        limit = float(np.nanmax(size_T, initial=0.0))
        at_limit_T = (size_T == limit) & (limit >= MIN_CLIPPED_MPS2)
        run_T = at_limit_T & (position_T >= CLIPPED_STEPS - 1)
        for back in range(1, CLIPPED_STEPS):
            run_T[back:] &= at_limit_T[:-back]
        clipped_N = np.logical_or.reduceat(run_T, starts)
        if clipped_N.any():
            yield Finding(
                "warning",
                f"the acceleration seems clipped in {share_text(clipped_N)}",
                expected="single peaks",
                got=f"{CLIPPED_STEPS} rows or more in a row at {limit:.4g} m/s2",
                sequence_id=first_of(clipped_N, sequences.sequence_ids),
                channel=name,
            )


def _stuck(
    sequences: Sequences, columns: tuple[str, ...], values_TC: FloatArray
) -> Iterator[Finding]:
    """Find channels that never change in a sequence."""
    for name, values_T in zip(columns, values_TC.T, strict=True):
        stuck_N, low_N = stuck(values_T, sequences.offsets)
        if stuck_N.any():
            yield Finding(
                "warning",
                f"the channel never changes in {share_text(stuck_N)}",
                expected="values that vary",
                got=f"{float(low_N[np.argmax(stuck_N)]):.4g} throughout",
                sequence_id=first_of(stuck_N, sequences.sequence_ids),
                channel=name,
            )


def _quaternions(sequences: Sequences, rot_T4: FloatArray) -> Iterator[Finding]:
    norm_T, wrong_T = off_unit(rot_T4)
    known_T = ~np.isnan(norm_T)
    mean = float(norm_T[known_T].mean()) if known_T.any() else np.nan
    if not wrong_T.any():
        got = f"a mean length of {mean:.3f}"
        yield Finding("note", "the orientations are unit quaternions", got=got, channel="rot")
        return
    wrong_N = np.logical_or.reduceat(wrong_T, sequences.offsets[:-1])
    dropped = int((norm_T[known_T] < MIN_QUATERNION_NORM).sum())
    yield Finding(
        "warning",
        f"not all orientations are unit quaternions ({share_text(wrong_N)}); shorter than "
        f"{MIN_QUATERNION_NORM} counts as missing",
        expected="a length of 1",
        got=f"{norm_T[wrong_T].min():.3g} to {norm_T[wrong_T].max():.3g} in "
        f"{wrong_T.sum() / known_T.sum():.1%} of the rows, {dropped:,} of them missing",
        sequence_id=first_of(wrong_N, sequences.sequence_ids),
        channel="rot",
    )


def _thermopiles(sequences: Sequences, thm_T5: FloatArray) -> Iterator[Finding]:
    low, high = THM_RANGE_C
    wrong_T5 = (thm_T5 < low) | (thm_T5 > high)
    for name, values_T, wrong_T in zip(THM_COLUMNS, thm_T5.T, wrong_T5.T, strict=True):
        if wrong_T.any():
            wrong_N = np.logical_or.reduceat(wrong_T, sequences.offsets[:-1])
            yield Finding(
                "warning",
                f"temperatures beyond what skin and rooms have, in {share_text(wrong_N)}",
                expected=f"{low:g} to {high:g} degrees Celsius",
                got=f"{float(values_T[wrong_T].min()):.4g} to {float(values_T[wrong_T].max()):.4g}",
                sequence_id=first_of(wrong_N, sequences.sequence_ids),
                channel=name,
            )
    if not wrong_T5.any():
        got = f"{float(np.nanmin(thm_T5)):.1f} to {float(np.nanmax(thm_T5)):.1f} degrees Celsius"
        yield Finding("note", "the temperatures are plausible", got=got, channel="thm")


def _time_of_flight(sequences: Sequences, tof_T320: FloatArray) -> Iterator[Finding]:
    low, high = TOF_RANGE
    for sensor in range(NUM_TOF):
        name = f"tof_{sensor + 1}"
        pixels_TV = tof_T320[:, sensor * TOF_PIXELS : (sensor + 1) * TOF_PIXELS]
        num_known = int((~np.isnan(pixels_TV)).sum())
        if num_known == 0:
            yield Finding("note", "the sensor gave no value", channel=name)
            continue
        wrong_T = ((pixels_TV < low) | (pixels_TV > high)).any(axis=1)
        if wrong_T.any():
            wrong_N = np.logical_or.reduceat(wrong_T, sequences.offsets[:-1])
            yield Finding(
                "warning",
                f"ranges beyond what the sensor gives, in {share_text(wrong_N)}",
                expected=f"-1 (nothing in range) or 0 to {high:g}",
                got=f"{float(np.nanmin(pixels_TV)):.4g} to {float(np.nanmax(pixels_TV)):.4g}",
                sequence_id=first_of(wrong_N, sequences.sequence_ids),
                channel=name,
            )
        share = float((pixels_TV == -1).sum()) / num_known
        yield Finding(
            "warning" if share >= BLIND_SHARE else "note",
            "nothing in range almost always" if share >= BLIND_SHARE else "nothing in range",
            expected="about 57 % of the pixels",
            got=f"{share:.0%}",
            channel=name,
        )
