"""The canary: a tiny fit per model, hashed; tells before hours are spent whether bits will agree.

In: the run's configuration. Out: a hash per model.
"""

from __future__ import annotations

from trainer.config import Config
from trainer.models import registry


def canary_hashes(config: Config) -> dict[str, str]:
    """Return the hash of a tiny fit of each model of the run."""
    return {model.name: model.canary(config) for model in registry.select(config.models)}
