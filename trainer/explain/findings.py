"""A finding: one thing that was noticed about recordings, in plain words.

In: nothing. Out: ``Finding``, and the counting of sequences that share one.

Shapes: N sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """What the doctor noticed.

    Attributes:
        severity: "note" tells what is there, "warning" what makes an answer doubtful.
        what: The finding, a sentence.
        expected: What recordings like those of the competition have; empty where nothing is.
        got: What is there instead, in numbers.
        sequence_id: The first sequence it is about; None is all of them.
        channel: The column or sensor it is about; None is no single one.
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
        expected = f"expected {self.expected}" if self.expected else ""
        got = f"got {self.got}" if self.got else ""
        numbers = ", ".join(part for part in (expected, got) if part)
        return f"{about + ': ' if about else ''}{self.what}{': ' + numbers if numbers else ''}"


def first_of(mask_N: Mask, sequence_ids: NDArray[np.str_]) -> str | None:
    """Return the id of the first sequence of a mask; None where it is all of several."""
    return None if mask_N.all() and len(mask_N) > 1 else str(sequence_ids[int(np.argmax(mask_N))])


def share_text(mask_N: Mask) -> str:
    """Return how many of the sequences it is: "3 of 12 sequences"."""
    if len(mask_N) == 1:
        return "the sequence"
    count = int(mask_N.sum())
    return f"all {count} sequences" if mask_N.all() else f"{count} of {len(mask_N)} sequences"
