"""Wearing: whose device looks reversed, told from where gravity lies in its axes.

In: ``Sequences``. Out: a frame with one row per subject.

How it is decided: for each subject and gesture the mean acceleration, as a part of 9.81 m/s2, says
how the wrist was held. It is compared with the median over all other subjects, as recorded and as
if the device had been turned by 180 degrees about x, y or z; the distance is the root mean square
over the gestures. Where a turn brings a subject clearly nearer to the others (LOOKS_REVERSED), the
device looks reversed; where a little, it is doubtful. Left-handers are mirrored first, as for the
models. Tried by turning each subject of real recordings (tests/test_page_data.py): in ``watch`` all
30 turns of 10 subjects were found and nobody else was; in the 27 subjects of an arm band two were
found who clearly do wear it the other way round.

Shapes: N sequences, S subjects, K gestures.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data import measures
from trainer.data.preprocess import GRAVITY_MPS2
from trainer.data.sequences import Sequences

Means = NDArray[np.float64]

MIN_SUBJECTS = 4  # with fewer, nobody knows who is the odd one out
LOOKS_REVERSED = 0.8  # of the distance as recorded: the turned one is clearly nearer
MIN_DISTANCE = 0.3  # of gravity: nearer than that, a subject is held like the others anyway
TURNS = {f"180° about {axis}": turn for axis, turn in measures.TURNS.items()}
MIRROR = np.array([-1.0, 1.0, 1.0])  # a left wrist as a right one (trainer.data.preprocess)
REVERSED, DOUBTFUL, LIKE_OTHERS = "looks reversed", "doubtful", "like the others"


def worn_directions(sequences: Sequences) -> pl.DataFrame | None:
    """Return who wears the device how.

    Returns:
        Columns subject, verdict, distance_as_recorded ( to the others, in parts of gravity),
        best_turn, distance_when_turned (after it), sequences; the oddest first. None where
        there are fewer than MIN_SUBJECTS subjects.
    """
    if sequences.subjects is None:
        return None
    names, subject_idx = np.unique(sequences.subjects, return_inverse=True)
    if len(names) < MIN_SUBJECTS:
        return None
    means_SK3 = _held(sequences, subject_idx, len(names))
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


def _held(sequences: Sequences, subject_idx: NDArray[np.int64], num_subjects: int) -> Means:
    """Return the mean acceleration of each subject and gesture, (S, K, 3), NaN without any."""
    mean_N3 = measures.mean_acceleration(sequences) / GRAVITY_MPS2
    mean_N3[sequences.right_handed_N == 0] *= MIRROR
    label_idx = sequences.label_idx
    if label_idx is None:
        label_idx = np.zeros(sequences.num_sequences, dtype=np.int64)
    num_gestures = int(label_idx.max()) + 1
    total_SK3 = np.zeros((num_subjects, num_gestures, 3))
    count_SK = np.zeros((num_subjects, num_gestures))
    known_N = ~np.isnan(mean_N3).any(axis=1)
    places = (subject_idx[known_N], label_idx[known_N])
    np.add.at(total_SK3, places, mean_N3[known_N])
    np.add.at(count_SK, places, 1)
    empty = np.full_like(total_SK3, np.nan)
    return np.divide(total_SK3, count_SK[..., None], out=empty, where=count_SK[..., None] > 0)


def _judge(means_SK3: Means, subject: int) -> dict[str, str | float | None]:
    own_K3 = means_SK3[subject]
    others_SK3 = np.delete(means_SK3, subject, axis=0)
    both_K = ~np.isnan(own_K3[:, 0]) & ~np.isnan(others_SK3[..., 0]).all(axis=0)
    if not both_K.any():  # a gesture that nobody else made
        return {
            "verdict": DOUBTFUL,
            "distance_as_recorded": None,
            "best_turn": None,
            "distance_when_turned": None,
        }
    own_K3 = own_K3[both_K]
    others_K3 = np.nanmedian(others_SK3[:, both_K], axis=0)
    as_recorded = _distance(own_K3, others_K3)
    turned = {name: _distance(own_K3 * turn, others_K3) for name, turn in TURNS.items()}
    best = min(turned, key=lambda name: turned[name])
    verdict = LIKE_OTHERS
    if as_recorded > MIN_DISTANCE and turned[best] < as_recorded:
        verdict = REVERSED if turned[best] < LOOKS_REVERSED * as_recorded else DOUBTFUL
    return {
        "verdict": verdict,
        "distance_as_recorded": as_recorded,
        "best_turn": best,
        "distance_when_turned": turned[best],
    }


def _distance(own_K3: Means, others_K3: Means) -> float:
    return float(np.sqrt(((own_K3 - others_K3) ** 2).sum(axis=1).mean()))
