"""Checks: what in the recordings deserves a second look, each with the evidence it rests on.

In: ``Sequences``. Out: ``Check``s: a finding in one sentence, how it was decided, a table. Nothing
is changed in the recordings.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui import recordings, wearing
from trainer.data.preprocess import MIN_QUATERNION_NORM, MOTION_SIGNALS, preprocess
from trainer.data.sequences import Sequences

Verdict = Literal["fine", "look", "unknown"]

NORM_TOLERANCE = 0.01  # float32 and the sensor's 2^-14 grid stay far below
WITH_GRAVITY_MPS2 = (7.0, 15.0)  # of the median length: 9.8 at rest, more in lively movement
IN_G = (0.7, 1.5)
MIN_HELD_MPS2 = 3.0  # of a sequence's mean acceleration: without gravity it is near 0
MAX_ANGLE_DEG = 30.0  # real devices: 1 to 21 degrees in the median of a subject
MAX_NAMED = 3  # names that a finding lists before it only counts


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Of the download.
        title: What is checked.
        verdict: "look" asks for a second look; "unknown" cannot be told from these recordings.
        finding: What was found, with its numbers.
        method: How it was decided.
        table: The evidence; may be empty.
    """

    name: str
    title: str
    verdict: Verdict
    finding: str
    method: str
    table: pl.DataFrame


def reversed_devices(sequences: Sequences) -> Check:
    """Look for subjects whose device was turned by 180 degrees."""
    title = "Device worn the other way round"
    method = (
        "A subject's mean acceleration in each gesture says where gravity lies in the device's "
        "axes. It is compared with the median of all other subjects, as recorded and turned by "
        "180° about x, y or z; distances are parts of gravity. A device looks reversed where a "
        f"turn brings it below {wearing.LOOKS_REVERSED:g} of the distance as recorded, and is "
        "doubtful where a turn helps less."
    )
    table = wearing.worn_directions(sequences)
    if table is None:
        finding = f"Needs at least {wearing.MIN_SUBJECTS} subjects to tell who is different."
        return Check("reversed", title, "unknown", finding, method, pl.DataFrame())
    odd = table.filter(pl.col("verdict") != wearing.LIKE_OTHERS)
    if odd.is_empty():
        finding = f"All {len(table)} subjects wear it alike."
        return Check("reversed", title, "fine", finding, method, table)
    turned = odd.filter(verdict=wearing.REVERSED)
    parts = [
        f"{row['subject']}: {row['best_turn']} fits better, "
        f"{row['distance_when_turned']:.2f} of gravity from the others instead of "
        f"{row['distance_as_recorded']:.2f}"
        for row in turned.head(MAX_NAMED).iter_rows(named=True)
    ]
    finding = f"{len(turned)} of {len(table)} subjects look reversed"
    finding += f", {len(odd) - len(turned)} doubtful" if len(odd) > len(turned) else ""
    return Check("reversed", title, "look", ". ".join([finding, *parts]) + ".", method, table)


def hands(sequences: Sequences) -> Check:
    """Say who is left-handed."""
    title = "Left-handers"
    method = (
        "From the demographics. The models see left-handers mirrored where the run's setting "
        "mirror_left_handers is on; an unknown hand is taken as it is."
    )
    rows = recordings.overview(sequences)
    table = (
        rows.group_by("hand", "subject")
        .agg(sequences=pl.len())
        .sort("hand", "subject")
        .select("subject", "hand", "sequences")
    )
    left = table.filter(hand="left")
    unknown = table.filter(hand="unknown")
    if len(unknown) == len(table):
        finding = "No hand is known: there are no demographics with a column handedness."
        return Check("hands", title, "unknown", finding, method, table)
    finding = f"{len(left)} of {len(table)} subjects are left-handed{named(left['subject'])}"
    finding += f"; of {len(unknown)} it is not known" if len(unknown) else ""
    return Check("hands", title, "look" if len(unknown) else "fine", f"{finding}.", method, table)


def gravity(sequences: Sequences) -> Check:
    """Say whether the acceleration is in m/s2 and holds gravity, as the schema has it."""
    length_T = np.linalg.norm(sequences.acc_T3, axis=1)
    held_N = np.linalg.norm(_sequence_means(sequences, sequences.acc_T3), axis=1)
    table = (
        _by_subject(sequences, "median_length_mps2", length_T)
        .join(_by_subject(sequences, "median_held_mps2", held_N), on="subject", nulls_equal=True)
        .sort("median_length_mps2")
    )
    length, held = float(np.nanmedian(length_T)), float(np.nanmedian(held_N))
    low, high = WITH_GRAVITY_MPS2
    odd = table.filter(~pl.col("median_length_mps2").is_between(low, high))
    seen = f"The acceleration has a median length of {length:.2f}"
    if IN_G[0] <= length <= IN_G[1]:
        verdict, finding = "look", f"{seen}: it looks like g, not m/s². Multiply it by 9.81."
    elif held < MIN_HELD_MPS2:
        verdict = "look"
        finding = f"{seen}, and {held:.2f} on average over a sequence: gravity looks removed."
    elif not low <= length <= high or len(odd):
        verdict = "look"
        finding = f"{seen} m/s², and unlike gravity in {len(odd)} subjects{named(odd['subject'])}."
    else:
        verdict, finding = "fine", f"{seen} m/s²: metres per second squared, gravity included."
    method = (
        f"At rest the length is 9.81 m/s² where gravity is included; {low:g} to {high:g} in the "
        "median of a subject is taken as that. Held: the length of a sequence's mean, which is "
        "near 0 where gravity was removed."
    )
    return Check("gravity", "Acceleration: unit and gravity", verdict, finding, method, table)


