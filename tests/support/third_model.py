"""A third model for pages that only read its files: LightGBM under another name.

In: pytest's monkeypatch. Out: runs of the test can have the model "third".
"""

from __future__ import annotations

from trainer import config
from trainer.models import registry

NAME = "third"


class ThirdModel(type(registry.get("lgbm"))):
    """A model that no page knows."""

    name, title, phrase = NAME, "Third model", "the third model"


def register(monkeypatch):
    """Register the model until the test ends."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(config, "_KNOWN_MODELS", dict(config._KNOWN_MODELS))
    registry.register(ThirdModel())
