"""Checks of values: ranges, channels that stand still, missing phases, the same sequence twice.

In: ``Sequences``. Out: ``Check``s, as in ``checks``; and all of them in the order they are shown.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pages.ui.data import checks
from pages.ui.data.checks import Check
from pages.ui.shared import recordings
from trainer.data import measures
from trainer.data.sequences import Sequences

NOTHING = pl.DataFrame()


def all_checks(sequences: Sequences) -> tuple[Check, ...]:
    """Return every check of the recordings, in the order they are shown."""
    return (
        checks.reversed_devices(sequences),
        checks.hands(sequences),
        checks.gravity(sequences),
        checks.orientation_length(sequences),
        checks.orientation_agrees(sequences),
        ranges(sequences),
        stuck_channels(sequences),
        duplicates(sequences),
        phases(sequences),
    )


def ranges(sequences: Sequences) -> Check:
    """Check that every channel's values are ones that the device can give."""
    table = recordings.value_ranges(sequences)
    odd = table.filter(pl.col("outside") > 0)
    method = (
        "Expected: acceleration within 16 g, quaternion parts within 1, thermopiles 18 to 40 °C "
        "(the competition's best took others as corrupt), time of flight -1 (nothing in range) to "
        "254. Models see the values as they came."
    )
    finding = f"All values of {len(table)} channels are within what the device can give."
    if len(odd):
        worst = odd.sort("outside", descending=True).row(0, named=True)
        finding = (
            f"{len(odd)} of {len(table)} channels have values out of range, most of all "
            f"{worst['channel']}: {100 * worst['outside']:.3g} % of its values, "
            f"{worst['lowest']:.4g} to {worst['highest']:.4g}."
        )
    return Check(
        "ranges", "Values in range", "look" if len(odd) else "fine", finding, method, table
    )


def stuck_channels(sequences: Sequences) -> Check:
    """Find sequences in which a channel never moves."""
    rows = []
    for name, values_T in recordings.single_channels(sequences):
        stuck_N, low_N = measures.stuck(values_T, sequences.offsets)
        rows += [
            {
                "sequence_id": str(sequences.sequence_ids[n]),
                "subject": None if sequences.subjects is None else str(sequences.subjects[n]),
                "channel": name,
                "value": float(low_N[n]),
            }
            for n in np.flatnonzero(stuck_N)
        ]
    method = (
        f"A channel that has one and the same value through a sequence, {measures.STUCK_STEPS} "
        "known values or more, though a wrist is never quite still."
    )
    title = "Channels that stand still"
    if not rows:
        return Check("stuck", title, "fine", "None does in any sequence.", method, NOTHING)
    table = pl.DataFrame(rows)
    finding = (
        f"In {table['sequence_id'].n_unique():,} of {sequences.num_sequences:,} sequences; the "
        f"channels: {', '.join(table['channel'].unique(maintain_order=True))}."
    )
    return Check("stuck", title, "look", finding, method, table)


def duplicates(sequences: Sequences) -> Check:
    """Find sequences that hold the same values as another one."""
    digests = measures.digests(sequences)
    rows = recordings.overview(sequences).select("sequence_id", "subject", "gesture", "steps")
    same = (
        rows.with_columns(content=pl.Series(digests))
        .with_columns(
            num_same=pl.len().over("content"),
            subjects=pl.col("subject").n_unique().over("content"),
            gestures=pl.col("gesture").n_unique().over("content"),
        )
        .filter(pl.col("num_same") > 1)
        .with_columns(copy_of=pl.col("sequence_id").first().over("content"))
    )
    method = (
        "Sequences with the same values in every channel, whatever they are called. A copy under "
        "another subject can be in training and validation at once, and flatters the score."
    )
    title = "The same sequence twice"
    if same.is_empty():
        finding = f"All {len(rows):,} sequences differ."
        return Check("duplicates", title, "fine", finding, method, NOTHING)
    num_copies = len(same) - same["content"].n_unique()
    finding = f"{num_copies:,} of {len(rows):,} sequences are copies of another one"
    across = same.filter((pl.col("subjects") > 1) | (pl.col("gestures") > 1))
    finding += f"; {len(across):,} under several subjects or gestures" if len(across) else ""
    table = same.sort("copy_of", "sequence_id").select(
        "sequence_id", "copy_of", "subject", "gesture", "steps"
    )
    return Check("duplicates", title, "look", f"{finding}.", method, table)


def phases(sequences: Sequences) -> Check:
    """Find sequences without a stretch of the gesture itself."""
    title = "Every sequence has its gesture"
    method = (
        "By the column phase, which people wrote; models never see it. The gesture is the stretch "
        "that counts, usually at the end."
    )
    if sequences.phase_T is None or (sequences.phase_T < 0).all():
        finding = "These recordings do not say where the gesture begins."
        return Check("phases", title, "unknown", finding, method, NOTHING)
    num_gesture_N = np.add.reduceat(
        (sequences.phase_T == 1).astype(np.int64), sequences.offsets[:-1]
    )
    rows = recordings.overview(sequences).select("sequence_id", "subject", "gesture", "steps")
    table = rows.with_columns(gesture_steps=num_gesture_N).sort("gesture_steps", "sequence_id")
    without = table.filter(gesture_steps=0)
    if len(without):
        finding = (
            f"{len(without):,} of {len(table):,} sequences have no step of the gesture"
            f"{checks.named(without['sequence_id'])}."
        )
        return Check("phases", title, "look", finding, method, table)
    median_steps = table["gesture_steps"].median()
    finding = f"All {len(table):,} do; its length is {median_steps:.0f} steps in the median."
    return Check("phases", title, "fine", finding, method, table)
