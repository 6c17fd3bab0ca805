"""Acceleration: its unit, whether it includes gravity, whether it is clipped.

In: ``Sequences``. Out: a ``Check``, and the measurements behind it.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.device_orientation import mean_acceleration
from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.quality import bounds
from trainer.data.quality.findings import (
    Check,
    Finding,
    Mask,
    first_of,
    median_by_subject,
    share_text,
)
from trainer.data.schema import ACC_COLUMNS
from trainer.data.sequences import Sequences

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Acceleration:
    """Unit and frame of the acceleration of each sequence, by the length of its vectors.

    Attributes:
        median_N: The median length; that of a hand at rest where no row is complete.
        usual_N: Whether it is in m/s2 and includes gravity, as in the schema.
        in_g_N: Whether it is in g.
        in_mg_N: Whether it is in thousandths of g.
        without_N: Whether gravity was removed.
        strong_N: Whether it is stronger than a hand's.
    """

    median_N: Values
    usual_N: Mask
    in_g_N: Mask
    in_mg_N: Mask
    without_N: Mask
    strong_N: Mask


def measure_acceleration(sequences: Sequences) -> Acceleration:
    """Return unit and frame of the acceleration of each sequence."""
    low_N, known_N = _length_percentiles(sequences)
    length_of_mean_N = np.linalg.norm(mean_acceleration(sequences), axis=1)
    # gravity never vanishes: neither in length, nor in the mean over a sequence
    has_gravity_N = (low_N > bounds.STEADY * known_N) | (length_of_mean_N > bounds.STEADY * known_N)
    median_N = np.where(np.isnan(known_N), GRAVITY_MPS2, known_N)
    in_g_N = _between(median_N, bounds.IN_G) & has_gravity_N
    in_mg_N = _between(median_N / 1000, bounds.IN_G) & has_gravity_N
    low, high = bounds.WITH_GRAVITY_MPS2
    return Acceleration(
        median_N=median_N,
        usual_N=_between(median_N, bounds.WITH_GRAVITY_MPS2),
        in_g_N=in_g_N,
        in_mg_N=in_mg_N,
        # where most are in g, a livelier one is as well
        without_N=~in_g_N & (median_N < low) & (in_g_N.mean() <= 0.5),
        strong_N=~in_mg_N & (median_N > high) & (in_mg_N.mean() <= 0.5),
    )


def check_acceleration(sequences: Sequences) -> Check:
    """Check that the acceleration is in m/s2, includes gravity and is not clipped."""
    found = measure_acceleration(sequences)
    length_of_mean_N = np.linalg.norm(mean_acceleration(sequences), axis=1)
    table = (
        median_by_subject(sequences, "median_length_mps2", found.median_N)
        .join(
            median_by_subject(sequences, "median_length_of_mean_mps2", length_of_mean_N),
            on="subject",
            nulls_equal=True,
        )
        .sort("median_length_mps2")
    )
    low, high = bounds.WITH_GRAVITY_MPS2
    method = (
        "By the length of the acceleration in each sequence, 9.81 m/s² at rest where gravity is "
        f"included. A median of {low:g} to {high:g} is accepted as m/s² with gravity; "
        f"{bounds.IN_G[0]:g} to {bounds.IN_G[1]:g} is taken as g if the length is never near 0. "
        "The length of a sequence's mean is near 0 where gravity was removed. An axis is clipped "
        f"where it stays at its largest value for {bounds.CLIPPED_STEPS} rows or more."
    )
    findings = (*_unit_findings(sequences, found), *_clipped_findings(sequences))
    return Check("gravity", "Acceleration: unit and gravity", findings, method, table)


def _unit_findings(sequences: Sequences, found: Acceleration) -> Iterator[Finding]:
    for mask_N, what in (
        (found.in_g_N, "the acceleration seems to be in g, not m/s2; multiply it by 9.81"),
        (found.in_mg_N, "the acceleration seems to be in thousandths of g; multiply it by 0.00981"),
        (found.without_N, "gravity seems to have been removed from the acceleration; leave it in"),
        (found.strong_N, "the acceleration is stronger than a hand's; check its unit"),
    ):
        if mask_N.any():
            yield Finding(
                "warning",
                f"{what} ({share_text(mask_N)})",
                expected="a median length near 9.81 m/s2",
                got=f"{float(np.median(found.median_N[mask_N])):.3g}",
                sequence_id=first_of(mask_N, sequences.sequence_ids),
                channel="acc",
            )
    if found.usual_N.all():  # else one of the masks above has a sequence
        what = "the acceleration is in m/s2 and includes gravity"
        got = f"a median length of {float(np.median(found.median_N)):.2f} m/s2"
        yield Finding("note", what, got=got, channel="acc")


def _clipped_findings(sequences: Sequences) -> Iterator[Finding]:
    """Yield the axes that stay at the largest value of all recordings."""
    starts = sequences.offsets[:-1]
    position_T = np.arange(sequences.offsets[-1]) - np.repeat(starts, sequences.lengths_N)
    for column, name in enumerate(ACC_COLUMNS):
        size_T = np.abs(sequences.acc_T3[:, column])
        limit = float(np.nanmax(size_T, initial=0.0))
        at_limit_T = (size_T == limit) & (limit >= bounds.MIN_CLIPPED_MPS2)
        run_T = at_limit_T & (position_T >= bounds.CLIPPED_STEPS - 1)
        for back in range(1, bounds.CLIPPED_STEPS):
            run_T[back:] &= at_limit_T[:-back]
        clipped_N = np.logical_or.reduceat(run_T, starts)
        if clipped_N.any():
            yield Finding(
                "warning",
                f"the acceleration seems clipped in {share_text(clipped_N)}",
                expected="single peaks",
                got=f"{bounds.CLIPPED_STEPS} rows or more in a row at {limit:.4g} m/s2",
                sequence_id=first_of(clipped_N, sequences.sequence_ids),
                channel=name,
            )


def _length_percentiles(sequences: Sequences) -> tuple[Values, Values]:
    """Return the 10th percentile and the median of the length in each sequence, NaN without any."""
    length_T = np.linalg.norm(sequences.acc_T3.astype(np.float64), axis=1)
    rows = pl.DataFrame(
        {
            "sequence": np.repeat(np.arange(sequences.num_sequences), sequences.lengths_N),
            "length": pl.Series(length_T).fill_nan(None),
        }
    )
    found = rows.group_by("sequence", maintain_order=True).agg(
        low=pl.col("length").quantile(0.1, "linear"), median=pl.col("length").median()
    )
    return found["low"].fill_null(np.nan).to_numpy(), found["median"].fill_null(np.nan).to_numpy()


def _between(values_N: Values, limits: tuple[float, float]) -> Mask:
    return np.asarray((limits[0] <= values_N) & (values_N <= limits[1]))
