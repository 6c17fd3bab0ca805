"""Placeholders: models of the user's own code that a process reads about and has not loaded.

In: the description of a model from a run. Out: a ``Model`` that has its names, and refuses to fit
and to open a fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from trainer.config import Config
from trainer.models.base import Checkpoint, FittedFold, FoldResult, FoldTask, Model
from trainer.models.monitor import Monitor
from trainer.models.own_networks import NotLoadedError
from trainer.own_description import OwnModel


class _NotLoaded(Model):
    """Base of all placeholders."""

    description: OwnModel

    def max_steps(self, config: Config) -> int:
        """Return the number that was recorded when the run was made."""
        return self.description.max_steps

    def fit(
        self,
        task: FoldTask,
        config: Config,
        seed: int,
        fold: int,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
    ) -> FoldResult:
        """Refuse."""
        self._refuse()

    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotLoadedError(
            f"model {self.name!r}: it is in a file of own code that this process has not loaded"
        )


@lru_cache(maxsize=256)
def placeholder(name: str, description: OwnModel) -> Model:
    """Return the placeholder of a model."""
    names = description.model_dump(exclude={"max_steps"})
    attributes = {**names, "name": name, "description": description}
    model: Model = type("NotLoaded", (_NotLoaded,), attributes)()
    return model
