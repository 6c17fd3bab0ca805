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

from pages.ui.data import orientation_table
from pages.ui.shared import recordings
from trainer.data import measures
from trainer.data.device_orientation import LOOKS_REVERSED, MIN_SUBJECTS, find_reversed
from trainer.data.preprocess import MIN_QUATERNION_NORM, MOTION_SIGNALS, preprocess
from trainer.data.sequences import Sequences

DerivedState = Literal["fine", "look", "unknown"]

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
    derived: DerivedState
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
        f"turn brings it below {LOOKS_REVERSED:g} of the distance as recorded, and is "
        "doubtful where a turn helps less. Where the same is seen without looking at gestures and "
        "the turn is about z, the models see the recordings turned back (setting turn_reversed)."
    )
    table = orientation_table.worn_directions(sequences)
    if table is None:
        finding = f"Needs at least {MIN_SUBJECTS} subjects to tell who is different."
        return Check("reversed", title, "unknown", finding, method, pl.DataFrame())
    odd = table.filter(pl.col("verdict") != orientation_table.LIKE_OTHERS)
    if odd.is_empty():
        finding = f"All {len(table)} subjects wear it alike."
        return Check("reversed", title, "fine", finding, method, table)
    turned = odd.filter(derived=orientation_table.REVERSED)
    parts = [
        f"{row['subject']}: {row['best_turn']} fits better, "
        f"{row['distance_when_turned']:.2f} of gravity from the others instead of "
        f"{row['distance_as_recorded']:.2f}"
        for row in turned.head(MAX_NAMED).iter_rows(named=True)
    ]
    turned_back = find_reversed(sequences)
    if turned_back:
        names = ", ".join(turned_back[:MAX_NAMED])
        parts.append(f"By default the models see {names} turned back")
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
    found = measures.measure_acceleration(sequences)
    held_N = np.linalg.norm(measures.mean_acceleration(sequences), axis=1)
    table = (
        _by_subject(sequences, "median_length_mps2", found.median_N)
        .join(_by_subject(sequences, "median_held_mps2", held_N), on="subject", nulls_equal=True)
        .sort("median_length_mps2")
    )
    seen = f"The acceleration has a median length of {np.median(found.median_N):.2f}"
    derived: DerivedState = "fine" if found.usual_N.all() else "look"
    finding = f"{seen} m/s²: metres per second squared, gravity included."
    told = (
        (found.in_g_N, "it looks like g, not m/s²; multiply it by 9.81"),
        (found.in_mg_N, "it looks like thousandths of g; multiply it by 0.00981"),
        (found.without_N, "gravity looks removed"),
        (found.strong_N, "it is stronger than a hand's; check its unit"),
    )
    parts = [
        f"in {mask_N.sum():,} of {len(mask_N):,} sequences {what}"
        for mask_N, what in told
        if mask_N.any()
    ]
    if parts:
        finding = f"{seen}: {'; '.join(parts)}."
    low, high = measures.WITH_GRAVITY_MPS2
    method = (
        "By the length in each sequence, at rest 9.81 m/s² where gravity is included: "
        f"{low:g} to {high:g} in the median is taken as that, {measures.IN_G[0]:g} to "
        f"{measures.IN_G[1]:g} as g where something is always there. Held: the length of a "
        "sequence's mean, which is near 0 where gravity was removed."
    )
    return Check("gravity", "Acceleration: unit and gravity", derived, finding, method, table)


def orientation_length(sequences: Sequences) -> Check:
    """Check that orientations are rotations: quaternions of length 1."""
    title = "Orientation: quaternions of length 1"
    method = (
        f"A rotation has length 1; off by more than {measures.NORM_TOLERANCE:g} is counted. Below "
        f"{MIN_QUATERNION_NORM:g} an orientation counts as missing; others are brought to length 1."
    )
    if sequences.rot_T4 is None:
        return _no_orientation("norms", title, method)
    norm_T, off_T = measures.off_unit(sequences.rot_T4)
    known = int((~np.isnan(norm_T)).sum())
    table = recordings.norm_counts(sequences)
    num_off, num_short = int(off_T.sum()), int((norm_T < MIN_QUATERNION_NORM).sum())
    finding = f"{num_off:,} of {known:,} orientations are off 1, {num_short:,} of them too short."
    if not num_off:
        finding = f"All {known:,} orientations have length 1."
    derived: DerivedState = "look" if num_off else "fine"
    return Check("norms", title, derived, finding, method, table)


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
    up_N3 = measures.means(up_T3, sequences.offsets)
    acc_N3 = measures.mean_acceleration(sequences)
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