def orientation_length(sequences: Sequences) -> Check:
    """Check that orientations are rotations: quaternions of length 1."""
    title = "Orientation: quaternions of length 1"
    method = (
        f"A rotation has length 1; off by more than {NORM_TOLERANCE:g} is counted. Below "
        f"{MIN_QUATERNION_NORM:g} an orientation counts as missing; others are brought to length 1."
    )
    if sequences.rot_T4 is None:
        return _no_orientation("norms", title, method)
    norm_T = np.linalg.norm(sequences.rot_T4, axis=1)
    known = int((~np.isnan(norm_T)).sum())
    off_T = abs(norm_T - 1) > NORM_TOLERANCE
    table = recordings.norm_counts(sequences)
    num_off, num_short = int(off_T.sum()), int((norm_T < MIN_QUATERNION_NORM).sum())
    finding = f"{num_off:,} of {known:,} orientations are off 1, {num_short:,} of them too short."
    if not num_off:
        finding = f"All {known:,} orientations have length 1."
    verdict: Verdict = "look" if num_off else "fine"
    return Check("norms", title, verdict, finding, method, table)


def orientation_agrees(sequences: Sequences) -> Check:
    """Check that orientation and acceleration say the same of where up is."""
    title = "Orientation and acceleration agree"
    method = (
        "The angle between gravity as the quaternion (w first) has it and a sequence's mean "
        f"acceleration, in the median of a subject; up to {MAX_ANGLE_DEG:g}° is taken as "
        "agreement. More means another order of the four parts, another frame, or a device that "
        "did not know where up is."
    )
    if sequences.rot_T4 is None:
        return _no_orientation("agreement", title, method)
    first = MOTION_SIGNALS.index("gravity_x")
    up_T3 = preprocess(sequences, mirror_left_handers=False).motion_TS[:, first : first + 3]
    up_N3 = _sequence_means(sequences, up_T3)
    acc_N3 = _sequence_means(sequences, sequences.acc_T3)
    lengths_N = np.linalg.norm(up_N3, axis=1) * np.linalg.norm(acc_N3, axis=1)
    cosine_N = np.einsum("nc,nc->n", up_N3, acc_N3) / np.where(lengths_N > 0, lengths_N, np.nan)
    angle_N = np.degrees(np.arccos(np.clip(cosine_N, -1, 1)))
    table = _by_subject(sequences, "median_angle_deg", angle_N).sort(
        "median_angle_deg", descending=True, nulls_last=True
    )
    odd = table.filter(pl.col("median_angle_deg") > MAX_ANGLE_DEG)
    worst = table["median_angle_deg"].drop_nulls()
    if worst.is_empty():
        return _no_orientation("agreement", title, method)
    finding = f"They differ by {float(worst.median()):.0f}° in the median subject"
    if odd.is_empty():
        finding += f", by {worst[0]:.0f}° at most."
        return Check("agreement", title, "fine", finding, method, table)
    finding += f", by more than {MAX_ANGLE_DEG:g}° in {len(odd)}{named(odd['subject'])}."
    return Check("agreement", title, "look", finding, method, table)


def named(names: pl.Series) -> str:
    """Return the first few names after a colon, or nothing."""
    listed = [str(name) for name in names.head(MAX_NAMED)]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f": {', '.join(listed)}{more}" if listed else ""


def _no_orientation(name: str, title: str, method: str) -> Check:
    return Check(
        name, title, "unknown", "These recordings have no orientation.", method, pl.DataFrame()
    )


def _by_subject(sequences: Sequences, name: str, values: NDArray[np.floating]) -> pl.DataFrame:
    """Return the median of each subject of one value per sequence or per time step."""
    subjects = sequences.subjects
    if subjects is None:
        subjects = np.full(sequences.num_sequences, "unknown")
    if len(values) != sequences.num_sequences:
        subjects = np.repeat(subjects, sequences.lengths_N)
    rows = pl.DataFrame({"subject": subjects, name: values.astype(np.float64)})
    return rows.group_by("subject").agg(pl.col(name).fill_nan(None).median())


def _sequence_means(sequences: Sequences, values_T3: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each sequence over the steps where all is known, (N, 3)."""
    known_T = ~np.isnan(values_T3).any(axis=1)
    starts = sequences.offsets[:-1]
    sums_N3 = np.add.reduceat(np.where(known_T[:, None], values_T3, 0.0), starts, axis=0)
    counts_N1 = np.add.reduceat(known_T.astype(np.int64), starts)[:, None]
    means_N3 = np.full(sums_N3.shape, np.nan)
    return np.divide(sums_N3, counts_N1, out=means_N3, where=counts_N1 > 0)
