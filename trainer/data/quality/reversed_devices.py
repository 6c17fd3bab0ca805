"""Reversed devices: subjects whose device orientation differs from the others' by 180 degrees.

In: ``Sequences``. Out: a ``Check`` with one row of evidence per subject. How it is decided:
``trainer.data.device_orientation``. Tried by rotating each subject of real recordings: in ``watch``
all 30 rotations of 10 subjects were found and no others; among the 27 subjects of an arm band two
were found whose device clearly is reversed.

Shapes: S subjects, K gestures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from trainer.data import device_orientation
from trainer.data.device_orientation import HALF_TURNS, LOOKS_REVERSED, MIN_SUBJECTS, find_reversed
from trainer.data.quality.findings import MAX_NAMED, NO_EVIDENCE, Check, Finding, list_first
from trainer.data.sequences import Sequences

REVERSED, DOUBTFUL, USUAL = "looks reversed", "doubtful", "like the others"
ROTATIONS = {axis: f"180° about {axis}" for axis in HALF_TURNS}


def check_device_orientation(sequences: Sequences) -> Check:
    """Look for subjects whose device is rotated by 180 degrees."""
    title = "Device orientation"
    method = (
        "A subject's mean acceleration in each gesture shows the direction of gravity in the "
        "device's axes. It is compared with the median of all other subjects, as recorded and "
        "rotated by 180° about x, y or z; distances are parts of gravity. A device looks reversed "
        f"where a rotation brings it below {LOOKS_REVERSED:g} of the distance as recorded, and is "
        "doubtful where a rotation helps less. Where this is also the result without using the "
        "gestures, and the rotation is about z, the orientation is corrected for the models "
        "(setting turn_reversed)."
    )
    table = device_orientations(sequences)
    if table is None:
        finding = Finding("note", f"at least {MIN_SUBJECTS} subjects are needed for a comparison")
        return Check("reversed", title, (finding,), method, NO_EVIDENCE, is_possible=False)
    findings = tuple(_findings(sequences, table))
    return Check("reversed", title, findings, method, table)


def device_orientations(sequences: Sequences) -> pl.DataFrame | None:
    """Return the device orientation of each subject.

    Returns:
        Columns subject, device_orientation, distance_as_recorded (to the others, in parts of
        gravity), best_rotation, distance_when_rotated (after it), sequences; the most unusual
        first. None where there are fewer than four subjects.
    """
    if sequences.subjects is None:
        return None
    names, subject_idx = np.unique(sequences.subjects, return_inverse=True)
    if len(names) < MIN_SUBJECTS:
        return None
    poses_SK3 = device_orientation.poses_by_subject(
        device_orientation.wrist_poses(sequences), subject_idx, len(names), sequences.label_idx
    )
    rows = [_row(poses_SK3, s) for s in range(len(names))]
    counts = np.bincount(subject_idx)
    table = pl.DataFrame({"subject": names, "sequences": counts}).hstack(pl.DataFrame(rows))
    share = pl.col("distance_when_rotated") / pl.col("distance_as_recorded")
    return table.sort(share, "subject").select(
        "subject",
        "device_orientation",
        "distance_as_recorded",
        "best_rotation",
        "distance_when_rotated",
        "sequences",
    )


def _row(poses_SK3: device_orientation.Vectors, subject: int) -> dict[str, str | float | None]:
    found = device_orientation.compare_with_others(poses_SK3, subject)
    if np.isnan(found.distance):
        return {
            "device_orientation": DOUBTFUL,
            "distance_as_recorded": None,
            "best_rotation": None,
            "distance_when_rotated": None,
        }
    kind = REVERSED if found.looks_reversed else DOUBTFUL if found.is_odd else USUAL
    return {
        "device_orientation": kind,
        "distance_as_recorded": found.distance,
        "best_rotation": ROTATIONS[found.best_axis],
        "distance_when_rotated": found.rotated_distance,
    }


def _findings(sequences: Sequences, table: pl.DataFrame) -> Iterator[Finding]:
    unusual = table.filter(pl.col("device_orientation") != USUAL)
    if unusual.is_empty():
        yield Finding("note", f"the device orientation of all {len(table)} subjects is the same")
        return
    found = unusual.filter(device_orientation=REVERSED)
    what = f"the device looks reversed for {len(found)} of {len(table)} subjects"
    what += f", doubtful for {len(unusual) - len(found)}" if len(unusual) > len(found) else ""
    yield Finding("warning", what)
    for row in found.head(MAX_NAMED).iter_rows(named=True):
        yield Finding(
            "warning",
            f"subject {row['subject']}: {row['best_rotation']} fits better, "
            f"{row['distance_when_rotated']:.2f} of gravity from the others instead of "
            f"{row['distance_as_recorded']:.2f}",
        )
    corrected = find_reversed(sequences)
    if corrected:
        yield Finding("warning", f"corrected for the models by default: {list_first(corrected)}")
