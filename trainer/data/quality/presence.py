"""Presence of sensors: which ones the recordings have, missing values, and on which hand.

In: ``Sequences``. Out: ``Check``s.

Shapes: N sequences, T time steps of all sequences, C columns of one sensor group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.quality import bounds
from trainer.data.quality.findings import Check, Finding, Mask, first_of, list_first, share_text
from trainer.data.quality.values import Channel, channels
from trainer.data.sequences import SENSOR_GROUPS, Sequences

GROUP_TITLES = {
    "acc": "acceleration",
    "rot": "orientation",
    "thm": "thermopiles",
    "tof": "time of flight",
}


def check_sensors(sequences: Sequences) -> Check:
    """Check which sensors the recordings have, and how many of their values are missing."""
    presence = sequences.presence()
    findings: list[Finding] = []
    rows: list[dict[str, str | int | float]] = []
    for group in SENSOR_GROUPS:
        missing_N = _missing_shares(sequences, group)
        present_N = presence.get(group, np.zeros(sequences.num_sequences, dtype=bool))
        findings += _sensor_findings(sequences, group, present_N, missing_N)
        rows.append(
            {
                "sensor": GROUP_TITLES[group],
                "sequences": int(present_N.sum()),
                "missing": float(np.average(missing_N, weights=sequences.lengths_N)),
            }
        )
    findings += [_image_finding(each) for each in channels(sequences) if each.group == "tof"]
    limits = ", ".join(
        f"{GROUP_TITLES[key]} {most:.0%}" for key, most in bounds.MAX_MISSING.items()
    )
    method = (
        f"By the share of missing values in each sequence that has the sensor; at most: {limits}. "
        "A time-of-flight sensor has nothing in range in 57 % of the competition's pixels; "
        f"{bounds.MAX_NOTHING_IN_RANGE:.0%} or more is doubtful. The table counts the sequences "
        "that have the sensor, and all values that are missing."
    )
    title = "Sensors and missing values"
    return Check("sensors", title, tuple(findings), method, pl.DataFrame(rows))


def _missing_shares(sequences: Sequences, group: str) -> NDArray[np.float64]:
    """Return the share of missing values in each sequence, (N,)."""
    values_TC = sequences.arrays.get(group)
    if values_TC is None:
        return np.ones(sequences.num_sequences)
    missing_T = np.isnan(values_TC).mean(axis=1)
    return np.add.reduceat(missing_T, sequences.offsets[:-1]) / sequences.lengths_N


def _sensor_findings(
    sequences: Sequences, group: str, present_N: Mask, missing_N: NDArray[np.float64]
) -> Iterator[Finding]:
    title, ids = GROUP_TITLES[group], sequences.sequence_ids
    if not present_N.any():
        yield Finding("note", f"no {title} in the recording", channel=group)
        return
    if not present_N.all():
        absent_N = ~present_N
        what = f"no {title} in {share_text(absent_N)}"
        yield Finding("note", what, sequence_id=first_of(absent_N, ids), channel=group)
    above_N = present_N & (missing_N > bounds.MAX_MISSING[group])
    if above_N.any():
        yield Finding(
            "warning",
            f"much of the {title} is missing in {share_text(above_N)}",
            expected=f"at most {bounds.MAX_MISSING[group]:.0%} of the values",
            got=f"up to {missing_N[above_N].max():.0%}",
            sequence_id=first_of(above_N, ids),
            channel=group,
        )
        return
    share = np.average(missing_N[present_N], weights=sequences.lengths_N[present_N])
    got = f"{share:.1%} of the values missing" if share else "every value"
    yield Finding("note", f"{title} present", got=got, channel=group)


def _image_finding(channel: Channel) -> Finding:
    """Return how often one time-of-flight sensor has nothing in range."""
    num_known = int((~np.isnan(channel.values)).sum())
    if num_known == 0:
        return Finding("note", "the sensor has no values", channel=channel.name)
    share = float((channel.values == bounds.TOF_RANGE[0]).sum()) / num_known
    is_doubtful = share >= bounds.MAX_NOTHING_IN_RANGE
    return Finding(
        "warning" if is_doubtful else "note",
        "nothing in range almost always" if is_doubtful else "nothing in range",
        expected="about 57 % of the pixels",
        got=f"{share:.0%}",
        channel=channel.name,
    )


def check_hands(sequences: Sequences, mirror_left_handers: bool | None = None) -> Check:
    """Check which recordings are from left hands, and of which the hand is not known.

    Args:
        sequences: The recordings.
        mirror_left_handers: Whether the models are given left-handers mirrored; None: not known.
    """
    left_N = sequences.right_handed_N == 0
    unknown_N = np.isnan(sequences.right_handed_N)
    ids = sequences.sequence_ids
    findings = []
    if left_N.any():
        what = f"left hand in {share_text(left_N)}{_whose(sequences, left_N)}"
        if mirror_left_handers is not None:
            what += ", mirrored for the models" if mirror_left_handers else ", used as recorded"
        findings.append(Finding("note", what, sequence_id=first_of(left_N, ids)))
    if unknown_N.any():
        findings.append(
            Finding(
                "note" if unknown_N.all() else "warning",
                f"the hand is not known in {share_text(unknown_N)}{_whose(sequences, unknown_N)}; "
                "taken for a right hand",
                sequence_id=first_of(unknown_N, ids),
            )
        )
    if not findings:
        findings.append(Finding("note", "right hand in every sequence"))
    method = (
        "From the demographics, column handedness. The models are given left-handers mirrored "
        "where the run's setting mirror_left_handers is on; an unknown hand is used as recorded."
    )
    table = _hands_by_subject(sequences)
    return Check(
        "hands", "Left-handers", tuple(findings), method, table, is_possible=not unknown_N.all()
    )


def _whose(sequences: Sequences, mask_N: Mask) -> str:
    """Return the subjects of a part of several sequences, in brackets."""
    if sequences.subjects is None or mask_N.all():
        return ""
    return f" ({list_first(np.unique(sequences.subjects[mask_N]).tolist())})"


def _hands_by_subject(sequences: Sequences) -> pl.DataFrame:
    """Return one row per subject and hand: columns subject, hand, sequences."""
    num, subjects = sequences.num_sequences, sequences.subjects
    hands = {1.0: "right", 0.0: "left"}
    rows = pl.DataFrame(
        {
            "subject": pl.Series([None] * num if subjects is None else subjects, dtype=pl.String),
            "hand": [hands.get(hand, "unknown") for hand in sequences.right_handed_N.tolist()],
        }
    )
    counts = rows.group_by("hand", "subject").agg(sequences=pl.len())
    return counts.sort("hand", "subject").select("subject", "hand", "sequences")
