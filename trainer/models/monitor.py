"""The monitor of a fit: receives progress, history and checkpoints, and requests a stop.

It is the only way in which fitting has an effect outside. In: calls from a fold that is being
fitted. Out: what the implementation does with them; ``trainer.run`` writes files.
"""

from __future__ import annotations

from typing import Any, Protocol


class Paused(Exception):
    """Raised by a fold that stops on request, after it has saved or discarded unfinished work."""


class Monitor(Protocol):
    """Receives the calls of one fold of one model."""

    def should_stop(self) -> bool:
        """Return whether to stop at this safe point; cheap, called every round and batch."""

    def advance(self, step: int, total: int) -> None:
        """Report progress: finished rounds or optimizer steps, and their total."""

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Append a record to the history.

        Args:
            event: "segment" or "epoch": both are points of the fold's curves.
            values: Metrics at this point: ``step`` (or ``epoch``), ``train_loss``, ``valid_loss``,
                ``score``, ``binary_f1``, ``macro_f1``, ``best_step``, those that the model has.
        """

    def is_save_due(self) -> bool:
        """Return whether it is time for the next checkpoint."""

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Store the checkpoint, plain data as ``base.Checkpoint``; it replaces the previous one."""


class SilentMonitor:
    """Never requests a stop and stores nothing: for fitting a fold outside of a run."""

    def should_stop(self) -> bool:
        """Return False."""
        return False

    def advance(self, step: int, total: int) -> None:
        """Do nothing."""

    def record(self, event: str, values: dict[str, float | int]) -> None:
        """Do nothing."""

    def is_save_due(self) -> bool:
        """Return False."""
        return False

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Do nothing."""
