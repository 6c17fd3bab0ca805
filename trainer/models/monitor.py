"""What a model says while it is fitted, and what it asks: the only way out of this room.

In: calls from a fold that is being fitted. Out: whatever the caller makes of them; ``trainer.run``
writes files, a test keeps lists.
"""

from __future__ import annotations

from typing import Any, Protocol


class Paused(Exception):
    """Raised by a fold after it gave back or saved its unfinished work because it was asked to."""


class Monitor(Protocol):
    """Listens to one fold of one model."""

    def should_stop(self) -> bool:
        """Return whether to stop at this safe point; cheap, asked every round and batch."""

    def advance(self, step: int, total: int) -> None:
        """Tell how far the fold is: rounds of rounds, or optimiser steps of steps."""

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Append one line of history: a segment or an epoch with its numbers."""

    def is_save_due(self) -> bool:
        """Return whether the last save is long enough ago."""

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Keep everything that is needed to go on from here, replacing the previous one."""


class SilentMonitor:
    """Never stops, keeps nothing: for fitting a fold outside of a run."""

    def should_stop(self) -> bool:
        """Return False."""
        return False

    def advance(self, step: int, total: int) -> None:
        """Ignore."""

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Ignore."""

    def is_save_due(self) -> bool:
        """Return False."""
        return False

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Ignore."""
