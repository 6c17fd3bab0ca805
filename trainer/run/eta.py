"""Time left: work left times the median speed of this attempt.

In: seconds and steps of what this attempt did. Out: seconds left, "at most" where a fold may stop
early; None until every kind of work that is left has been timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Speedometer:
    """Times steps per model.

    Attributes:
        seconds_per_step: What was measured, per model, newest last.
    """

    seconds_per_step: dict[str, list[float]] = field(default_factory=dict)
    _model: str | None = None
    _step: int = 0
    _since: float = 0.0

    def begin(self, model: str, step: int) -> None:
        """Start to time a fold of a model at a step."""
        self._model, self._step, self._since = model, step, time.monotonic()

    def note(self, step: int) -> None:
        """Tell that the fold has come to a step."""
        if self._model is None or step <= self._step:
            return
        now = time.monotonic()
        per_step = (now - self._since) / (step - self._step)
        self.seconds_per_step.setdefault(self._model, []).append(per_step)
        self._step, self._since = step, now

    def seconds_left(self, work: Sequence[tuple[str, int]], num_workers: int = 1) -> float | None:
        """Return the seconds that (model, steps) pairs will take, or None where one is unknown.

        Args:
            work: In the order in which it is done.
            num_workers: How many do it; each takes the next as soon as it is free.
        """
        free_at = [0.0] * num_workers
        for model, steps in work:
            if steps == 0:
                continue
            known = self.seconds_per_step.get(model)
            if not known:
                return None
            first = free_at.index(min(free_at))
            free_at[first] += steps * statistics.median(known[-200:])
        return max(free_at)
