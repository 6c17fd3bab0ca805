"""Measures: what the Data page and the input doctor both ask of recordings.

In: ``Sequences``. Out: masks and numbers, and where the line is drawn; what is said of them is up
to who asks. Real recordings (``watch``, an arm band's, the competition's two) and simulated ones
cross none of the lines.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.sequences import FloatArray, Sequences

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

# median length; a hand at rest has 9.81, vigorous shoulder exercises (watch) up to 21
WITH_GRAVITY_MPS2 = (7.0, 30.0)
IN_G = (0.85, 1.15)  # median length, in units of the earth's gravity
STEADY = 0.7  # of the median length; random movement about zero reaches 0.5
NORM_TOLERANCE = 0.01  # of a quaternion's length; real devices are off by 0.00006 at most
STUCK_STEPS = 8  # a channel that is equal for less may be a hand at rest
ACC_RANGE_MPS2 = (-157.0, 157.0)  # 16 g, the widest setting of the device's chip
ROT_RANGE = (-1.001, 1.001)  # a little rounding
THM_RANGE_C = (18.0, 40.0)  # beyond it the 6th, 10th and 12th place took a value as missing
TOF_RANGE = (-1.0, 254.0)  # -1: nothing in range
TURNS = {  # half a turn of the device; the competition's reversed ones are turned about z
    "x": np.array([1.0, -1.0, -1.0]),
    "y": np.array([-1.0, 1.0, -1.0]),
    "z": np.array([-1.0, -1.0, 1.0]),
}


@dataclass(frozen=True)
class Acceleration:
    """Unit and frame of the acceleration, told by its length, sequence by sequence.

    Attributes:
        median_N: The median length of each; that of a hand at rest where no row is complete.
        usual_N: As the schema has it: m/s2 with gravity.
        in_g_N: In g.
        in_mg_N: In thousandths of g.
        without_N: Gravity was removed.
        strong_N: Stronger than a hand's.
    """

    median_N: Values
    usual_N: Mask
    in_g_N: Mask
    in_mg_N: Mask
    without_N: Mask
    strong_N: Mask


def measure_acceleration(sequences: Sequences) -> Acceleration:
    """Tell unit and frame of the acceleration of each sequence."""
    low_N, known_N = _length_percentiles(sequences)
    held_N = np.linalg.norm(mean_acceleration(sequences), axis=1)
    # something is always there: in length, or in direction
    has_gravity_N = (low_N > STEADY * known_N) | (held_N > STEADY * known_N)
    median_N = np.where(np.isnan(known_N), GRAVITY_MPS2, known_N)
    in_g_N = _between(median_N, IN_G) & has_gravity_N
    in_mg_N = _between(median_N / 1000, IN_G) & has_gravity_N
    low, high = WITH_GRAVITY_MPS2
    return Acceleration(
        median_N=median_N,
        usual_N=_between(median_N, WITH_GRAVITY_MPS2),
        in_g_N=in_g_N,
        in_mg_N=in_mg_N,
        # where most are in g, a livelier one is as well
        without_N=~in_g_N & (median_N < low) & (in_g_N.mean() <= 0.5),
        strong_N=~in_mg_N & (median_N > high) & (in_mg_N.mean() <= 0.5),
    )


def mean_acceleration(sequences: Sequences) -> Values:
    """Return the mean acceleration of each sequence over its complete rows, (N, 3), NaN without."""
    return means(sequences.acc_T3, sequences.offsets)


def means(values_T3: FloatArray, offsets: NDArray[np.int64]) -> Values:
    """Return the mean of each sequence over the rows where all is known, (N, 3), NaN without."""
    known_T = np.asarray(~np.isnan(values_T3).any(axis=1))
    known_T3 = np.where(known_T[:, None], values_T3, 0.0)
    sums_N3 = np.add.reduceat(known_T3, offsets[:-1], axis=0, dtype=np.float64)
    counts_N1 = np.add.reduceat(known_T.astype(np.int64), offsets[:-1])[:, None]
    means_N3 = np.full(sums_N3.shape, np.nan)
    np.divide(sums_N3, counts_N1, out=means_N3, where=counts_N1 > 0)
    return means_N3


def off_unit(rot_T4: FloatArray) -> tuple[Values, Mask]:
    """Return the length of each quaternion (NaN where unknown), and whether it is no rotation."""
    norm_T = np.linalg.norm(rot_T4.astype(np.float64), axis=1)
    return norm_T, np.abs(norm_T - 1) > NORM_TOLERANCE  # NaN is not


def stuck(values_T: FloatArray, offsets: NDArray[np.int64]) -> tuple[Mask, FloatArray]:
    """Return in which sequences a channel never changes, and its lowest value in each."""
    starts = offsets[:-1]
    num_known_N = np.add.reduceat(~np.isnan(values_T), starts, dtype=np.int64)
    low_N = np.fmin.reduceat(values_T, starts)
    stuck_N = (low_N == np.fmax.reduceat(values_T, starts)) & (num_known_N >= STUCK_STEPS)
    return stuck_N, low_N


def digests(sequences: Sequences) -> list[bytes]:
    """Return a digest of all sensor values of each sequence, whatever it is called."""
    arrays = tuple(sequences.arrays.values())
    found = []
    for start, stop in pairwise(sequences.offsets.tolist()):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(array[start:stop].tobytes())
        found.append(digest.digest())
    return found


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


def _between(values_N: Values, bounds: tuple[float, float]) -> Mask:
    return np.asarray((bounds[0] <= values_N) & (values_N <= bounds[1]))
