"""Titles of the charts of the Data page.

In: the frames that are drawn. Out: sentences.
"""

from __future__ import annotations

import polars as pl

NONE_MISSING = "No sensor value is missing"


def counts(rows: pl.DataFrame, label: str) -> str:
    """Return the range of the counts; ``rows`` has columns label and count, most first."""
    known = rows.drop_nulls(label)
    if known.is_empty():
        return f"No sequence has a {label}"
    most, fewest = known.row(0, named=True), known.row(-1, named=True)
    if most["count"] == fewest["count"]:
        return f"Every {label} has {most['count']:,} sequences"
    return (
        f"From {fewest['count']:,} sequences ({fewest[label]}) to {most['count']:,} "
        f"({most[label]}) by {label}"
    )


def lengths(rows: pl.DataFrame) -> str:
    """Return the usual lengths of sequences, from the overview."""
    steps = rows["steps"]
    if steps.min() == steps.max():
        return f"Every sequence has {steps[0]:,} time steps"
    low, high = steps.quantile(0.25, "nearest"), steps.quantile(0.75, "nearest")
    return f"Half of the sequences have {low:.0f} to {high:.0f} time steps"


def lengths_by_gesture(boxes: pl.DataFrame) -> str:
    """Return the gesture that takes longest, from the quantiles by gesture."""
    known = boxes.drop_nulls("median").sort("median")
    if known.is_empty():
        return "No sequence has a gesture"
    low, high = known.row(0, named=True), known.row(-1, named=True)
    if low["median"] == high["median"]:
        return f"Every gesture takes {low['median']:.0f} steps in the median"
    return f"{high['gesture']} takes longest: {high['median']:.0f} steps in the median"


def pairs(table: pl.DataFrame) -> str:
    """Return whether every subject made every gesture; ``table`` has one column per subject."""
    counts = table.drop("gesture").to_numpy()
    num_empty = int((counts == 0).sum())
    if num_empty == 0:
        return "Every subject made every gesture"
    return f"{num_empty:,} of {counts.size:,} pairs of subject and gesture have no sequence"


def missing(table: pl.DataFrame) -> str:
    """Return the sensor with most missing values, from ``recordings.missing_by_subject``."""
    shares = table.drop("subject").max()
    highest = max(shares.row(0))
    if highest == 0:
        return NONE_MISSING
    sensor = next(name for name in shares.columns if shares[name][0] == highest)
    subject = table.filter(pl.col(sensor) == highest)["subject"][0]
    return f"Most missing: {sensor} of {subject or 'an unknown subject'}, {100 * highest:.0f} %"


def phase_note(phases: pl.DataFrame) -> str:
    """Return the time of the gesture itself, from ``recordings.phase_bands``."""
    gesture = phases.filter(phase="gesture")
    if gesture.is_empty():
        return (
            "No step of it is marked as the gesture itself."
            if len(phases)
            else "These recordings have no column phase that marks the gesture."
        )
    spans = [f"{a:.1f} s to {b:.1f} s" for a, b in gesture.select("from_s", "to_s").rows()]
    return (
        f"The gesture itself, shaded: {', '.join(spans)}; before it the hand moves to its target."
    )
