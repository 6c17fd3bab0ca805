"""Contents of the sequences: copies of each other, and the phase of the gesture.

In: ``Sequences``. Out: ``Check``s.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import polars as pl

from trainer.data.quality.findings import (
    NO_EVIDENCE,
    Check,
    Finding,
    list_first,
    sequence_table,
    share_text,
)
from trainer.data.sequences import Sequences


def check_duplicates(sequences: Sequences) -> Check:
    """Find sequences that have the same values as another one."""
    rows = sequence_table(sequences)
    same = (
        rows.with_columns(content=pl.Series(sequence_digests(sequences)))
        .with_columns(
            num_same=pl.len().over("content"),
            subjects=pl.col("subject").n_unique().over("content"),
            gestures=pl.col("gesture").n_unique().over("content"),
        )
        .filter(pl.col("num_same") > 1)
        .with_columns(copy_of=pl.col("sequence_id").first().over("content"))
    )
    method = (
        "Sequences with the same values in every channel; their ids may differ. A copy under "
        "another subject can be in training and validation at once, so that the score is too high."
    )
    title = "Duplicate sequences"
    if same.is_empty():
        finding = Finding("note", f"all {len(rows):,} sequences differ")
        return Check("duplicates", title, (finding,), method, NO_EVIDENCE)
    num_copies = len(same) - same["content"].n_unique()
    num_across = len(same.filter((pl.col("subjects") > 1) | (pl.col("gestures") > 1)))
    what = f"{num_copies:,} of {len(rows):,} sequences are copies of another one"
    what += f"; {num_across:,} under several subjects or gestures" if num_across else ""
    table = same.sort("copy_of", "sequence_id").select(
        "sequence_id", "copy_of", "subject", "gesture", "steps"
    )
    return Check("duplicates", title, (Finding("warning", what),), method, table)


def sequence_digests(sequences: Sequences) -> list[bytes]:
    """Return a digest of all sensor values of each sequence, not of its id."""
    arrays = tuple(sequences.arrays.values())
    found = []
    for start, stop in pairwise(sequences.offsets.tolist()):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(array[start:stop].tobytes())
        found.append(digest.digest())
    return found


def check_phases(sequences: Sequences) -> Check:
    """Find sequences without a time step of the gesture itself."""
    title = "Gesture phase in every sequence"
    method = (
        "From the column phase, which people annotated; it is never an input of the models. The "
        "phase of the gesture is usually at the end."
    )
    if sequences.phase_T is None or (sequences.phase_T < 0).all():
        finding = Finding("note", "these recordings have no column phase")
        return Check("phases", title, (finding,), method, NO_EVIDENCE, is_possible=False)
    is_gesture_T = (sequences.phase_T == 1).astype(np.int64)
    num_steps_N = np.add.reduceat(is_gesture_T, sequences.offsets[:-1])
    rows = sequence_table(sequences).with_columns(gesture_steps=num_steps_N)
    table = rows.sort("gesture_steps", "sequence_id")
    without_N = num_steps_N == 0
    if without_N.any():
        names = list_first(sequences.sequence_ids[without_N].tolist())
        what = f"no time step of the gesture in {share_text(without_N)}: {names}"
        finding = Finding("warning", what)
    else:
        got = f"{np.median(num_steps_N):.0f} time steps in the median"
        finding = Finding("note", "every sequence has time steps of the gesture", got=got)
    return Check("phases", title, (finding,), method, table)
