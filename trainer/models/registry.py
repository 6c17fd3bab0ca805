"""The models that a run can be made of, by name.

In: names, as a run's configuration lists them. Out: ``Model`` objects, in the same order. Importing
this loads neither LightGBM nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from trainer.config import allow_model
from trainer.models.base import Model
from trainer.models.boosting.model import LightGBM
from trainer.models.network.model import Network

BLEND = "blend"  # the name of all models together, in scores and on the screen

_MODELS: dict[str, Model] = {}


def register(model: Model, settings: type[BaseModel] | None = None) -> None:
    """Let runs be made of a model.

    Args:
        model: The model; one of the same name is replaced.
        settings: Its part of the configuration, ``parameters.<name>``; None where it has none, or
            where ``Config`` has a field of its own for it.
    """
    _MODELS[model.name] = model
    allow_model(model.name, settings)


def get(name: str) -> Model:
    """Return a model by its name.

    Raises:
        KeyError: There is none of that name; ``Config`` refuses such names before.
    """
    return _MODELS[name]


def all_models() -> tuple[Model, ...]:
    """Return every registered model, in the order of registration."""
    return tuple(_MODELS.values())


def select(names: Iterable[str]) -> tuple[Model, ...]:
    """Return the models of these names, in their order."""
    return tuple(_MODELS[name] for name in names)


def title(name: str) -> str:
    """Return the title of a model or of the blend; of an unknown model its name."""
    if name == BLEND:
        return "Blend"
    return _MODELS[name].title if name in _MODELS else name


register(LightGBM())
register(Network())
