"""Wearing: whose device looks reversed, gesture by gesture, as a table.

In: ``Sequences``. Out: a frame with one row per subject. How it is decided:
``trainer.data.device_orientation``.
Tried by turning each subject of real recordings (tests/pages/data/test_checks.py): in ``watch`` all
30 turns of 10 subjects were found and nobody else was; in the 27 subjects of an arm band two were
found who clearly do wear it the other way round.

Shapes: S subjects, K gestures.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trainer.data import device_orientation, measures
from trainer.data.sequences import Sequences

TURN_NAMES = {axis: f"180° about {axis}" for axis in measures.TURNS}
REVERSED, DOUBTFUL, LIKE_OTHERS = "looks reversed", "doubtful", "like the others"


def worn_directions(sequences: Sequences) -> pl.DataFrame | None:
    """Return who wears the device how.

    Returns:
        Columns subject, verdict, distance_as_recorded ( to the others, in parts of gravity),
        best_turn, distance_when_turned (after it), sequences; the oddest first. None where
        there are fewer than four subjects.
    """
    if sequences.subjects is None:
        return None
    names, subject_idx = np.unique(sequences.subjects, return_inverse=True)
    if len(names) < device_orientation.MIN_SUBJECTS:
        return None
    means_SK3 = device_orientation.held_by_subject(
        device_orientation.held(sequences), subject_idx, len(names), sequences.label_idx
    )
    rows = [_judge(means_SK3, s) for s in range(len(names))]
    counts = np.bincount(subject_idx)
    table = pl.DataFrame({"subject": names, "sequences": counts}).hstack(pl.DataFrame(rows))
    share = pl.col("distance_when_turned") / pl.col("distance_as_recorded")
    return table.sort(share, "subject").select(
        "subject",
        "verdict",
        "distance_as_recorded",
        "best_turn",
        "distance_when_turned",
        "sequences",
    )


def _judge(means_SK3: device_orientation.Means, subject: int) -> dict[str, str | float | None]:
    worn = device_orientation.derive_state(means_SK3, subject)
    if np.isnan(worn.distance):
        return {
            "verdict": DOUBTFUL,
            "distance_as_recorded": None,
            "best_turn": None,
            "distance_when_turned": None,
        }
    derived = REVERSED if worn.looks_reversed else DOUBTFUL if worn.is_odd else LIKE_OTHERS
    return {
        "verdict": derived,
        "distance_as_recorded": worn.distance,
        "best_turn": TURN_NAMES[worn.best_axis],
        "distance_when_turned": worn.turned_distance,
    }
