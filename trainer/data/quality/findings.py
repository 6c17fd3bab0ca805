"""Findings and checks: the quality of recordings, as text and as evidence.

In: nothing. Out: ``Finding``, ``Check``, and words that both use.

Shapes: N sequences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.sequences import Sequences

CheckState = Literal["fine", "look", "unknown"]
Mask = NDArray[np.bool_]

NO_EVIDENCE = pl.DataFrame()
MAX_NAMED = 3  # names that a text lists before it only counts


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        severity: "note" describes the recordings, "warning" makes a prediction or a score doubtful.
        what: The finding, a sentence.
        expected: What recordings like those of the competition have; empty where it does not apply.
        got: What these recordings have, in numbers.
        sequence_id: The first affected sequence; None where all are affected.
        channel: The affected column or sensor; None where no single one is.
    """

    severity: Literal["note", "warning"]
    what: str
    expected: str = ""
    got: str = ""
    sequence_id: str | None = None
    channel: str | None = None

    @property
    def line(self) -> str:
        """Return the finding as one line of text."""
        about = ", ".join(part for part in (self.sequence_id, self.channel) if part)
        numbers = f"expected {self.expected}, got {self.got}" if self.expected else self.got
        return f"{about + ': ' if about else ''}{self.what}{': ' + numbers if numbers else ''}"


@dataclass(frozen=True)
class Check:
    """One check of the recordings with its evidence.

    Attributes:
        name: Short name, for a download.
        title: What is checked.
        findings: The results; at least one.
        method: How the results were obtained, for people.
        table: The evidence; may be empty.
        is_possible: Whether the recordings have what the check needs.
    """

    name: str
    title: str
    findings: tuple[Finding, ...]
    method: str
    table: pl.DataFrame
    is_possible: bool = True

    @property
    def state(self) -> CheckState:
        """Return "look" where a finding is a warning, "unknown" where the check is impossible."""
        if not self.is_possible:
            return "unknown"
        return "look" if warnings(self.findings) else "fine"


def warnings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the warnings among findings."""
    return tuple(finding for finding in findings if finding.severity == "warning")


def first_of(mask_N: Mask, sequence_ids: NDArray[np.str_]) -> str | None:
    """Return the id of the first sequence of a mask; None where it is all of several."""
    return None if mask_N.all() and len(mask_N) > 1 else str(sequence_ids[int(np.argmax(mask_N))])


def share_text(mask_N: Mask) -> str:
    """Return how many of the sequences a mask has, such as "3 of 12 sequences"."""
    if len(mask_N) == 1:
        return "the sequence"
    count = int(mask_N.sum())
    return f"all {count:,} sequences" if mask_N.all() else f"{count:,} of {len(mask_N):,} sequences"


def list_first(names: Iterable[object]) -> str:
    """Return the first few names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - MAX_NAMED} more" if len(listed) > MAX_NAMED else ""
    return ", ".join(listed[:MAX_NAMED]) + more


def sequence_table(sequences: Sequences) -> pl.DataFrame:
    """Return one row per sequence: sequence_id, subject, gesture, steps."""
    labels, label_idx = sequences.labels, sequences.label_idx
    num, subjects = sequences.num_sequences, sequences.subjects
    gestures: list[str | None] = [None] * num
    if labels is not None and label_idx is not None:
        gestures = [labels.gestures[k] for k in label_idx]
    return pl.DataFrame(
        {
            "sequence_id": sequences.sequence_ids.tolist(),
            "subject": pl.Series([None] * num if subjects is None else subjects, dtype=pl.String),
            "gesture": pl.Series(gestures, dtype=pl.String),
            "steps": sequences.lengths_N,
        }
    )


def median_by_subject(
    sequences: Sequences, name: str, values_N: NDArray[np.float64]
) -> pl.DataFrame:
    """Return the median of one value per sequence for each subject: columns subject, ``name``."""
    subjects = sequences.subjects
    if subjects is None:
        subjects = np.full(sequences.num_sequences, "unknown")
    rows = pl.DataFrame({"subject": subjects, name: values_N})
    return rows.group_by("subject").agg(pl.col(name).fill_nan(None).median())
